"""What a variant showed: metrics, audit, caveats, expectations, and the prediction beside the measurement.

Pure functions of a fold and of what was asked. The terminal, summary.json and the figures all take
their numbers from here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.analysis.audit import NONE_CROSSED, AuditLine, Crossed, audit, audit_sides, crossed_ends
from loadgen.analysis.caveats import Caveat, CaveatKind
from loadgen.analysis.doubts import doubts
from loadgen.analysis.fold import Fold
from loadgen.analysis.knee import LEAST_FALL
from loadgen.model.predict import Prediction
from loadgen.scenario.choices import Driver
from loadgen.scenario.expectation import Verdict
from loadgen.scenario.models import Variant
from loadgen.tcp import CloseMethod, Closer, Failure, Side
from loadgen.wire.codec import plain


@dataclass(frozen=True, slots=True)
class Compared:
    """A predicted quantity beside the measured one. None means: not expected, or not seen.

    `assumed` tells that it rests on an assumed rate, so that its error judges the assumption.
    """

    name: str
    unit: str
    predicted: float | None
    measured: float | None
    assumed: bool

    @property
    def error(self) -> float | None:
        """Relative error of the prediction; None where one of the two is missing, or one alone is 0."""
        if self.predicted is None or self.measured is None:
            return None
        if self.predicted == self.measured:
            return 0.0
        return self.predicted / self.measured - 1 if self.predicted and self.measured else None


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation and what became of it."""

    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """One variant's answer. `verdict` is a sentence."""

    name: str
    metrics: dict[str, float]
    audit: Sequence[AuditLine]
    caveats: Sequence[Caveat]
    expectations: Sequence[Expected]
    compared: Sequence[Compared]
    errors: Mapping[Failure, int]
    verdict: str

    @property
    def exact(self) -> bool:
        """Whether the audit found every count the same as the kernel's."""
        return bool(self.audit) and all(line.exact for line in self.audit)

    @property
    def valid(self) -> bool:
        return not any(caveat.invalidates for caveat in self.caveats)

    @property
    def passed(self) -> bool:
        return all(expected.verdict.passed for expected in self.expectations)


def summarise(variant: Variant, prediction: Prediction, fold: Fold) -> VariantSummary:
    """The summary of one variant, whole or cut short."""
    metrics, shared, crossed = fold.metrics(), variant.lab.topology.shared, crossed_in(variant, fold)
    lines: list[AuditLine] = []
    if fold.complete and variant.load.driver is Driver.COMMAND:
        lines = audit_sides(fold.kernel(), shared=shared)
    elif fold.complete:
        lines = audit(fold.counted, fold.kernel(), shared=shared, crossed=crossed)
    return VariantSummary(
        name=variant.name,
        metrics=metrics,
        audit=lines,
        caveats=doubts(variant, fold, lines, crossed),
        expectations=[Expected(item.text, item.evaluate(metrics)) for item in variant.expect],
        compared=compare(prediction, metrics),
        errors=dict(fold.errors.most_common()),
        verdict=verdict(metrics),
    )


def crossed_in(variant: Variant, fold: Fold) -> Crossed:
    """What the kernels count otherwise: nothing where a command drives, or where records are cut short."""
    lasted_ns = fold.intervals[-1].end_ns if fold.intervals else 0
    if not fold.complete or fold.by_kernel:
        return NONE_CROSSED
    return crossed_ends(
        fold.counted,
        fold.kernel(),
        shared=variant.lab.topology.shared,
        server_ends=variant.server_may_end(lasted_ns),
    )


