"""What was left behind at each viewpoint: by the load while it lasted, and by its end."""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.tcp import State
from loadgen.text.numbers import count

LEFT_BY_THE_END = FindingKind("left_by_the_end")
NOT_CLOSED = FindingKind("not_closed")
MOST = 0.5
"""The share of the TIME-WAITs from which on the load's end is said to have made them."""
ENOUGH = 5
"""Samples of the load without which it is not known what the load itself left."""
MANY = 0.1
"""The share of its connections that a side leaves in CLOSE-WAIT before it is said not to close."""
EXIT_NS = 100_000_000
"""So long before a program's end is seen, at most, it may have exited."""
LASTING_NS = 1_000_000_000
"""For so long: CLOSE-WAIT is passed by every connection that the other side closes first."""


def left_by_the_end(fold: Fold) -> Iterator[Finding]:
    if sum(0 <= one.t_ns <= fold.load_end_ns() for one in fold.samples) < ENOUGH:
        return
    for viewpoint in fold.scope.names:
        during, after = (
            during_load(fold, viewpoint, State.TIME_WAIT),
            fold.sampled.most(viewpoint, State.TIME_WAIT),
        )
        if after and after - during >= MOST * after:
            yield Finding(
                kind=LEFT_BY_THE_END,
                rank=Rank.LEFT,
                viewpoint=viewpoint,
                sentence=f"the load's end leaves {count(after - during)} TIME-WAITs at the {viewpoint}",
                start_ns=fold.load_end_ns(),
                numbers={"during": during, "after": after},
                share=(after - during) / after,
                evidence=(f"{viewpoint}.time_wait during the load {during:,}, after it {after:,}",),
                observed=True,
            )


def not_closed(fold: Fold) -> Iterator[Finding]:
    connected = fold.total("connected") or 0
    for viewpoint in fold.scope.names:
        lasting = [
            sample.t_ns
            for sample in fold.samples
            if sample.viewpoints[viewpoint].count(State.CLOSE_WAIT) > max(MANY * connected, 1)
        ]
        if lasting and lasting[-1] - lasting[0] >= LASTING_NS:
            most = fold.sampled.most(viewpoint, State.CLOSE_WAIT)
            yield Finding(
                kind=NOT_CLOSED,
                rank=Rank.LIMITED,
                viewpoint=viewpoint,
                sentence=f"the {viewpoint}'s program leaves up to {count(most)} connections in CLOSE-WAIT:"
                " they last until it closes them",
                start_ns=lasting[0],
                end_ns=lasting[-1],
                numbers={"close_wait": most},
                evidence=(f"{viewpoint}.close_wait {most:,}",),
                observed=True,
            )


def during_load(fold: Fold, viewpoint: str, state: State) -> int:
    """The most sockets that a sample of the load found in a state.

    A program closes its sockets as it exits, a moment before its end is seen.
    """
    end_ns = fold.load_end_ns() - (EXIT_NS if fold.counted is None else 0)
    return max(
        (one.viewpoints[viewpoint].count(state) for one in fold.samples if one.t_ns <= end_ns), default=0
    )


RULES: tuple[Rule, ...] = (not_closed, left_by_the_end)
