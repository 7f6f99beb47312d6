"""Connections that a program does not close after the other side has: a leak, a burst that stays, a pool.

They are found in the states alone: of CLOSE-WAIT at the side that does not close, and of FIN-WAIT-2 at the
other, which has a timer only once its own program has closed (K5, K6).
"""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.analysis.rise import FEW, LASTING_NS, NOISE, Form, Rise, rise
from loadgen.records.types import Sample
from loadgen.records.viewpoints import Leg
from loadgen.tcp import Ending, How, Side, State
from loadgen.text.numbers import count, rate

LEAK = FindingKind("leak")
BURST = FindingKind("burst_that_stays")
POOL = FindingKind("pool_not_closed")
HALF_OPEN = FindingKind("half_open")
CLOSED_LATE = FindingKind("closed_late")
MANY = 0.1
"""The share of the connections that may pass a side's CLOSE-WAIT, before a level of them is found: so many
can be on their way through that state at any time."""
FIRST = 2
"""A pool is filled by the first connections: at most so many times its size came before it was seen."""
SOON_NS = 1_000_000_000
"""Sockets that are closed one after the other take longer to go than those of a process that ends."""
EXIT_NS = 100_000_000
"""So long before a program's end is seen, at most, it may have exited: its kernel then closes all it had."""


def leaks(fold: Fold) -> Iterator[Finding]:
    """What each side's program does not close; where that does not show, what waits for the other's FIN."""
    samples = of_load(fold)
    for leg in fold.scope.legs:
        for viewpoint, other in ((leg.opener, leg.accepter), (leg.accepter, leg.opener)):
            closing = rise_of(samples, viewpoint, State.CLOSE_WAIT)
            waiting = rise_of(samples, other, State.FIN_WAIT_2)
            if closing is not None:
                passed = _passed(fold, leg, viewpoint)
                yield from _not_closed(fold, samples[-1], closing, viewpoint, other, passed)
            elif late := list(_closed_late(fold, samples, viewpoint, _passed(fold, leg, viewpoint))):
                yield from late
            elif waiting is not None:
                yield from _half_open(fold, waiting, viewpoint, other)


def of_load(fold: Fold) -> list[Sample]:
    """The samples taken before any process of the load can have ended."""
    end_ns = fold.load_end_ns() - (EXIT_NS if fold.counted is None else 0)
    return [one for one in fold.samples if one.t_ns <= end_ns]


def rise_of(samples: list[Sample], viewpoint: str, state: State) -> Rise | None:
    """How the sockets of a viewpoint that stay in a state become more."""
    return rise([one.t_ns for one in samples], [one.viewpoints[viewpoint].count(state) for one in samples])


def _passed(fold: Fold, leg: Leg, viewpoint: str) -> int:
    """At most so many connections passed CLOSE-WAIT at the viewpoint: those that it closed first did not."""
    connected = fold.total("connected") or 0
    ended = fold.ended() if leg == fold.scope.legs[0] else None
    if ended is None:
        return connected
    own = Side.CLIENT if viewpoint == leg.opener else Side.SERVER
    return max(connected - sum(ended.get(Ending.of(own, how), 0) for how in (How.FIN, How.RST)), 0)


def _not_closed(
    fold: Fold, last: Sample, found: Rise, viewpoint: str, other: str, passed: int
) -> Iterator[Finding]:
    connected = fold.total("connected") or 0
    kind, words = _described(fold, found, last.t_ns - LASTING_NS)
    if found.form is Form.LEVEL and found.sockets <= MANY * passed:
        return
    seen = last.viewpoints[viewpoint]
    numbers: dict[str, float] = {
        "close_wait": found.sockets,
        "connected": connected,
        "unread_sockets": seen.unread_sockets,
        "unread_bytes": seen.unread_bytes,
    }
    if kind is LEAK:
        numbers["per_s"] = found.per_s
    if kind is BURST:
        numbers["moments"] = found.moments
    waiting = last.viewpoints[other].count(State.FIN_WAIT_2)
    unread = "no bytes unread"
    if seen.unread_sockets:
        sockets = count(seen.unread_sockets)
        unread = f"{count(seen.unread_bytes)} bytes unread on {sockets} of those seen last (Recv-Q)"
    yield Finding(
        kind=kind,
        rank=Rank.LEFT if kind is POOL else Rank.LIMITED,
        viewpoint=viewpoint,
        sentence=f"the {viewpoint}'s program {words}, with {unread}",
        start_ns=found.start_ns,
        numbers=numbers,
        share=found.sockets / connected if connected else None,
        evidence=(
            f"{viewpoint}.close_wait {found.sockets:,} that stay, beside {found.passing:,.0f} that pass",
            f"{other}.fin_wait_2 {waiting:,}",
            f"Recv-Q {seen.unread_bytes:,} bytes on {seen.unread_sockets:,} sockets in CLOSE-WAIT",
        ),
        observed=True,
    )


