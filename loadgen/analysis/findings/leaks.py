"""Connections that a program does not close after the other side has: a leak, a burst that stays, a pool.

They are found in the states alone: of CLOSE-WAIT at the side that does not close, and of FIN-WAIT-2 at the
other, which has a timer only once its own program has closed (K5, K6).
"""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.analysis.rise import Form, Rise, rise
from loadgen.records.types import Sample
from loadgen.tcp import State
from loadgen.text.numbers import count, rate

LEAK = FindingKind("leak")
BURST = FindingKind("burst_that_stays")
POOL = FindingKind("pool_not_closed")
HALF_OPEN = FindingKind("half_open")
MANY = 0.1
"""The share of its connections that a side leaves in CLOSE-WAIT before a level of them is found: so many can
be on their way through that state at any time."""
EXIT_NS = 100_000_000
"""So long before a program's end is seen, at most, it may have exited: its kernel then closes all it had."""


def leaks(fold: Fold) -> Iterator[Finding]:
    """What each side's program does not close; where that does not show, what waits for the other's FIN."""
    samples = _of_load(fold)
    for leg in fold.scope.legs:
        for viewpoint, other in ((leg.opener, leg.accepter), (leg.accepter, leg.opener)):
            closing = _rise(samples, viewpoint, State.CLOSE_WAIT)
            waiting = _rise(samples, other, State.FIN_WAIT_2)
            if closing is not None:
                yield from _not_closed(fold, samples[-1], closing, viewpoint, other)
            elif waiting is not None:
                yield from _half_open(fold, waiting, viewpoint, other)


def _of_load(fold: Fold) -> list[Sample]:
    end_ns = fold.load_end_ns() - (EXIT_NS if fold.counted is None else 0)
    return [one for one in fold.samples if one.t_ns <= end_ns]


def _rise(samples: list[Sample], viewpoint: str, state: State) -> Rise | None:
    return rise([one.t_ns for one in samples], [one.viewpoints[viewpoint].count(state) for one in samples])


def _not_closed(fold: Fold, last: Sample, found: Rise, viewpoint: str, other: str) -> Iterator[Finding]:
    connected = fold.total("connected") or 0
    kind, words = _described(fold, found)
    if found.form is Form.LEVEL and found.sockets <= MANY * connected:
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
        unread = f"{count(seen.unread_bytes)} bytes unread on {count(seen.unread_sockets)} of them (Recv-Q)"
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


def _described(fold: Fold, found: Rise) -> tuple[FindingKind, str]:
    """What kind of rise it is, and what the program does, in words."""
    since = _instant(found)
    of_all = f"{count(found.sockets)} of {count(fold.total('connected') or 0)} connections"
    if found.form is Form.LINE:
        return LEAK, (
            f"leaks {rate(found.per_s)} from {since} on, on a line: {of_all} stay in CLOSE-WAIT, which has"
            " no timer"
        )
    if found.form is Form.STAIRS:
        return BURST, (f"leaves {of_all} in CLOSE-WAIT, from {since} on, in {found.moments} bursts")
    before = sum(one.connected for one in fold.intervals if one.end_ns <= found.start_ns)
    after = sum(one.connected for one in fold.intervals if one.start_ns >= found.end_ns)
    if before <= found.sockets < after:
        return POOL, (
            f"keeps {of_all} in CLOSE-WAIT from {since} on, a level like a pool's, as {count(after)} others"
            " come and go"
        )
    return BURST, f"leaves {of_all} in CLOSE-WAIT, from {since} on, in one burst"


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
        f" {_instant(found)} on{pace}: the {viewpoint} sent no FIN, and has none of them in CLOSE-WAIT",
        start_ns=found.start_ns,
        numbers={"fin_wait_2": found.sockets, "connected": connected},
        share=found.sockets / connected if connected else None,
        evidence=(
            f"{other}.fin_wait_2 {found.sockets:,} that stay",
            f"{viewpoint}.close_wait {fold.sampled.most(viewpoint, State.CLOSE_WAIT):,} at most",
        ),
        observed=True,
    )


def _instant(found: Rise) -> str:
    """When it began, as exact as samples are."""
    return f"{max(found.start_ns, 0) / 1e9:.1f} s"


RULES: tuple[Rule, ...] = (leaks,)
