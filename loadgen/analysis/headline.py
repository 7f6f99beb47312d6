"""The headline of a variant, for terminal and figures alike, and that of several variants side by side.

Pure functions of the findings and the metrics.
"""

from collections.abc import Mapping, Sequence

from loadgen.analysis.findings.behind import BEHIND_PORTS_GONE
from loadgen.analysis.findings.ends import ENDED_FIRST
from loadgen.analysis.findings.established import STAY_ESTABLISHED
from loadgen.analysis.findings.finding import Finding, Rank
from loadgen.analysis.findings.leaks import BURST, CLOSED_LATE, LEAK
from loadgen.analysis.findings.left import LEFT_BY_THE_END
from loadgen.analysis.findings.ports import CONNECT_SLOW, PORTS_GONE
from loadgen.analysis.findings.queues import ACCEPT_QUEUE, SYN_QUEUE
from loadgen.analysis.findings.stages import STAGES
from loadgen.tcp import Fault
from loadgen.text.numbers import count, rate, seconds

LIMITS = (PORTS_GONE, BEHIND_PORTS_GONE, LEAK, BURST, CLOSED_LATE, SYN_QUEUE, ACCEPT_QUEUE)
"""Findings of which the first that there is stands in the headline."""

_ERRORS, _TIME_WAIT, _STAGE = "errors.", ".time_wait.max", "stage."


def headline(metrics: Mapping[str, float], findings: Sequence[Finding]) -> str:
    """One sentence: what failed first or what limited the load, who closed first, and what is left behind."""
    if "opened" not in metrics:
        return (
            "No load was recorded, only the sockets" if "samples.count" in metrics else "Nothing was measured"
        )
    if not metrics.get("attempts", metrics["opened"]):
        if findings and findings[0].rank is Rank.FAILED:
            return f"No connection was tried: {findings[0].sentence}"
        return "No connection was tried"
    if not metrics.get("connected"):
        if findings and findings[0].rank is Rank.FAILED:
            return f"No connection was established: {findings[0].sentence}"
        failed = metrics.get("errors.total", metrics["opened"])
        return f"No connection was established; {count(failed)} attempts failed{_kind(metrics)}"
    what = _what(metrics, findings) or ["Throughput was not observed"]
    return "; ".join([*what, *_ends(metrics, findings)])


def _what(metrics: Mapping[str, float], findings: Sequence[Finding]) -> list[str]:
    """What failed, what limited, and otherwise the rate: the first of these, and a limit beside a failure."""
    by_kind = {finding.kind: finding for finding in reversed(findings)}
    failed = [one.sentence for one in findings if one.rank is Rank.FAILED]
    limits = [by_kind[kind].sentence for kind in LIMITS if kind in by_kind][:1]
    if by_kind.get(LEAK) and PORTS_GONE not in by_kind:
        limits = [one.sentence for one in findings if one.kind == LEAK]  # Both programs may leak.
    partly = [one.sentence for one in findings if one.rank is Rank.PARTLY_FAILED]
    slow, rates = by_kind.get(CONNECT_SLOW), [one.sentence for one in findings if one.rank is Rank.PACE]
    if failed:
        parts = [*failed, *limits]
    elif metrics.get("knee.rate_falls"):
        parts = [_knee(metrics), *([] if "exhaustion.time_ns" in metrics else limits), *partly]
    elif limits or partly:
        parts = [*limits, *partly]
    else:
        parts = [*rates, *([slow.sentence] if slow else [])]
    if STAGES in by_kind and not failed and by_kind[STAGES].sentence not in parts:
        parts.append(by_kind[STAGES].sentence)
    return [part[:1].upper() + part[1:] if not place else part for place, part in enumerate(parts)]


def _knee(metrics: Mapping[str, float]) -> str:
    before, after = rate(metrics["knee.rate_before"]), rate(metrics["knee.rate_after"])
    end_ns = metrics.get("exhaustion.time_ns")
    end = "" if end_ns is None else f", and no port is left after {seconds(end_ns / 1e9)}"
    ports = f"{count(metrics['knee.ports'])} of {count(metrics['client.ports'])} ports"
    return f"Throughput falls from {before} to {after} at {ports}{end}"


def _kind(metrics: Mapping[str, float]) -> str:
    """The kind of most failures."""
    kinds = {
        name.removeprefix(_ERRORS): number
        for name, number in metrics.items()
        if name.startswith(_ERRORS) and number and name not in (f"{_ERRORS}total", f"{_ERRORS}{Fault.CUT}")
    }
    if not kinds:
        return ""
    worst = max(kinds, key=lambda kind: kinds[kind])
    return f" with {worst}" if len(kinds) == 1 else f", most of them with {worst}"


def _ends(metrics: Mapping[str, float], findings: Sequence[Finding]) -> list[str]:
    """Who closed first, unless the next part shows it or it is not known, and the TIME-WAITs of each side."""
    by_the_end = {finding.viewpoint for finding in findings if finding.kind == LEFT_BY_THE_END}
    kinds = (STAY_ESTABLISHED, ENDED_FIRST)
    who = [finding.sentence for finding in findings if finding.kind in kinds and finding.numbers]
    held = time_waits(metrics)
    if not any(held.values()):
        return [*who, "no side collects TIME-WAIT"]
    first, *others = sorted(held, key=lambda viewpoint: held[viewpoint], reverse=True)
    number = f"{count(held[first])} TIME-WAIT{'s' * (held[first] != 1)}"
    what = f"the {first} collects up to {number}"
    if first in by_the_end:
        what = f"the load's end leaves the {first} with {number}"
    rest = [f"the {other} {count(held[other]) if held[other] else 'none'}" for other in others]
    if not any(held[other] for other in others):
        who = [part for part in who if part != f"the {first} closes first"]
    return [*who, ", ".join([what, *rest])]


def time_waits(metrics: Mapping[str, float]) -> dict[str, float]:
    """The most TIME-WAITs of each viewpoint, in the order of the metrics."""
    return {
        name.removesuffix(_TIME_WAIT): number
        for name, number in metrics.items()
        if name.endswith(_TIME_WAIT) and not name.startswith(_STAGE) and not _of_nat(name, metrics)
    }


def _of_nat(name: str, metrics: Mapping[str, float]) -> bool:
    """Whether a metric is of a NAT, which has no sockets of the connections that it translates."""
    return f"{name.partition('.')[0]}.conntrack.entries.max" in metrics


def comparison(variants: Mapping[str, Mapping[str, float]]) -> str:
    """How the variants of a run differ: which ran out of ports, which only slowed down. May be empty."""
    out = [name for name, metrics in variants.items() if "exhaustion.time_ns" in metrics]
    slow = [name for name, metrics in variants.items() if metrics.get("knee.rate_falls") and name not in out]
    parts = [
        f"{_names(those, len(variants))} {one if len(those) == 1 else many}"
        for those, one, many in (
            (out, "runs out of ports", "run out of ports"),
            (slow, "slows down at the knee", "slow down at the knee"),
        )
        if those
    ]
    return "; ".join(parts)


def _names(those: list[str], of: int) -> str:
    return f"{len(those)} of {of} variants" if len(those) > 2 else " and ".join(those)
