"""The rate of connections, as the levels that it had."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.analysis.series import LASTING
from loadgen.text.numbers import count, rate, seconds, significant

PACE = FindingKind("pace")
A_FEW = 20
"""So few connections have a number and no rate."""
MOSTLY = 0.5
"""The share of the load in which no connection was opened, from which on there is no rate of connections."""
NEARLY_ALL = 0.9
"""The share of the load that a level lasts to be its rate: a start or an end is no level of its own."""
MOSTLY_KEPT = 10
"""Requests for each connection from which on the rate of connections says little."""
LOW = 0.2
"""Below this share of its highest level a rate is low: between bursts."""
TIMES = 2
"""So many bursts, at least."""
KEPT = 1.5
"""Requests for each connection from which on their rate is worth naming beside that of connections."""


def pace(fold: Fold) -> Iterator[Finding]:
    load, connected = fold.under_load(), fold.total("connected")
    if not connected or load.observed_ns <= 0 or load.staged:
        return
    levels = load.levels
    requests = load.requests_per_s or 0.0
    carry = f" carry {significant(requests)} requests/s" if requests > KEPT * load.rate else ""
    if requests > MOSTLY_KEPT * load.rate:
        sentence = f"{significant(requests)} requests/s on {count(connected)} connections"
    elif connected < A_FEW:
        sentence = f"{count(connected)} connection{'s' * (connected != 1)}{carry}"
    elif len(load.observed) < LASTING:
        sentence = f"{count(connected)} connections within {seconds(load.observed_ns / 1e9)}{carry}"
    elif sum(level.length_ns for level in levels if level.rate < 1) > MOSTLY * load.length_ns:
        sentence = f"{count(connected)} connections{carry}, and most of the time none was opened"
    elif (longest := max(levels, key=lambda level: level.length_ns)).length_ns >= NEARLY_ALL * load.length_ns:
        sentence = f"{significant(longest.rate)} connections/s{carry}"
    elif len(levels) == 2:
        first, second = levels
        sentence = (
            f"{significant(first.rate)} connections/s until {seconds(first.end_ns / 1e9)}, then"
            f" {rate(second.rate)}{carry}"
        )
    else:
        rates = [level.rate for level in levels]
        changes = "comes in bursts" if _bursts(rates) else f"changes {len(levels) - 1} times"
        sentence = (
            f"{significant(load.rate)} connections/s on average{carry}; the rate {changes},"
            f" between {rate(min(rates))} and {rate(max(rates))}"
        )
    yield Finding(
        kind=PACE,
        rank=Rank.PACE,
        viewpoint=fold.scope.leg.opener,
        sentence=sentence,
        start_ns=load.series[0].start_ns,
        end_ns=load.series[-1].end_ns,
        numbers={"rate": load.rate, "levels": len(levels)},
        evidence=tuple(
            f"{level.start_ns / 1e9:.1f} to {level.end_ns / 1e9:.1f} s: {rate(level.rate)}, mostly"
            f" {significant(level.low)} to {significant(level.high)}"
            for level in levels
        ),
        observed=True,
    )


def _bursts(rates: Sequence[float]) -> bool:
    """Whether the rate rises at least twice from a level that is low beside its highest one."""
    low = LOW * max(rates)
    return sum(before < low <= after for before, after in pairwise(rates)) >= TIMES


RULES: tuple[Rule, ...] = (pace,)
