"""What was not observed: the process that was held up, or not read, when, and whether the answer may change.

Pure. The rule: gaps of a kind invalidate where they hide more than a tenth of the load, or where what
matters may lie in one of them: a knee, or the moment when the client's ports are gone.
"""

from collections.abc import Iterator, Mapping, Sequence

from loadgen.analysis.caveats import Caveat, CaveatKind
from loadgen.analysis.fold import Fold
from loadgen.records.events import Gap
from loadgen.records.gaps import SAMPLER, covered_ns, of_load
from loadgen.wire.messages import GapCause

UNSEEN_SHARE = 0.1
"""The share of the load's time that may be hidden: a mean over the rest is off by no more than that."""

_HIDDEN: Mapping[CaveatKind, str] = {
    CaveatKind.GENERATOR_HELD_UP: "it made no load then, and rates leave that time out",
    CaveatKind.RECORDS_UNREAD: "intervals were merged and samples dropped; totals are complete",
    CaveatKind.SAMPLER_HELD_UP: "it took no sample then, so a maximum or a knee there was not seen",
    CaveatKind.SERVER_HELD_UP: "responses waited for it, and rates leave that time out",
}


def unobserved(fold: Fold) -> Iterator[Caveat]:
    """A caveat for each kind of gap. Gaps before the load do not matter."""
    gaps = [gap for gap in fold.gaps if gap.end_ns > 0]
    for kind, hidden in _HIDDEN.items():
        ours = [gap for gap in gaps if _kind(gap) is kind]
        if not ours:
            continue
        names = dict.fromkeys(gap.what for gap in ours)
        spans = "; ".join(f"the {name} {_spans([gap for gap in ours if gap.what == name])}" for name in names)
        much = covered_ns(ours, 0, fold.load_end_ns()) > UNSEEN_SHARE * fold.load_end_ns()
        may = not much and any(_hides_a_turn(fold, gap) for gap in ours)
        yield Caveat(
            kind,
            f"{spans}: {hidden}" + ("; a knee, or the end of the ports, may lie there" if may else ""),
            "free the machine's cores, see that nothing stops churn or its disk, and run it again",
            invalidates=much or may,
        )


def _kind(gap: Gap) -> CaveatKind:
    if gap.cause is GapCause.UNREAD:
        return CaveatKind.RECORDS_UNREAD
    if gap.what == SAMPLER:
        return CaveatKind.SAMPLER_HELD_UP
    return CaveatKind.SERVER_HELD_UP if gap.what.startswith("server") else CaveatKind.GENERATOR_HELD_UP


def _spans(gaps: Sequence[Gap]) -> str:
    """When a process was not observed: the ends of one span; of several their number, and the longest."""
    longest = max(gaps, key=lambda gap: gap.end_ns - gap.start_ns)
    how = "was held up" if longest.cause is GapCause.HELD_UP else "was not read"
    span = f"from {longest.start_ns / 1e9:.1f} s to {longest.end_ns / 1e9:.1f} s"
    if len(gaps) == 1:
        return f"{how} {span}"
    all_s = sum(gap.end_ns - gap.start_ns for gap in gaps) / 1e9
    return f"{how} {len(gaps):,} times, {all_s:.1f} s in all, the longest {span}"


def _hides_a_turn(fold: Fold, gap: Gap) -> bool:
    """Whether the rate falls as at a knee from one side of the gap to the other, or the ports went in it."""
    load = fold.under_load()
    gone = load.exhaustion()
    hides_load = bool(of_load([gap], by_kernel=fold.by_kernel))
    if hides_load and gone is not None and gap.touches(gone.since_ns, gone.until_ns):
        return True
    return any(gap.touches(*turn_ns) for turn_ns in load.turns_ns)
