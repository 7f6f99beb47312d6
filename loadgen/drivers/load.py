"""Closed and open loop: when a connection is opened, and when an exchange begins on it.

A load knows nothing of sockets. It starts attempts through the function it is given, and hears of
each again when it idles (ready for a next exchange) and when it has ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from time import monotonic_ns
from typing import Protocol

from loadgen.drivers import arrivals
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.timer import Timer
from loadgen.tcp import Closer

START_BUDGET_NS = 1_000_000
"""How long connections are opened in one go before the loop may see to the others. A connect() that
finds no port takes 3 to 4.5 ms of CPU (K8): 64 in a row would stop all else for a quarter of a second."""


class Attempt(Protocol):
    """One connect-to-close try, as a load sees it."""

    def exchange(self, intended_ns: int) -> None:
        """Begin a request on the idle connection, meant for the instant `intended_ns`."""

    def finish(self) -> None:
        """Close the idle connection, as the scenario says: its closer is the client."""


Connect = Callable[[int], None]
"""Opens a connection for an exchange that was meant for the given instant."""


class Load:
    """What both loops share: opening within a budget, and the way to the end.

    After `end()` no exchange begins. Connections the client closes are closed as they idle; those
    the server closes are left to it. `quiet` is set once no exchange is under way, `over` once no
    connection is left.
    """

    def __init__(self, plan: Plan, tally: Tally, connect: Connect) -> None:
        self._plan = plan
        self._tally = tally
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._wanted: deque[int] = deque()
        self._opening = False
        self._idle: dict[Attempt, None] = {}
        self.ending = False
        self.quiet = asyncio.Event()
        self.over = asyncio.Event()

    def begin(self, origin_ns: int) -> None:
        """The load begins, or should have begun at that instant."""
        raise NotImplementedError

    def idle(self, attempt: Attempt) -> None:
        """An exchange is complete and the connection is good for another."""
        self._idle[attempt] = None
        if self.ending:
            self._retire(attempt)

    def ended(self, attempt: Attempt) -> None:
        """The attempt is over, well or not."""
        self._idle.pop(attempt, None)
        self._look_round()

    def end(self) -> None:
        """Begin no more than what is wanted already, and of that no more than the budget allows."""
        self._open_wanted()
        self.ending = True
        self._tally.dropped += len(self._wanted)
        self._wanted.clear()
        for attempt in list(self._idle):
            self._retire(attempt)
        self._look_round()

    def _open(self, intended_ns: int) -> None:
        """Have a connection opened; not here, for all that a round of the loop wants shares one budget."""
        self._wanted.append(intended_ns)
        if not self._opening:
            self._opening = True
            self._loop.call_soon(self._open_wanted)

    def _open_wanted(self) -> None:
        """Open what is wanted, for as long as the budget lasts; the rest in the loop's next round."""
        until_ns = monotonic_ns() + START_BUDGET_NS
        while self._wanted and monotonic_ns() < until_ns:
            self._connect(self._wanted.popleft())
        self._opening = bool(self._wanted)
        if self._opening:
            self._loop.call_soon(self._open_wanted)

    def _retire(self, attempt: Attempt) -> None:
        if self._plan.closer is Closer.CLIENT:
            self._idle.pop(attempt, None)
            attempt.finish()
        self._look_round()

    def _look_round(self) -> None:
        if self.ending:
            if self._tally.in_flight <= len(self._idle):
                self.quiet.set()
            if not self._tally.in_flight:
                self.over.set()


class ClosedLoad(Load):
    """A fixed number of connections in flight: one ends, the next begins."""

    def __init__(self, plan: Plan, loop: ClosedLoop, tally: Tally, connect: Connect) -> None:
        super().__init__(plan, tally, connect)
        self._connections = loop.connections

    def begin(self, origin_ns: int) -> None:
        for _ in range(self._connections):
            self._next(origin_ns)

    def ended(self, attempt: Attempt) -> None:
        super().ended(attempt)
        if not self.ending:
            self._next(monotonic_ns())

    def idle(self, attempt: Attempt) -> None:
        if self.ending:
            super().idle(attempt)
        elif self._plan.think_ns:
            super().idle(attempt)
            self._loop.call_later(self._plan.think_ns / 1e9, self._wake, attempt)
        else:
            self._exchange(attempt)

    def _next(self, intended_ns: int) -> None:
        self._tally.offered += 1
        self._open(intended_ns)

    def _wake(self, attempt: Attempt) -> None:
        if not self.ending and attempt in self._idle:
            del self._idle[attempt]
            self._exchange(attempt)

    def _exchange(self, attempt: Attempt) -> None:
        self._tally.offered += 1
        attempt.exchange(monotonic_ns())


def intended_starts(plan: Plan, loop: OpenLoop) -> Iterator[int]:
    """When this worker's requests should start, in ns since the load began."""
    whole = arrivals.schedule(loop.arrivals, loop.rate, plan.duration_ns, plan.seed)
    # Every worker walks the one schedule: dealt out in turn, it is still the one that was asked for.
    return islice(whole, plan.worker, None, plan.workers)


class OpenLoad(Load):
    """Arrivals at a rate, whatever becomes of the earlier ones.

    An arrival takes the connection that idled last or opens a new one, as a client's pool does.
    Where the cap of connections is reached it is dropped, and counted: it is never put off, which
    would hide the wait (coordinated omission).
    """

    def __init__(self, plan: Plan, loop: OpenLoop, tally: Tally, connect: Connect) -> None:
        super().__init__(plan, tally, connect)
        self._connections = loop.connections
        self._arrivals = intended_starts(plan, loop)
        self._origin_ns = 0
        self._due_ns: int | None = None
        self._timer = Timer(self._loop, self._arrive)

    def begin(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._advance()
        self._arrive()

    def end(self) -> None:
        self._admit_due()
        self._timer.close()
        super().end()

    def _advance(self) -> None:
        offset_ns = next(self._arrivals, None)
        self._due_ns = None if offset_ns is None else self._origin_ns + offset_ns

    def _arrive(self) -> None:
        self._admit_due()
        if self._due_ns is not None:
            self._timer.at(self._due_ns)

    def _admit_due(self) -> None:
        # What becomes due meanwhile waits for the next round: else a high rate would hold the loop for good.
        now_ns = monotonic_ns()
        while self._due_ns is not None and self._due_ns <= now_ns:
            self._admit(self._due_ns)
            self._advance()

    def _admit(self, intended_ns: int) -> None:
        self._tally.offered += 1
        if self._idle:
            attempt, _ = self._idle.popitem()
            attempt.exchange(intended_ns)
        elif self._tally.in_flight + len(self._wanted) < self._connections:
            self._open(intended_ns)
        else:
            self._tally.dropped += 1


def load_of(plan: Plan, tally: Tally, connect: Connect) -> Load:
    match plan.loop:
        case ClosedLoop():
            return ClosedLoad(plan, plan.loop, tally, connect)
        case OpenLoop():
            return OpenLoad(plan, plan.loop, tally, connect)
