"""The headline of a figure: what a variant's records and summary show, in one sentence."""

from collections.abc import Sequence

import numpy as np

from loadgen.tcp import Side, State
from plots.columns import ROUNDING_S, Columns, Rates
from plots.facts import Facts
from plots.words import count, rate, seconds, significant


def finding(columns: Columns, facts: Facts) -> str:
    """The strongest thing that can be said; the measured knee first, then ports, errors, the rate."""
    if columns.empty:
        return "Nothing was recorded"
    if not columns.rates.t_s.size:
        return "The driver recorded nothing: only the sockets are known"
    return _knee(facts) or _exhaustion(columns, facts) or _errors(columns.rates) or _steady(columns, facts)


def _knee(facts: Facts) -> str:
    knee_ports, out_s = facts.measured_knee_ports, facts.measured_exhaustion_s
    if knee_ports is None or facts.measured_rates is None:
        return ""
    before, after = facts.measured_rates
    of = "" if facts.ports is None else f" of {count(facts.ports)}"
    out = "" if out_s is None else f"; none left after {seconds(out_s)}"
    return f"Throughput falls from {rate(before)} to {rate(after)} at {count(knee_ports)}{of} ports{out}"


def _exhaustion(columns: Columns, facts: Facts) -> str:
    if facts.measured_exhaustion_s is None:
        return ""
    rates = columns.rates
    # The interval in which the ports ran out still saw the last of them go: where others follow, it is past.
    begins_s = rates.t_s - rates.length_s / 2
    later_s = begins_s[begins_s > facts.measured_exhaustion_s + ROUNDING_S]
    from_s = float(later_s[0]) if later_s.size else facts.measured_exhaustion_s
    after = rates.mean(rates.connected, from_s, columns.end_s)
    ports = "ports" if facts.ports is None else f"{count(facts.ports)} ports"
    left = "" if after is None else f", and {rate(after)} remain" if after > 0 else ", and nothing connects"
    return f"The client is out of its {ports} after {seconds(facts.measured_exhaustion_s)}{left}"


def _errors(rates: Rates) -> str:
    """Said where more than one attempt in a hundred failed."""
    totals = {kind: rates.total(per_s) for kind, per_s in rates.errors.items()}
    attempts, failed = rates.total(rates.attempts), sum(totals.values())
    if not failed or failed <= 0.01 * attempts:
        return ""
    worst = next(iter(totals))
    if not rates.connected.any():
        mostly = "" if len(totals) == 1 else "mostly "
        return f"No attempt of {count(max(attempts, failed))} connects: {mostly}{worst}"
    others = "" if len(totals) == 1 else f", most of them {worst}"
    kind = f" with {worst}" if len(totals) == 1 else ""
    return f"{count(failed)} of {count(max(attempts, failed))} attempts fail{kind}{others}"


def _steady(columns: Columns, facts: Facts) -> str:
    connected, exchanges = facts.measured_mean, facts.measured_exchanges
    if connected is None:
        connected, exchanges = _means(columns)
    if not connected:
        return "Nothing connected"
    # Only where connections are kept is a request rate other news than the connection rate.
    requests = ""
    if exchanges is not None and exchanges > 1.5 * connected:
        requests = f" carry {significant(exchanges)} requests/s"
    head = f"{significant(connected)} connections/s{requests}"
    peaks = {side: columns.sockets.peak(side, State.TIME_WAIT) for side in columns.sockets.counts}
    side = max(peaks, key=lambda side: peaks[side], default=None)
    if side is None:
        return head
    if not peaks[side]:
        return f"{head}; no side collects TIME-WAIT"
    other = Side.SERVER if side is Side.CLIENT else Side.CLIENT
    rest = "none" if not peaks.get(other) else count(peaks[other])
    return f"{head}; the {side} collects up to {count(peaks[side])} TIME-WAITs, the {other} {rest}"


def _means(columns: Columns) -> tuple[float, float]:
    """Connections and exchanges per second, from the records alone."""
    rates = columns.rates
    # Where no interval lies inside the load, all count.
    inside = rates.mean(rates.connected, 0.0, columns.end_s) is not None
    span = (0.0, columns.end_s) if inside else (-np.inf, np.inf)
    return rates.mean(rates.connected, *span) or 0.0, rates.mean(rates.exchanges, *span) or 0.0


def comparison(variants: Sequence[Facts]) -> str:
    """What sets the variants of a run apart: whose ports ran out, whose only slowed down. May be empty."""
    out = [facts for facts in variants if facts.measured_exhaustion_s is not None]
    slow = [facts for facts in variants if facts.measured_knee_s is not None and facts not in out]
    parts = [
        f"{_names(those, len(variants))} {one if len(those) == 1 else many}"
        for those, one, many in (
            (out, "runs out of ports", "run out of ports"),
            (slow, "slows down at the knee", "slow down at the knee"),
        )
        if those
    ]
    return "; ".join(parts)


def _names(those: Sequence[Facts], of: int) -> str:
    if len(those) > 2:
        return f"{len(those)} of {of} variants"
    return " and ".join(facts.variant for facts in those)
