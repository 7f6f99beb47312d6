"""What becomes of the arrivals of an open loop."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic

from loadgen.drivers import arrivals
from loadgen.drivers.lifecycle import Connection, Lifecycle
from loadgen.drivers.plan import OpenLoop, Plan
from loadgen.drivers.tally import Tally


def intended_starts(plan: Plan, loop: OpenLoop) -> Iterator[int]:
    """When this worker's requests should start, in ns since the load began."""
    whole = arrivals.schedule(loop.arrivals, plan.course, plan.seed, loop.burst)
    # Every worker walks the one schedule: dealt out in turn, it is still the one that was asked for.
    return islice(whole, plan.worker, None, plan.workers)


class Admission(Generic[Connection]):
    """Arrivals at a rate, whatever becomes of the earlier ones.

    An arrival takes the connection that became idle last or opens a new one, as a client's pool does. If the
    cap of connections is reached it is dropped, and counted: it is never put off, which would hide the wait
    (coordinated omission).
    """

    def __init__(
        self,
        plan: Plan,
        loop: OpenLoop,
        tally: Tally,
        load: Lifecycle[Connection],
        exchange: Callable[[Connection, int], None],
    ) -> None:
        """`exchange` begins one on an idle connection, for the instant that it was meant for."""
        self._cap = loop.connections
        self._tally = tally
        self._load = load
        self._exchange = exchange
        self._starts = intended_starts(plan, loop)
        self._origin_ns = 0
        self.due_ns: int | None = None
        """When the next arrival is due; None if none is left."""
        self.waiting: deque[int] = deque()
        """The instants of those admitted whose connection is not yet opened."""

    def begin(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._advance()

    def admit_due(self, now_ns: int) -> None:
        """Admit what is due at `now_ns`, or drop it."""
        while self.due_ns is not None and self.due_ns <= now_ns:
            self._admit(self.due_ns)
            self._advance()

    def end(self) -> None:
        """Nothing is due any more, and what waits for a connection is dropped."""
        self.due_ns = None
        self._tally.dropped += len(self.waiting)
        self.waiting.clear()

    def _advance(self) -> None:
        offset_ns = next(self._starts, None)
        self.due_ns = None if offset_ns is None else self._origin_ns + offset_ns

    def _admit(self, intended_ns: int) -> None:
        self._tally.offered += 1
        connection = self._load.take_idle()
        if connection is not None:
            self._exchange(connection, intended_ns)
        elif self._load.connections + len(self.waiting) < self._cap:
            self.waiting.append(intended_ns)
        else:
            self._tally.dropped += 1
