"""What was left behind at each viewpoint: by the load while it lasted, and by its end."""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.findings.queues import moved
from loadgen.analysis.fold import Fold
from loadgen.tcp import State
from loadgen.text.numbers import count

LEFT_BY_THE_END = FindingKind("left_by_the_end")
REUSED = FindingKind("reused")
ENDED_BY_RST = FindingKind("ended_by_rst")
TIME_WAIT_NS = 60_000_000_000
"""How long a TIME-WAIT lasts (TCP_TIMEWAIT_LEN of Linux, K2)."""
FEW = 0.001
"""The share of the TIME-WAITs that may go before their time without a finding."""
MOST = 0.5
"""The share of the TIME-WAITs from which on the load's end is said to have made them."""
ENOUGH = 5
"""Samples of the load without which it is not known what the load itself left."""
EXIT_NS = 100_000_000
"""So long before a program's end is seen, at most, it may have exited."""


def left_by_the_end(fold: Fold) -> Iterator[Finding]:
    if sum(0 <= one.t_ns <= fold.load_end_ns() for one in fold.samples) < ENOUGH:
        return
    for viewpoint in fold.scope.names:
        during, after = (
            during_load(fold, viewpoint, State.TIME_WAIT),
            fold.sampled.most(viewpoint, State.TIME_WAIT),
        )
        # Its end can leave a TIME-WAIT of what was open, and of nothing else.
        if after and after - during >= MOST * after and opened(fold, viewpoint) >= MOST * (after - during):
            yield Finding(
                kind=LEFT_BY_THE_END,
                rank=Rank.LEFT,
                viewpoint=viewpoint,
                sentence=f"the load's end leaves {count(after - during)}"
                f" TIME-WAIT{'s' * (after - during != 1)} at the {viewpoint}",
                start_ns=fold.load_end_ns(),
                numbers={"during": during, "after": after},
                share=(after - during) / after,
                evidence=(f"{viewpoint}.time_wait during the load {during:,}, after it {after:,}",),
                observed=True,
            )


def reused(fold: Fold) -> Iterator[Finding]:
    for viewpoint in (leg.opener for leg in fold.scope.legs):
        entered, again = (moved(fold, viewpoint, name) for name in ("TW", "TWRecycled"))
        if again > FEW * entered:
            yield Finding(
                kind=REUSED,
                rank=Rank.LEFT,
                viewpoint=viewpoint,
                sentence=f"{count(again)} of {count(entered)} TIME-WAITs at the {viewpoint} gave way to new"
                " connections before their time was over",
                numbers={"reused": again, "entered": entered},
                share=again / entered,
                evidence=(f"{viewpoint}.kernel.TWRecycled {again:,}", f"{viewpoint}.kernel.TW {entered:,}"),
                observed=True,
            )


def ended_by_rst(fold: Fold) -> Iterator[Finding]:
    """TIME-WAITs that are gone before their time, if the other side has sent a RST for each (RFC 1337).

    Only RSTs count for which that side had no connection left: one that resets its connection meets an orphan
    in FIN-WAIT-2, which `TW` counts as well (K18). Through a NAT other ports of the client open a new
    connection in place of a TIME-WAIT, so that RSTs do not show where it went.
    """
    leg = fold.scope.leg
    if any(one.pool is not None for one in fold.scope.viewpoints):
        return
    if not fold.samples or fold.samples[-1].t_ns - fold.samples[0].t_ns >= TIME_WAIT_NS:
        return
    for viewpoint, other in ((leg.opener, leg.accepter), (leg.accepter, leg.opener)):
        # `TW` is its node's: a proxy's TIME-WAITs of its other leg are among them.
        (names,) = [names for names in fold.scope.by_node.values() if viewpoint in names]
        last = [fold.samples[-1].viewpoints[name] for name in names]
        left = sum(one.count(State.TIME_WAIT) + one.count(State.FIN_WAIT_2) for one in last)
        entered = moved(fold, viewpoint, "TW")
        reset = moved(fold, other, "OutRsts") - moved(fold, other, "EstabResets")
        kept = left + moved(fold, viewpoint, "TWRecycled")
        gone = entered - kept
        if FEW * entered < gone <= reset:
            yield Finding(
                kind=ENDED_BY_RST,
                rank=Rank.LEFT,
                viewpoint=viewpoint,
                sentence=f"{count(gone)} of {count(entered)} TIME-WAITs at the {viewpoint} went before their"
                f" time: the {other} sent a RST into each (RFC 1337)",
                numbers={"gone": gone, "entered": entered},
                share=gone / entered,
                evidence=(
                    f"{viewpoint}.kernel.TW {entered:,}, of which {kept:,} are left",
                    f"{other}.kernel.OutRsts - {other}.kernel.EstabResets {reset:,}",
                ),
                observed=False,
            )


def opened(fold: Fold, viewpoint: str) -> int:
    """Connections that the last sample of the load found open."""
    loaded = [one for one in fold.samples if one.t_ns <= fold.load_end_ns()]
    if not loaded:
        return 0
    states = loaded[-1].viewpoints[viewpoint].states
    return sum(number for state, number in states.items() if state not in (State.LISTEN, State.TIME_WAIT))


def during_load(fold: Fold, viewpoint: str, state: State) -> int:
    """The most sockets that a sample of the load found in a state.

    A program closes its sockets as it exits, a moment before its end is seen.
    """
    end_ns = fold.load_end_ns() - (EXIT_NS if fold.counted is None else 0)
    return max(
        (one.viewpoints[viewpoint].count(state) for one in fold.samples if one.t_ns <= end_ns), default=0
    )


RULES: tuple[Rule, ...] = (left_by_the_end, reused, ended_by_rst)
