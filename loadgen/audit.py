"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. The identities are K18 and K19; where both sides share a namespace its counters hold both sides'
doings, and are compared with the sum. A counter that the kernel lacks is not 0: its comparisons are
left out, and `missing` names it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadgen.records import Closes
from loadgen.tcp import Side

_OPENED = ("ActiveOpens",)
_FAILED = ("AttemptFails",)
_ACCEPTED = ("PassiveOpens",)
ACTIVE_CLOSES = ("TW", "TWKilled", "TCPTimeWaitOverflow")
"""Together, the active closes by FIN (K18)."""
ABORTS = ("TCPAbortOnData", "TCPAbortOnClose")
"""Counted by the side that ends a connection by RST, whatever state that finds the other in (K4)."""
_RESETS = ("EstabResets",)


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
    """One comparison: `what` was counted, by churn and by `source`."""

    what: str
    source: str
    ours: int
    theirs: int

    @property
    def exact(self) -> bool:
        return self.ours == self.theirs


def audit(counted: Counted, kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[AuditLine]:
    """All comparisons that can be made. `kernel` holds each side's counters, less those of the baseline."""
    client, server, closes = kernel[Side.CLIENT], kernel[Side.SERVER], counted.closes
    lines = [
        AuditLine("attempts, one outcome each", "outcomes", counted.attempts, counted.outcomes),
        AuditLine("connections, one close each", "closes", counted.connected, closes.total),
    ]
    resets = closes.client_rst + closes.server_rst
    if shared:
        # A reset connection is counted at each of its ends, and both are here.
        return [
            *lines,
            *_line("SYNs sent by the client", "", _OPENED, counted.opened, client),
            *_line("connections established", "", _ACCEPTED, counted.connected, client),
            *_line("closed by FIN", "", ACTIVE_CLOSES, closes.client_fin + closes.server_fin, client),
            *_line("closed by RST, both ends", "", _RESETS, 2 * resets, client),
        ]
    return [
        *lines,
        *_line("SYNs sent by the client", "client ", _OPENED, counted.opened, client),
        *_line("connections established", "server ", _ACCEPTED, counted.connected, server),
        *_line("closed by the client, FIN", "client ", ACTIVE_CLOSES, closes.client_fin, client),
        *_line("closed by the server, FIN", "server ", ACTIVE_CLOSES, closes.server_fin, server),
        *_line("closed by RST", "client ", _RESETS, resets, client),
        *_line("closed by RST", "server ", _RESETS, resets, server),
    ]


def audit_sides(kernel: Mapping[Side, Mapping[str, int]], *, shared: bool) -> list[AuditLine]:
    """The comparisons that are left where a command drives and the kernel alone counts: side against side.

    Each end of a connection is counted where it was made; so it held for wrk, ab and curl, to the last
    one, cut off in mid-flight too. It is left out while somebody has yet to close.
    """
    client, server = kernel[Side.CLIENT], kernel[Side.SERVER]
    if not all(name in client for name in (*_OPENED, *_FAILED)):
        return []
    connected = client["ActiveOpens"] - client["AttemptFails"]
    ends = (*ACTIVE_CLOSES, *ABORTS)
    all_ended = not any(counters.get("CurrEstab", 0) for counters in kernel.values())
    # In one namespace for both sides, its counters hold both sides' ends.
    sides = (client,) if shared else (client, server)
    lines = [*_line("connections established at the client", "server ", _ACCEPTED, connected, server)]
    if all_ended and all(name in counters for counters in sides for name in ends):
        closed = sum(counters[name] for counters in sides for name in ends)
        source = f"{' + '.join(ends)}, of both sides"
        lines.append(AuditLine("connections, one close each", source, connected, closed))
    return lines


def missing(kernel: Mapping[Side, Mapping[str, int]]) -> list[str]:
    """The counters that the audit needs and a side's kernel does not have."""
    needed = (*_OPENED, *_ACCEPTED, *ACTIVE_CLOSES, *_RESETS)
    return [name for name in needed if any(name not in counters for counters in kernel.values())]


def _line(
    what: str, side: str, names: tuple[str, ...], ours: int, counters: Mapping[str, int]
) -> Iterator[AuditLine]:
    """The comparison with the sum of some counters, where the kernel has them all."""
    if all(name in counters for name in names):
        yield AuditLine(what, side + " + ".join(names), ours, sum(counters[name] for name in names))
