"""The audit: churn's counts against the kernel's, each of which must be the same number (law 5).

Pure. The identities are K18 and K19; where both sides share a namespace its counters hold both sides'
doings, and are compared with the sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.records import Closes
from loadgen.tcp import Side

_TIME_WAIT = ("TW", "TWKilled", "TCPTimeWaitOverflow")
"""Together, the active closes by FIN (K18)."""


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
    """All comparisons. `kernel` holds each side's counters as differences over the variant."""
    lines = [
        AuditLine(
            "attempts, one outcome each",
            "outcomes",
            counted.attempts,
            counted.outcomes,
        ),
        AuditLine("connections, one close each", "closes", counted.connected, counted.closes.total),
    ]
    return lines + (_shared(counted, kernel) if shared else _apart(counted, kernel))


def _apart(counted: Counted, kernel: Mapping[Side, Mapping[str, int]]) -> list[AuditLine]:
    client, server = kernel[Side.CLIENT], kernel[Side.SERVER]
    opened, connected, closes = counted.opened, counted.connected, counted.closes
    resets = closes.client_rst + closes.server_rst
    return [
        AuditLine("SYNs sent by the client", "client ActiveOpens", opened, client["ActiveOpens"]),
        AuditLine("connections established", "server PassiveOpens", connected, server["PassiveOpens"]),
        AuditLine("closed by the client, FIN", f"client {_SUM}", closes.client_fin, _time_waits(client)),
        AuditLine("closed by the server, FIN", f"server {_SUM}", closes.server_fin, _time_waits(server)),
        AuditLine("closed by RST", "client EstabResets", resets, client["EstabResets"]),
        AuditLine("closed by RST", "server EstabResets", resets, server["EstabResets"]),
    ]


def _shared(counted: Counted, kernel: Mapping[Side, Mapping[str, int]]) -> list[AuditLine]:
    both = kernel[Side.CLIENT]
    closes = counted.closes
    # A reset connection is counted at each of its ends, and both are here.
    resets = 2 * (closes.client_rst + closes.server_rst)
    return [
        AuditLine("SYNs sent by the client", "ActiveOpens", counted.opened, both["ActiveOpens"]),
        AuditLine("connections established", "PassiveOpens", counted.connected, both["PassiveOpens"]),
        AuditLine("closed by FIN", _SUM, closes.client_fin + closes.server_fin, _time_waits(both)),
        AuditLine("closed by RST, both ends", "EstabResets", resets, both["EstabResets"]),
    ]


_SUM = " + ".join(("TW", "TWKilled", "overflow"))


def _time_waits(counters: Mapping[str, int]) -> int:
    return sum(counters.get(name, 0) for name in _TIME_WAIT)