def compare(prediction: Prediction, metrics: Mapping[str, float]) -> list[Compared]:
    """The model's numbers beside the run's; knee and exhaustion where expected or seen.

    What rests on a rate is left out where the rate of a command is not known.
    """
    assumed = prediction.rate_assumed
    client, server = metrics.get("client.time_wait.max"), metrics.get("server.time_wait.max")
    seen = "knee.ports" in metrics
    name = "rate before the knee" if seen or prediction.knee_ports is not None else "rate"
    rows = [
        Compared(name, "/s", prediction.rate_per_s, _rate(prediction, metrics), assumed),
        Compared("TIME-WAIT, client", "", prediction.time_wait_client, client, assumed),
        Compared("TIME-WAIT, server", "", prediction.time_wait_server, server, assumed),
    ]
    if prediction.rate_per_s is None:
        knee = Compared("knee", "ports", prediction.knee_ports, metrics.get("knee.ports"), False)
        return [*(row for row in rows if row.predicted is not None), *([knee] if seen else [])]
    if seen or _falls(prediction):
        to_knee_s = prediction.time_to_knee_s
        ports = None if to_knee_s is None else prediction.knee_ports
        past = None if to_knee_s is None else prediction.past_knee_per_s
        rows += [
            Compared("knee", "ports", ports, metrics.get("knee.ports"), False),
            Compared("time to the knee", "s", to_knee_s, _seconds(metrics, "knee.time_ns"), assumed),
            Compared("rate past the knee", "/s", past, metrics.get("knee.rate_after"), True),
        ]
    to_end_s = prediction.time_to_exhaustion_s
    if to_end_s is not None or "exhaustion.time_ns" in metrics:
        seen_s = _seconds(metrics, "exhaustion.time_ns")
        rows.append(Compared("time to exhaustion", "s", to_end_s, seen_s, assumed))
    return rows


def _falls(prediction: Prediction) -> bool:
    """Whether the knee should show: connect() is slow from there on, but a rate that is low need not fall."""
    past = prediction.past_knee_per_s
    return (
        past is not None
        and prediction.rate_per_s is not None
        and prediction.time_to_knee_s is not None
        and past * LEAST_FALL <= prediction.rate_per_s
    )


def _rate(prediction: Prediction, metrics: Mapping[str, float]) -> float | None:
    """The rate before the knee, or the mean where there was none.

    Unknown where the mean is of two rates: ports ran out, or the knee is expected and too shallow to find.
    """
    shallow = (
        prediction.time_to_knee_s is not None
        and prediction.past_knee_per_s != prediction.rate_per_s
        and not _falls(prediction)
    )
    if "knee.rate_before" in metrics or "exhaustion.time_ns" in metrics or shallow:
        return metrics.get("knee.rate_before")
    return metrics.get("rate.mean")


def _seconds(metrics: Mapping[str, float], name: str) -> float | None:
    return metrics[name] / 1e9 if name in metrics else None


def verdict(metrics: Mapping[str, float]) -> str:
    """One sentence: who held TIME-WAIT, and what that did to throughput."""
    if "opened" not in metrics:
        return "Nothing was measured."
    if not metrics.get("attempts", metrics["opened"]):
        return "No connection was tried."
    if not metrics.get("connected"):
        failed = metrics.get("errors.total", metrics["opened"])
        return f"No connection was established; {failed:,.0f} attempts failed."
    parts = [_who_holds(metrics)]
    if "knee.ports" in metrics:
        parts.append(
            f"throughput falls from {metrics['knee.rate_before']:,.0f}/s"
            f" to {metrics['knee.rate_after']:,.0f}/s"
            f" at {metrics['knee.ports']:,.0f} of {metrics['client.ports']:,.0f} ports"
        )
    elif "rate.mean" in metrics:
        parts.append(f"throughput is {metrics['rate.mean']:,.0f} connections/s")
    else:
        parts.append("throughput was not observed")
    if "exhaustion.time_ns" in metrics:
        parts.append(f"and no port is left from {metrics['exhaustion.time_ns'] / 1e9:.1f} s on")
    return ", ".join(parts) + "."


def _who_holds(metrics: Mapping[str, float]) -> str:
    """Who was left with TIME-WAIT, and who closed first where that does not tell it."""
    held = {side: metrics.get(f"{side}.time_wait.max", 0) for side in Side}
    who = _who_closes(metrics)
    match [side for side in Side if held[side]]:
        case []:
            what = "no side holds TIME-WAIT"
        case [side]:
            what = f"the {side} pays: {held[side]:,.0f} TIME-WAIT there, none on the other side"
            if who == f"the {side} closes first":
                who = ""
        case sides:
            both = " and ".join(f"the {side} {held[side]:,.0f}" for side in sides)
            what = f"TIME-WAIT stands on both sides ({both})"
    said = f"{who}; {what}" if who else what
    return said[0].upper() + said[1:]


