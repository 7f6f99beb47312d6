"""What is counted over a variant: by the driver, and by the kernels at both ends of a leg."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadgen.records.viewpoints import Leg
from loadgen.tcp import Ending


@dataclass(frozen=True, slots=True)
class Counted:
    """What the driver counted over a whole variant: fields of `Interval`, and attempts that failed.

    `given_up` are those of them for which the driver waited too long, or until the run's end.
    """

    attempts: int = 0
    opened: int = 0
    connected: int = 0
    succeeded: int = 0
    failed: int = 0
    given_up: int = 0
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
