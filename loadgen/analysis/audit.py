"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. The identities are K18 and K19; where both sides share a namespace its counters hold both sides'
doings, and are compared with the sum. A counter that the kernel lacks is not 0: its comparisons are
left out, and `missing` names it. A connection that both sides ended, or that only the client took for
established, is one to churn and something else to either kernel: where that explains a difference the line
says of how much of it (`Crossed`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil

from loadgen.records.types import Closes
from loadgen.tcp import Side

_OPENED = ("ActiveOpens",)
_FAILED = ("AttemptFails",)
_ACCEPTED = ("PassiveOpens",)
ACTIVE_CLOSES = ("TW", "TWKilled", "TCPTimeWaitOverflow")
"""Together, the active closes by FIN (K18)."""
_ABORTED_ON_DATA = "TCPAbortOnData"
ABORTS = (_ABORTED_ON_DATA, "TCPAbortOnClose")
"""Counted by the side that ends a connection by RST, whatever state that finds the other in (K4). The first
is counted, too, where bytes come after a close."""
BEHIND = 0.25
"""The share of the client's FINs that the server may have been first with, after all. Between the look who
was first and the FIN lie microseconds: more than that is a driver that counts wrongly."""
BEHIND_ANYWAY = 8
"""As many as uring closes together after the last look, of however few."""
_ENDS = (*ACTIVE_CLOSES, *ABORTS)
_RESETS = ("EstabResets",)
_OVERFLOWS = "ListenOverflows"
"""SYNs, and last ACKs of handshakes, that the server dropped for want of room in the accept queue (K15)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the driver counted over a whole variant."""

    attempts: int = 0
    opened: int = 0
    connected: int = 0
    succeeded: int = 0
    failed: int = 0
    closes: Closes = field(default_factory=Closes)

    @property
    def outcomes(self) -> int:
        return self.succeeded + self.failed


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One comparison: `what` was counted, by churn and by `source`.

    `crossed` is how far the kernel's count is to be from churn's, for what `Crossed` has.
    """

    what: str
    source: str
    ours: int
    theirs: int
    crossed: int = 0

    @property
    def exact(self) -> bool:
        return self.ours + self.crossed == self.theirs


@dataclass(frozen=True, slots=True)
class Crossed:
    """Connections of which the two kernels count otherwise than churn, which knows the client's side alone.

    Ended by the client, and by the server before it knew of that (RFC 9293, section 3.6):

    fins        the client's FIN came to a server that had sent its own: that has a TIME-WAIT, too
    behind      those of them where the server's FIN was with the client first, a moment after it was asked
                about: the client has no TIME-WAIT. Unknown in a shared namespace
    resets      the client's RST came to a server that had sent its FIN and kept its descriptor: no
                EstabResets and no TIME-WAIT there
    refused     the client's FIN came to a server that closed with bytes unread: its RST is in its
                EstabResets; lost: those of them whose RST came before the client had TIME-WAIT

    Ended by the server's FIN:

    late        bytes of the client came after it: the server's RST left no TIME-WAIT (RFC 1122, 4.2.2.13)

    Ended by a RST of either side:

    unaccepted  established for the client alone. The server had dropped the last ACK of the handshake, its
                accept queue being full: PassiveOpens and EstabResets do not have it
    """

    fins: int = 0
    behind: int = 0
    resets: int = 0
    refused: int = 0
    lost: int = 0
    late: int = 0
    unaccepted: int = 0


NONE_CROSSED = Crossed()


def crossed_ends(
    counted: Counted, kernel: Mapping[Side, Mapping[str, int]], *, shared: bool, server_ends: bool = True
) -> Crossed:
    """What the kernels count otherwise than churn, as `Crossed` has it; none where that does not explain it.

    For drivers. Where the server ends no connections by itself (`server_ends`) none can cross. No more can
    have crossed than churn counts as ended so, few can have been behind, and of the others a counter of the
    server tells how many there were at most.
    """
    if any(name not in kernel[side] for side in Side for name in (*_ACCEPTED, *ACTIVE_CLOSES, *_RESETS)):
        return NONE_CROSSED
    client, server, closes = kernel[Side.CLIENT], kernel[Side.SERVER], counted.closes
    resets = closes.client_rst + closes.server_rst
    unaccepted = counted.connected - _sum(server, _ACCEPTED)
    if not 0 <= unaccepted <= min(resets, server.get(_OVERFLOWS, 0)):
        unaccepted = 0
    if not server_ends:
        return Crossed(unaccepted=unaccepted)
    if shared:
        fins, behind = _sum(client, ACTIVE_CLOSES) - closes.client_fin - closes.server_fin, 0
        spared = 2 * resets + closes.server_fin_reset - _sum(client, _RESETS) - unaccepted
    else:
        fins = _sum(server, ACTIVE_CLOSES) - closes.server_fin
        behind = closes.client_fin - _sum(client, ACTIVE_CLOSES)
        spared = resets - _sum(server, _RESETS) - unaccepted
    refused = (
        -spared if 0 < -spared <= min(closes.client_fin, sum(server.get(name, 0) for name in ABORTS)) else 0
    )
    lost = min(max(behind, 0), refused)
    late = -fins if 0 < -fins <= min(closes.server_fin, server.get(_ABORTED_ON_DATA, 0)) else 0
    fins, behind = fins + late, behind - lost
    if not (
        0 <= behind <= fins <= closes.client_fin
        and behind <= max(BEHIND_ANYWAY, ceil(BEHIND * closes.client_fin))
    ):
        fins = behind = 0
    return Crossed(
        fins, behind, spared if 0 <= spared <= closes.client_rst else 0, refused, lost, late, unaccepted
    )


def audit(
    counted: Counted,
    kernel: Mapping[Side, Mapping[str, int]],
    *,
    shared: bool,
    crossed: Crossed = NONE_CROSSED,
) -> list[AuditLine]:
    """All comparisons that can be made. `kernel` holds each side's counters, less those of the baseline."""
    client, server, closes = kernel[Side.CLIENT], kernel[Side.SERVER], counted.closes
    lines = [
        AuditLine("attempts, one outcome each", "outcomes", counted.attempts, counted.outcomes),
        AuditLine("connections, one close each", "closes", counted.connected, closes.total),
    ]
    fins, resets = closes.client_fin + closes.server_fin, closes.client_rst + closes.server_rst
    unmet = crossed.refused - crossed.resets - crossed.unaccepted
    if shared:
        # A reset connection is counted at each of its ends, and both are here.
        return [
            *lines,
            *_line("SYNs sent by the client", "", _OPENED, counted.opened, client),
            *_line("connections established", "", _ACCEPTED, counted.connected, client, -crossed.unaccepted),
            *_line("closed by FIN", "", ACTIVE_CLOSES, fins, client, crossed.fins - crossed.late),
            *_line(
                "closed by RST, both ends",
                "",
                _RESETS,
                2 * resets + closes.server_fin_reset,
                client,
                unmet,
            ),
        ]
    return [
        *lines,
        *_line("SYNs sent by the client", "client ", _OPENED, counted.opened, client),
        *_line(
            "connections established", "server ", _ACCEPTED, counted.connected, server, -crossed.unaccepted
        ),
        *_line(
            "closed by the client, FIN",
            "client ",
            ACTIVE_CLOSES,
            closes.client_fin,
            client,
            -crossed.behind - crossed.lost,
        ),
        *_line(
            "closed by the server, FIN",
            "server ",
            ACTIVE_CLOSES,
            closes.server_fin,
            server,
            crossed.fins - crossed.late,
        ),
        # A RST behind the server's FIN finds the client in CLOSE-WAIT, which counts, and the server done.
        *_line("closed by RST", "client ", _RESETS, resets + closes.server_fin_reset, client),
        *_line("closed by RST", "server ", _RESETS, resets, server, unmet),
    ]


def audit_sides(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[AuditLine]:
    """The comparisons that are left where a command drives and the kernel alone counts: side against side.

    Each end of a connection is counted where it was made; so it held for wrk, ab and curl, to the last
    one, cut off in mid-flight too. Ends are not compared while somebody has yet to close, nor where both
    sides closed the same connections (`closed_by_both`): then no number is known that they must be.
    """
    client, server = kernel[Side.CLIENT], kernel[Side.SERVER]
    connected, closed = _connected(client), _ends(kernel, shared=shared)
    if connected is None:
        return []
    lines = [*_line("connections established at the client", "server ", _ACCEPTED, connected, server)]
    all_ended = not any(counters.get("CurrEstab", 0) for counters in kernel.values())
    if all_ended and closed and not closed_by_both(kernel, shared=shared):
        source = f"{' + '.join(_ENDS)}, of both sides"
        lines.append(AuditLine("connections, one close each", source, connected, sum(closed)))
    return lines


def closed_by_both(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> int:
    """Connections that both sides ended, neither having heard of the other's end (RFC 9293, section 3.6).

    Each has two of the counted ends, so they are what the ends exceed the connections by: at the least, for a
    connection that nobody ended would hide one. 0 where no more ends than connections are counted, and where
    a side has more than there are connections: that this does not explain.
    """
    connected, closed = _connected(kernel[Side.CLIENT]), _ends(kernel, shared=shared)
    if connected is None or any(ends > connected * (2 if shared else 1) for ends in closed):
        return 0
    return max(sum(closed) - connected, 0)


def _connected(client: Mapping[str, int]) -> int | None:
    """Connections established, as the client's kernel has it; None where it does not count them."""
    if not all(name in client for name in (*_OPENED, *_FAILED)):
        return None
    return client["ActiveOpens"] - client["AttemptFails"]


def _ends(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[int]:
    """Ends by FIN or RST of each side, or of both in a shared namespace; empty where they are not counted."""
    sides = [kernel[side] for side in ((Side.CLIENT,) if shared else Side)]
    if not all(name in counters for counters in sides for name in _ENDS):
        return []
    return [sum(counters[name] for name in _ENDS) for counters in sides]


def missing(kernel: Mapping[Side, Mapping[str, int]], *, commanded: bool = False) -> list[str]:
    """The counters that the audit needs, or the one of sides where a command drives, and a kernel lacks."""
    needed = (*_OPENED, *_ACCEPTED, *ACTIVE_CLOSES, *((*_FAILED, *ABORTS) if commanded else _RESETS))
    return [name for name in needed if any(name not in counters for counters in kernel.values())]


def _line(
    what: str,
    side: str,
    names: tuple[str, ...],
    ours: int,
    counters: Mapping[str, int],
    crossed: int = 0,
) -> Iterator[AuditLine]:
    """The comparison with the sum of some counters, where the kernel has them all."""
    if all(name in counters for name in names):
        yield AuditLine(what, side + " + ".join(names), ours, _sum(counters, names), crossed)


def _sum(counters: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(counters[name] for name in names)
