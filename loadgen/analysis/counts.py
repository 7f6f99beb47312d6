"""What is counted over a variant: the driver's totals, and the names of the kernel's counters beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadgen.records.viewpoints import Leg
from loadgen.tcp import Ending

OPENED = ("ActiveOpens",)
FAILED = ("AttemptFails",)
ACCEPTED = ("PassiveOpens",)
ACTIVE_CLOSES = ("TW", "TWKilled", "TCPTimeWaitOverflow")
"""Together, the active closes by FIN (K18)."""
ABORTED_ON_DATA = "TCPAbortOnData"
ABORTS = (ABORTED_ON_DATA, "TCPAbortOnClose")
"""Counted by the side that ends a connection by RST, in whatever state the other end is (K4). The first is
counted, too, if bytes arrive after a close."""
ENDS = (*ACTIVE_CLOSES, *ABORTS)
RESETS = ("EstabResets",)
OVERFLOWS = "ListenOverflows"
"""SYNs, and last ACKs of handshakes, that the server dropped because the accept queue was full (K15)."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the driver counted over a whole variant: fields of `Interval`, and attempts that failed."""

    attempts: int = 0
    opened: int = 0
    connected: int = 0
    succeeded: int = 0
    failed: int = 0
    closes: Counter[Ending] = field(default_factory=Counter[Ending])
    server_fin_reset: int = 0

    @property
    def outcomes(self) -> int:
        return self.succeeded + self.failed


@dataclass(frozen=True, slots=True)
class LegCounts:
    """The kernel's counters at both ends of a leg, less those of the baseline.

    `shared`: both ends are in one namespace, and its counters count both.
    """

    leg: Leg
    opener: Mapping[str, int]
    accepter: Mapping[str, int]
    shared: bool

    @property
    def kernels(self) -> Sequence[Mapping[str, int]]:
        """The counters of each namespace, once."""
        return (self.opener,) if self.shared else (self.opener, self.accepter)


def sum_of(counters: Mapping[str, int], names: tuple[str, ...]) -> int:
    """The sum of some counters, all of which the kernel has."""
    return sum(counters[name] for name in names)
