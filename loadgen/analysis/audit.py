"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. Each connection is an entry of the ledger of endings, and the entries have to add up to what both
kernels counted (`explanation`). If both ends of a leg share a namespace, its counters count both, and are
compared with the sum. A counter that the kernel does not have is not 0: its comparisons are left out, and
`missing` names it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import force_setattr

from loadgen.analysis.counts import Counted, LegCounts
from loadgen.analysis.explanation import Explanation
from loadgen.ledger.entry import FIN, FINS, ROWS, summed
from loadgen.tcp import Ending, Side

_LEDGER = "the ledger of endings, from all counters of both sides"


class AuditLine(Struct, frozen=True):
    """One comparison: `what` was counted, by churn and by `source`.

    `by_races` is the difference that entries of the ledger explain which the driver counts as another ending,
    or cannot see, such as a race between the two ends. `exact` follows from the numbers.
    """

    what: str
    source: str
    ours: int
    theirs: int
    by_races: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "exact", self.ours + self.by_races == self.theirs)


def audit(counted: Counted, ends: LegCounts, explanation: Explanation) -> list[AuditLine]:
    """All comparisons that can be made of the driver's counts with those of the leg that it opens."""
    # If both FINs crossed, each side holds a TIME-WAIT.
    crossed = counted.closes[Ending.BOTH_FIN]
    client_fin, server_fin = (
        counted.closes[ending] + crossed for ending in (Ending.CLIENT_FIN, Ending.SERVER_FIN)
    )
    resets = counted.closes[Ending.CLIENT_RST] + counted.closes[Ending.SERVER_RST]
    opener, accepter = _End(ends, Side.CLIENT, explanation), _End(ends, Side.SERVER, explanation)
    lines = [
        AuditLine("attempts, one outcome each", "outcomes", counted.attempts, counted.outcomes),
        AuditLine("connections, one close each", "closes", counted.connected, counted.closes.total()),
        *opener.line("SYNs sent by the client", "ActiveOpens", counted.opened),
        *accepter.line("connections established", "PassiveOpens", counted.connected),
        *_accounted("SYNs, one entry each", counted.opened, ends, explanation),
    ]
    if ends.shared:
        # A reset connection is counted at each of its ends, and both are here.
        both = 2 * resets + counted.server_fin_reset
        return [
            *lines,
            *opener.line("closed by FIN", FIN, client_fin + server_fin),
            *opener.line("closed by RST, both ends", "EstabResets", both),
        ]
    return [
        *lines,
        *opener.line("closed by the client, FIN", FIN, client_fin),
        *accepter.line("closed by the server, FIN", FIN, server_fin),
        # A RST after the server's FIN meets the client in CLOSE-WAIT, which counts it; the server has ended.
        *opener.line("closed by RST", "EstabResets", resets + counted.server_fin_reset),
        *accepter.line("closed by RST", "EstabResets", resets),
    ]


def audit_ends(ends: LegCounts, explanation: Explanation) -> list[AuditLine]:
    """The comparisons that remain if the kernels alone count: one end of a leg against the other.

    Every connection has to be accounted for by an entry of the ledger.
    """
    opened, failed = (ends.opener.get(name) for name in ("ActiveOpens", "AttemptFails"))
    if opened is None or failed is None:
        return []
    accounted = [one for one in (explanation.possible[0] if explanation.possible else ()) if one.entry.open]
    established = sum(one.count for one in accounted) if explanation.possible else opened - failed
    accepter = _End(ends, Side.SERVER, explanation)
    return [
        *accepter.line(f"connections established at the {ends.leg.opener}", "PassiveOpens", established),
        AuditLine("connections, one end each", _LEDGER, established, sum(one.count for one in accounted)),
    ]


def _accounted(what: str, ours: int, ends: LegCounts, explanation: Explanation) -> Iterator[AuditLine]:
    """Whether all counters together are explained, those that no line compares, too; if they are known."""
    if all(row in summed(kernel) for kernel in ends.kernels for row in ROWS):
        possible = explanation.possible
        yield AuditLine(what, _LEDGER, ours, sum(one.count for one in possible[0]) if possible else 0)


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a leg, or both if they share a namespace, and what is explained there."""

    ends: LegCounts
    side: Side
    explanation: Explanation

    def line(self, what: str, row: str, ours: int) -> Iterator[AuditLine]:
        """The comparison with a row of the ledger, if the kernel has its counters."""
        opener = self.side is Side.CLIENT or self.ends.shared
        counters = summed(self.ends.opener if opener else self.ends.accepter)
        if row not in counters:
            return
        sides = tuple(Side) if self.ends.shared else (self.side,)
        moved = [self.explanation.moved(side, row) for side in sides]
        explained = sum(one for one in moved if one is not None) - ours if self.explanation.possible else 0
        leg = self.ends.leg
        name = "" if self.ends.shared else f"{leg.opener if opener else leg.accepter} "
        source = name + (" + ".join(FINS) if row == FIN else row)
        yield AuditLine(what, source, ours, counters[row], explained)


def missing(legs: Sequence[LegCounts]) -> list[str]:
    """The counters of the ledger that a kernel does not have."""
    needed = [*FINS, *(row for row in ROWS if row != FIN)]
    return [
        name for name in needed if any(name not in counters for ends in legs for counters in ends.kernels)
    ]
