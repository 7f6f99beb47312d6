"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. The identities are K18 and K19. If both sides share a namespace, its counters count both sides, and are
compared with the sum. A counter that the kernel does not have is not 0: its comparisons are left out, and
`missing` names it. A connection that both sides closed, or that only the client took for established, is
counted differently by churn and by the kernels: if that explains a difference, the line has its size.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loadgen.analysis.counts import (
    ABORTS,
    ACCEPTED,
    ACTIVE_CLOSES,
    ENDS,
    FAILED,
    OPENED,
    RESETS,
    Counted,
    sum_of,
)
from loadgen.analysis.races import NO_RACES, Races
from loadgen.tcp import Ending, Side


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One comparison: `what` was counted, by churn and by `source`.

    `by_races` is the difference that races between the two ends explain (`Races`).
    """

    what: str
    source: str
    ours: int
    theirs: int
    by_races: int = 0

    @property
    def exact(self) -> bool:
        return self.ours + self.by_races == self.theirs


def audit(
    counted: Counted,
    kernel: Mapping[Side, Mapping[str, int]],
    *,
    shared: bool,
    races: Races = NO_RACES,
) -> list[AuditLine]:
    """All comparisons that can be made. `kernel` holds each side's counters, less those of the baseline."""
    client, server = kernel[Side.CLIENT], kernel[Side.SERVER]
    client_fin, client_rst, server_fin, server_rst = (counted.closes[ending] for ending in Ending)
    lines = [
        AuditLine("attempts, one outcome each", "outcomes", counted.attempts, counted.outcomes),
        AuditLine("connections, one close each", "closes", counted.connected, counted.closes.total()),
    ]
    fins, resets = client_fin + server_fin, client_rst + server_rst
    unmet = races.refused - races.resets - races.unaccepted
    if shared:
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
        *_line("SYNs sent by the client", "client ", OPENED, counted.opened, client),
        *_line("connections established", "server ", ACCEPTED, counted.connected, server, -races.unaccepted),
        *_line(
            "closed by the client, FIN",
            "client ",
            ACTIVE_CLOSES,
            client_fin,
            client,
            -races.behind - races.lost,
        ),
        *_line(
            "closed by the server, FIN",
            "server ",
            ACTIVE_CLOSES,
            server_fin,
            server,
            races.fins - races.late,
        ),
        # A RST after the server's FIN meets the client in CLOSE-WAIT, which counts it; the server has ended.
        *_line("closed by RST", "client ", RESETS, resets + counted.server_fin_reset, client),
        *_line("closed by RST", "server ", RESETS, resets, server, unmet),
    ]


def audit_sides(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[AuditLine]:
    """The comparisons that remain if a command makes the load and the kernel alone counts: side against side.

    Each close is counted by the side that made it; this was exact for wrk, ab and curl, with connections that
    were cut off, too. Closes are not compared while a connection is still open, nor if both sides closed the
    same connections (`closed_by_both`): then it is not known how many there must be.
    """
    client, server = kernel[Side.CLIENT], kernel[Side.SERVER]
    connected, closed = _connected(client), _ends(kernel, shared=shared)
    if connected is None:
        return []
    lines = [*_line("connections established at the client", "server ", ACCEPTED, connected, server)]
    all_ended = not any(counters.get("CurrEstab", 0) for counters in kernel.values())
    if all_ended and closed and not closed_by_both(kernel, shared=shared):
        source = f"{' + '.join(ENDS)}, of both sides"
        lines.append(AuditLine("connections, one close each", source, connected, sum(closed)))
    return lines


def closed_by_both(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> int:
    """Connections that both sides closed, each before it knew of the other's close (RFC 9293, section 3.6).

    Each of them counts as two closes, so there are at least as many as closes exceed connections; one that is
    still open would hide one. 0 if there are no more closes than connections, and if a side has more closes
    than there are connections: simultaneous closes do not explain that.
    """
    connected, closed = _connected(kernel[Side.CLIENT]), _ends(kernel, shared=shared)
    if connected is None or any(ends > connected * (2 if shared else 1) for ends in closed):
        return 0
    return max(sum(closed) - connected, 0)


def _connected(client: Mapping[str, int]) -> int | None:
    """Connections established, by the client's kernel; None if it does not count them."""
    if not all(name in client for name in (*OPENED, *FAILED)):
        return None
    return client["ActiveOpens"] - client["AttemptFails"]


def _ends(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[int]:
    """Closes by FIN or RST of each side, or of both in a shared namespace; empty if they are not counted."""
    sides = [kernel[side] for side in ((Side.CLIENT,) if shared else Side)]
    if not all(name in counters for counters in sides for name in ENDS):
        return []
    return [sum(counters[name] for name in ENDS) for counters in sides]


def missing(kernel: Mapping[Side, Mapping[str, int]], *, commanded: bool = False) -> list[str]:
    """The counters that the audit needs (of drivers, or `commanded`) and that a kernel does not have."""
    needed = (*OPENED, *ACCEPTED, *ACTIVE_CLOSES, *((*FAILED, *ABORTS) if commanded else RESETS))
    return [name for name in needed if any(name not in counters for counters in kernel.values())]


def _line(
    what: str,
    side: str,
    names: tuple[str, ...],
    ours: int,
    counters: Mapping[str, int],
    by_races: int = 0,
) -> Iterator[AuditLine]:
    """The comparison with the sum of some counters, if the kernel has them all."""
    if all(name in counters for name in names):
        yield AuditLine(what, side + " + ".join(names), ours, sum_of(counters, names), by_races)
