"""How a process knows, by its clock, that it was held up: stopped, swapped out, or without a core."""

from dataclasses import dataclass
from time import monotonic_ns

HELD_UP_NS = 500_000_000
"""A process that does what it does at regular instants was held up where it is later by this much. What is
shorter is usual where cores are shared, and shows in the records as late."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one instant of CLOCK_MONOTONIC to another."""

    start_ns: int
    end_ns: int


class Pulse:
    """Beats as often as its process does something that is due every `period_ns`."""

    def __init__(self, period_ns: int, now_ns: int | None = None) -> None:
        self._longest_ns = period_ns + HELD_UP_NS
        self._last_ns = monotonic_ns() if now_ns is None else now_ns

    def beat(self, now_ns: int | None = None) -> Span | None:
        """It was done now; the span since the last time, where that is too long."""
        span = Span(self._last_ns, monotonic_ns() if now_ns is None else now_ns)
        self._last_ns = span.end_ns
        return span if span.end_ns - span.start_ns >= self._longest_ns else None