def _described(fold: Fold, found: Rise, known_ns: int) -> tuple[FindingKind, str]:
    """What kind of rise it is, and what the program does, in words; what stays is known until `known_ns`."""
    since = instant(found)
    of_all = f"{count(found.sockets)} of {count(fold.total('connected') or 0)} connections"
    before = sum(one.connected for one in fold.intervals if one.end_ns <= found.start_ns)
    after = sum(one.connected for one in fold.intervals if one.start_ns >= found.end_ns)
    pool = before <= FIRST * found.sockets and found.sockets < after
    if found.form is Form.LINE:
        until = f"{found.end_ns / 1e9:.1f} s"
        if not _stopped(found, known_ns):
            since = f"{since} on"
        elif pool:
            return POOL, (
                f"keeps {of_all} in CLOSE-WAIT, {rate(found.per_s)} more from {since} to {until} and none"
                f" after that, a level like a pool's, as {count(after)} others come and go"
            )
        else:
            since = f"{since} to {until}"
        return LEAK, (
            f"leaks {rate(found.per_s)} from {since}, on a line: {of_all} stay in CLOSE-WAIT, which has"
            " no timer"
        )
    if found.form is Form.STAIRS:
        return BURST, (f"leaves {of_all} in CLOSE-WAIT, from {since} on, in {found.moments} bursts")
    if pool:
        return POOL, (
            f"keeps {of_all} in CLOSE-WAIT from {since} on, a level like a pool's, as {count(after)} others"
            " come and go"
        )
    return BURST, f"leaves {of_all} in CLOSE-WAIT, from {since} on, in one burst"


def _stopped(found: Rise, known_ns: int) -> bool:
    """Whether a line ended long before the counts did, and chance cannot have kept the next ones away."""
    rest_ns = known_ns - found.end_ns
    return rest_ns > FEW * (known_ns - found.start_ns) and found.per_s * rest_ns / 1e9 > NOISE**2


def _closed_late(fold: Fold, samples: list[Sample], viewpoint: str, passed: int) -> Iterator[Finding]:
    """What stayed for a time, and was then closed at once."""
    counts = [one.viewpoints[viewpoint].count(State.CLOSE_WAIT) for one in samples]
    most = max(counts, default=0)
    top = max((place for place, one in enumerate(counts) if one == most), default=0)
    gone = next((place for place in range(top, len(counts)) if counts[place] <= MANY * most), None)
    if gone is None or samples[gone].t_ns - samples[top].t_ns > SOON_NS or max(counts[gone:]) > MANY * most:
        return
    found = rise_of(samples[: top + 1], viewpoint, State.CLOSE_WAIT)
    if found is None or most <= MANY * passed:
        return
    connected = fold.total("connected") or 0
    form = {
        Form.LINE: f", {rate(found.per_s)} more on a line",
        Form.STAIRS: f", in {found.moments} bursts",
        Form.LEVEL: "",
    }[found.form]
    yield Finding(
        kind=CLOSED_LATE,
        rank=Rank.LIMITED,
        viewpoint=viewpoint,
        sentence=f"the {viewpoint}'s program leaves {count(most)} of {count(connected)} connections in"
        f" CLOSE-WAIT from {instant(found)} to {samples[top].t_ns / 1e9:.1f} s{form}; then all of them are"
        f" closed within {(samples[gone].t_ns - samples[top].t_ns) / 1e9:.1f} s, as when a process ends",
        start_ns=found.start_ns,
        end_ns=samples[gone].t_ns,
        numbers={"close_wait": most, "connected": connected},
        share=most / connected if connected else None,
        evidence=(f"{viewpoint}.close_wait {most:,}, then {counts[gone]:,} and never more",),
        observed=True,
    )


def _half_open(fold: Fold, found: Rise, viewpoint: str, other: str) -> Iterator[Finding]:
    connected = fold.total("connected") or 0
    if found.form is Form.LEVEL and found.sockets <= MANY * connected:
        return
    pace = f", {rate(found.per_s)} more" if found.form is Form.LINE else ""
    yield Finding(
        kind=HALF_OPEN,
        rank=Rank.LIMITED,
        viewpoint=other,
        sentence=f"{count(found.sockets)} connections stay in FIN-WAIT-2 at the {other} from"
        f" {instant(found)} on{pace}: the {viewpoint} sent no FIN, and has none of them in CLOSE-WAIT",
        start_ns=found.start_ns,
        numbers={"fin_wait_2": found.sockets, "connected": connected},
        share=found.sockets / connected if connected else None,
        evidence=(
            f"{other}.fin_wait_2 {found.sockets:,} that stay",
            f"{viewpoint}.close_wait {fold.sampled.most(viewpoint, State.CLOSE_WAIT):,} at most",
        ),
        observed=True,
    )


def instant(found: Rise) -> str:
    """When it began, as exact as samples are."""
    return f"{max(found.start_ns, 0) / 1e9:.1f} s"


RULES: tuple[Rule, ...] = (leaks,)
