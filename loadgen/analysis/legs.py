"""The legs of a lab, each with counters of its own. Pure.

A proxy's namespace counts what it accepts and what it opens under the same names: a TIME-WAIT is of either
leg. The two legs are explained together, and what the explanation has of each is that leg's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from loadgen.analysis.counts import Counted, LegCounts
from loadgen.analysis.explanation import Explained, explain_both
from loadgen.ledger.entry import FIN, FINS, ROWS
from loadgen.records.viewpoints import Scope
from loadgen.tcp import Side

TWO = 2


def apart(scope: Scope, legs: Sequence[LegCounts], counted: Counted | None) -> Sequence[LegCounts]:
    """The legs, with counters of its own for each that shares a namespace with the next one.

    If no entries of the ledger add up to what was counted, they stay together, and the audit differs.
    """
    if len(legs) != TWO or legs[0].leg.accepter not in _beside(scope, legs[1].leg.opener):
        return legs
    first, second = legs
    possible = explain_both(first, second, counted).possible
    if not possible:
        return legs
    of_first, of_second = (tuple(one for one in possible[0] if one.leg == leg) for leg in range(TWO))
    return (
        replace(first, accepter=_own(first.accepter, of_first, Side.SERVER)),
        replace(second, opener=_own(second.opener, of_second, Side.CLIENT)),
    )


def _beside(scope: Scope, viewpoint: str) -> Sequence[str]:
    """The viewpoints of the same namespace."""
    return next(names for names in scope.by_node.values() if viewpoint in names)


def _own(counters: Mapping[str, int], explained: Sequence[Explained], side: Side) -> Mapping[str, int]:
    """The counters of one leg: those of the ledger as explained, all others as they are."""
    moved = {row: sum(one.count * one.entry.moves(side).get(row, 0) for one in explained) for row in ROWS}
    own = {name: moved.get(name, count) for name, count in counters.items()}
    if all(name in own for name in FINS):
        # Which of the three names a TIME-WAIT was counted under is not known of each leg.
        own |= dict.fromkeys(FINS, 0) | {FINS[0]: moved[FIN]}
    return own
