"""Caveats about gaps: a process was held up or not read for a while, and part of the run was not observed.

Gaps of a kind invalidate the result if they hide more than a tenth of the load, or if a knee, or the moment
when the client's ports ran out, may lie in one of them.
"""

from collections.abc import Iterator, Mapping, Sequence

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import Gap
from loadgen.records.gaps import SAMPLER, covered_ns
from loadgen.wire.messages import GapCause

UNSEEN_SHARE = 0.1
"""The share of the load's time that may be hidden: a mean over the rest is off by no more than that."""

GENERATOR_HELD_UP = CaveatKind("generator_held_up")
RECORDS_UNREAD = CaveatKind("records_unread")
SAMPLER_HELD_UP = CaveatKind("sampler_held_up")
SERVER_HELD_UP = CaveatKind("server_held_up")

_HIDDEN: Mapping[CaveatKind, str] = {
    GENERATOR_HELD_UP: "it made no load then, and rates leave that time out",
    RECORDS_UNREAD: "intervals were merged and samples dropped; totals are complete",
    SAMPLER_HELD_UP: "it took no sample then, so a maximum or a knee in that time was not seen",
    SERVER_HELD_UP: "responses waited for it, and rates leave that time out",
}


def not_observed(case: Case) -> Iterator[Caveat]:
    """A caveat for each kind of gap. Gaps before the load do not matter."""
    fold = case.fold
    gaps = [gap for gap in fold.gaps if gap.end_ns > 0]
    for kind, hidden in _HIDDEN.items():
        ours = [gap for gap in gaps if _kind(gap) == kind]
        if not ours:
            continue
        names = dict.fromkeys(gap.what for gap in ours)
        spans = "; ".join(f"the {name} {_spans([gap for gap in ours if gap.what == name])}" for name in names)
        much = covered_ns(ours, 0, fold.load_end_ns()) > UNSEEN_SHARE * fold.load_end_ns()
        may = not much and any(fold.under_load().hides_a_turn(gap) for gap in ours)
        yield Caveat(
            kind,
            f"{spans}: {hidden}"
            + ("; a knee, or the moment when the ports ran out, may lie in it" if may else ""),
            "free the machine's cores, make sure that nothing stops churn or its disk, and run it again",
            invalidates=much or may,
        )


def _kind(gap: Gap) -> CaveatKind:
    if gap.cause is GapCause.UNREAD:
        return RECORDS_UNREAD
    if gap.what == SAMPLER:
        return SAMPLER_HELD_UP
    return SERVER_HELD_UP if gap.what.startswith("server") else GENERATOR_HELD_UP


def _spans(gaps: Sequence[Gap]) -> str:
    """When a process was not observed: one span from begin to end; of several the number and the longest."""
    longest = max(gaps, key=lambda gap: gap.end_ns - gap.start_ns)
    how = "was held up" if longest.cause is GapCause.HELD_UP else "was not read"
    span = f"from {longest.start_ns / 1e9:.1f} s to {longest.end_ns / 1e9:.1f} s"
    if len(gaps) == 1:
        return f"{how} {span}"
    all_s = sum(gap.end_ns - gap.start_ns for gap in gaps) / 1e9
    return f"{how} {len(gaps):,} times, {all_s:.1f} s in all, the longest {span}"


RULES: tuple[Rule, ...] = (not_observed,)
