"""Dumps of a namespace's sockets, or of its conntrack, made less often if they are expensive."""

from collections.abc import Callable
from time import monotonic_ns, thread_time_ns
from typing import Generic, TypeVar

T = TypeVar("T")

CHEAP_NS = 1_000_000
"""A dump that takes no more of a core than this is made for every sample."""
DUMP_SHARE = 150
"""Others take so small a part of a core. Left out of a dump, TIME-WAITs are still walked over: 0.1 us each,
so that 28k of them cost 2 ms and 120k 8 to 13 ms. What is dear is done less often instead."""
DUMP_LEAST_NS = 1_000_000_000
"""But once in a while at least, whatever it costs."""


class PacedDump(Generic[T]):
    """Dumps a namespace's table, or has the last dump again while the next one is not due."""

    def __init__(
        self,
        dump: Callable[[], T],
        now_ns: Callable[[], int] = monotonic_ns,
        cpu_ns: Callable[[], int] = thread_time_ns,
        share: int = DUMP_SHARE,
    ) -> None:
        """`share`: dumps that are not cheap take one part in so many of a core."""
        self._dump = dump
        self._now_ns = now_ns
        self._cpu_ns = cpu_ns
        self._share = share
        self._table: T | None = None
        self._taken_ns = self._due_ns = 0

    def read(self, *, fresh: bool) -> tuple[T, int]:
        """What it dumps, and how long ago that was read, in ns: 0 where `fresh`."""
        now_ns = self._now_ns()
        if fresh or self._table is None or now_ns >= self._due_ns:
            before_ns = self._cpu_ns()
            self._table = self._dump()
            cost_ns = self._cpu_ns() - before_ns
            pause_ns = min(cost_ns * self._share, DUMP_LEAST_NS) if cost_ns > CHEAP_NS else 0
            self._taken_ns, self._due_ns = now_ns, now_ns + pause_ns
        return self._table, now_ns - self._taken_ns
