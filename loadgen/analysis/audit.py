"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. The identities are K18 and K19. If both ends of a leg share a namespace, its counters count both, and
are compared with the sum. A counter that the kernel does not have is not 0: its comparisons are left out, and
`missing` names it. A connection that both sides closed, or that only the client took for established, is
counted differently by churn and by the kernels: if that explains a difference, the line has its size.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import force_setattr

from loadgen.analysis.counts import (
    ABORTS,
    ACCEPTED,
    ACTIVE_CLOSES,
    ENDS,
    FAILED,
    OPENED,
    RESETS,
    Counted,
    LegCounts,
    sum_of,
)
from loadgen.analysis.races import NO_RACES, Races
from loadgen.tcp import Ending


class AuditLine(Struct, frozen=True):
    """One comparison: `what` was counted, by churn and by `source`.

    `by_races` is the difference that races between the two ends explain (`Races`). `exact` follows from the
    numbers.
    """

    what: str
    source: str
    ours: int
    theirs: int
    by_races: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "exact", self.ours + self.by_races == self.theirs)


def audit(counted: Counted, ends: LegCounts, races: Races = NO_RACES) -> list[AuditLine]:
    """All comparisons that can be made of the driver's counts with those of the leg that it opens."""
    client, server = ends.opener, ends.accepter
    client_fin, client_rst, server_fin, server_rst = (counted.closes[ending] for ending in Ending)
    opener, accepter = f"{ends.leg.opener} ", f"{ends.leg.accepter} "
    lines = [
        AuditLine("attempts, one outcome each", "outcomes", counted.attempts, counted.outcomes),
        AuditLine("connections, one close each", "closes", counted.connected, counted.closes.total()),
    ]
    fins, resets = client_fin + server_fin, client_rst + server_rst
    unmet = races.refused - races.resets - races.unaccepted
    if ends.shared:
        # A reset connection is counted at each of its ends, and both are here.
        return [
            *lines,
            *_line("SYNs sent by the client", "", OPENED, counted.opened, client),
            *_line("connections established", "", ACCEPTED, counted.connected, client, -races.unaccepted),
            *_line("closed by FIN", "", ACTIVE_CLOSES, fins, client, races.fins - races.late),
            *_line(
                "closed by RST, both ends",
                "",
                RESETS,
                2 * resets + counted.server_fin_reset,
                client,
                unmet,
            ),
        ]
    return [
        *lines,
        *_line("SYNs sent by the client", opener, OPENED, counted.opened, client),
        *_line("connections established", accepter, ACCEPTED, counted.connected, server, -races.unaccepted),
        *_line(
            "closed by the client, FIN",
            opener,
            ACTIVE_CLOSES,
            client_fin,
            client,
            -races.behind - races.lost,
        ),
        *_line(
            "closed by the server, FIN",
            accepter,
            ACTIVE_CLOSES,
            server_fin,
            server,
            races.fins - races.late,
        ),
        # A RST after the server's FIN meets the client in CLOSE-WAIT, which counts it; the server has ended.
        *_line("closed by RST", opener, RESETS, resets + counted.server_fin_reset, client),
        *_line("closed by RST", accepter, RESETS, resets, server, unmet),
    ]


def audit_ends(ends: LegCounts) -> list[AuditLine]:
    """The comparisons that remain if the kernel alone counts: one end of a leg against the other.

    Each close is counted by the side that made it; this was exact for wrk, ab and curl, with connections that
    were cut off, too. Closes are not compared while a connection is still open, nor if both sides closed the
    same connections (`closed_by_both`): then it is not known how many there must be.
    """
    connected, closed = _connected(ends.opener), _ends(ends)
    if connected is None:
        return []
    opened = f"connections established at the {ends.leg.opener}"
    lines = [*_line(opened, f"{ends.leg.accepter} ", ACCEPTED, connected, ends.accepter)]
    all_ended = not any(counters.get("CurrEstab", 0) for counters in ends.kernels)
    if all_ended and closed and not closed_by_both(ends):
        source = f"{' + '.join(ENDS)}, of both sides"
        lines.append(AuditLine("connections, one close each", source, connected, sum(closed)))
    return lines


def closed_by_both(ends: LegCounts) -> int:
    """Connections that both sides closed, each before it knew of the other's close (RFC 9293, section 3.6).

    Each of them counts as two closes, so there are at least as many as closes exceed connections; one that is
    still open would hide one. 0 if there are no more closes than connections, and if a side has more closes
    than there are connections: simultaneous closes do not explain that.
    """
    connected, closed = _connected(ends.opener), _ends(ends)
    if connected is None or any(count > connected * (2 if ends.shared else 1) for count in closed):
        return 0
    return max(sum(closed) - connected, 0)


def _connected(client: Mapping[str, int]) -> int | None:
    """Connections established, by the client's kernel; None if it does not count them."""
    if not all(name in client for name in (*OPENED, *FAILED)):
        return None
    return client["ActiveOpens"] - client["AttemptFails"]


def _ends(ends: LegCounts) -> list[int]:
    """Closes by FIN or RST of each end, or of both in a shared namespace; empty if they are not counted."""
    if not all(name in counters for counters in ends.kernels for name in ENDS):
        return []
    return [sum(counters[name] for name in ENDS) for counters in ends.kernels]


def missing(legs: Sequence[LegCounts], *, commanded: bool = False) -> list[str]:
    """The counters that the audit needs (of drivers, or `commanded`) and that a kernel does not have."""
    needed = (*OPENED, *ACCEPTED, *ACTIVE_CLOSES, *((*FAILED, *ABORTS) if commanded else RESETS))
    return [
        name for name in needed if any(name not in counters for ends in legs for counters in ends.kernels)
    ]


def _line(
    what: str,
    where: str,
    names: tuple[str, ...],
    ours: int,
    counters: Mapping[str, int],
    by_races: int = 0,
) -> Iterator[AuditLine]:
    """The comparison with the sum of some counters, if the kernel has them all."""
    if all(name in counters for name in names):
        yield AuditLine(what, where + " + ".join(names), ours, sum_of(counters, names), by_races)
