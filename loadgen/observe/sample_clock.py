"""The instants at which samples are due. Pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """The instants at which samples are due: multiples of the period since the origin, none twice.

    `due_ns` is the next one still to come, and `owed_ns` the first since the last sample began: an earlier
    one where that sample took longer than a period. Lateness is counted from there, so that instants
    that were missed are reported however they were.
    """

    origin_ns: int
    every_ns: int
    due_ns: int = field(init=False)
    owed_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.due_ns = self.owed_ns = self.origin_ns

    def advance(self, begun_ns: int, now_ns: int) -> None:
        """Go on from a sample that began and ended then. Instants that were missed are not made up for."""
        self.owed_ns, self.due_ns = self._after(begun_ns), self._after(now_ns)

    def _after(self, instant_ns: int) -> int:
        """The first that is past both this instant and the one that was due."""
        periods = (max(instant_ns, self.due_ns) - self.origin_ns) // self.every_ns
        return self.origin_ns + (periods + 1) * self.every_ns