def _who_closes(metrics: Mapping[str, float]) -> str:
    """Who ended connections first, as it was counted; empty where it was not.

    The scenario does not tell it: timeouts of either side end connections too, and a command did not read it.
    """
    ended = {
        closer: sum(metrics.get(f"closes.{closer}_{close}", 0) for close in CloseMethod) for closer in Closer
    }
    match sorted((closer for closer in Closer if ended[closer]), key=lambda one: ended[one], reverse=True):
        case [closer]:
            return f"the {closer} closes first" + ("" if metrics.get(f"closes.{closer}_fin") else " by RST")
        case [closer, other]:
            return (
                f"the {closer} closes {ended[closer]:,.0f} connections first, the {other} {ended[other]:,.0f}"
            )
        case _:
            return ""


def summary_document(
    run: str, summaries: Sequence[VariantSummary], asked: Collection[str], *, whole: bool
) -> dict[str, Any]:
    """summary.json, but for its schema_version. What was not measured is absent, never null or nan.

    `asked` are the names of all variants: without any of them the run has not passed. `whole` tells that it
    ended in order: what is still to come, or never came, makes it invalid.
    """
    return {
        "run": run,
        "valid": whole and all(summary.valid for summary in summaries),
        "passed": not _missing(summaries, asked) and all(summary.passed for summary in summaries),
        "verdict": run_verdict(summaries, asked, whole=whole),
        "variants": {summary.name: _document(summary) for summary in summaries},
    }


def run_verdict(summaries: Sequence[VariantSummary], asked: Collection[str], *, whole: bool) -> str:
    """One sentence over all variants, those that were asked for and not run among them."""
    if not summaries:
        return "Nothing was run."
    expected = [item.verdict.passed for summary in summaries for item in summary.expectations]
    inexact = [summary.name for summary in summaries if summary.audit and not summary.exact]
    unaudited = [summary.name for summary in summaries if not summary.audit]
    invalid = [summary.name for summary in summaries if not summary.valid]
    cut = [
        summary.name
        for summary in summaries
        if any(caveat.kind is CaveatKind.INTERRUPTED for caveat in summary.caveats)
    ]
    missing = _missing(summaries, asked)
    parts = [
        f"{sum(expected)} of {len(expected)} expectations hold" if expected else "Nothing was expected",
    ]
    if inexact:
        parts.append(f"the audit differs in {', '.join(inexact)}")
    if unaudited:
        parts.append(f"nothing is audited in {', '.join(unaudited)}")
    if not inexact and not unaudited:
        parts.append("every count agrees with the kernel's")
    if invalid:
        parts.append(f"the measurement is invalid in {', '.join(invalid)}")
    if cut:
        parts.append(f"{', '.join(cut)} was cut short")
    if missing:
        parts.append(f"not run: {', '.join(missing)}")
    if not whole:
        parts.append("the run did not come to its end")
    return "; ".join(parts) + "."


def _missing(summaries: Sequence[VariantSummary], asked: Collection[str]) -> list[str]:
    """The variants that were asked for and have no summary."""
    told = {summary.name for summary in summaries}
    return [name for name in asked if name not in told]


def _document(summary: VariantSummary) -> dict[str, Any]:
    return {
        "verdict": summary.verdict,
        "valid": summary.valid,
        "passed": summary.passed,
        "exact": summary.exact,
        "metrics": summary.metrics,
        "errors": [
            {"phase": failure.phase, "kind": failure.kind, "count": count, "limit": failure.limit}
            for failure, count in summary.errors.items()
        ],
        "audit": [{**plain(line), "exact": line.exact} for line in summary.audit],
        "caveats": plain(summary.caveats),
        "expectations": [
            _measured({"text": item.text, **plain(item.verdict)}) for item in summary.expectations
        ],
        "compared": [_measured({**plain(row), "error": row.error}) for row in summary.compared],
    }


def _measured(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value: what was not measured is absent."""
    return {name: value for name, value in fields.items() if value is not None}
