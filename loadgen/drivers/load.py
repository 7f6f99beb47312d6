"""Closed and open loop on an event loop: when a connection is opened, and when an exchange begins on it.

A load knows nothing of sockets. It starts attempts through the function that it is given; each reports back
when it is idle (ready for a next exchange) and when it has ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

from loadgen.drivers.admission import Admission
from loadgen.drivers.lifecycle import Lifecycle
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.tally import Tally
from loadgen.wire.timer import Timer

START_BUDGET_NS = 1_000_000
"""How long connections are opened in one go before the loop does its other work. A connect() that finds no
port takes 3 to 4.5 ms of CPU (K8): 64 in a row would stop everything else for a quarter of a second."""


class Attempt(Protocol):
    """One connect-to-close try, as a load sees it."""

    @property
    def retries(self) -> bool:
        """Whether another attempt takes its exchange on, now that it is over."""
        ...

    def exchange(self, intended_ns: int) -> None:
        """Begin a request on the idle connection, meant for the instant `intended_ns`."""

    def rest(self) -> None:
        """Nothing is looked for on the idle connection from now on, until its next exchange."""

    def watch(self) -> None:
        """The server's end is looked for again."""

    def finish(self) -> None:
        """Close the idle connection by the scenario's method: its closer is the client."""


Connect = Callable[[int], None]
"""Opens a connection for an exchange that was meant for the given instant."""


class Load(Lifecycle[Attempt]):
    """What both loops share: connections are opened within a budget."""

    def __init__(self, plan: Plan, tally: Tally, connect: Connect) -> None:
        super().__init__(plan, tally)
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._wanted: deque[int] = deque()
        """For each connection that is yet to be opened: the instant that its first exchange is meant for."""
        self._opening = False
        self._staying: dict[Attempt, None] = {}
        """Connections that have made their exchanges and stay open."""
        self.changed = asyncio.Event()
        """Set at each step towards the end, once the load is ending."""

    def idle(self, attempt: Attempt) -> None:
        """An exchange is complete and the connection is good for another."""
        if self.closes_idle:
            attempt.finish()
        else:
            self._idle[attempt] = None
            if not (self._plan.look or self.ending):
                attempt.rest()
        self._note_change()

    def stays(self, attempt: Attempt) -> None:
        """All exchanges are made, and no side is to close before the load ends."""
        self._staying[attempt] = None

    def ended(self, attempt: Attempt) -> None:
        """The attempt is over, well or not."""
        self._idle.pop(attempt, None)
        self._staying.pop(attempt, None)
        self._note_change()

    def end(self) -> None:
        """Begin no more than what is wanted already, and of that no more than the budget allows."""
        self._open_wanted()
        self._tally.dropped += len(self._wanted)
        self._wanted.clear()
        self._idle.update(self._staying)
        self._staying.clear()
        super().end()
        if not self._plan.look:
            for attempt in self._idle:
                attempt.watch()  # the server is to close them
        self._note_change()

    def _close(self, connections: list[Attempt]) -> None:
        for attempt in connections:
            attempt.finish()

    def _open_soon(self) -> None:
        """Open what is wanted; not here, because all that a round of the loop wants shares one budget."""
        if not self._opening and self._wanted:
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

    def _note_change(self) -> None:
        if self.ending:
            self.changed.set()


class ClosedLoad(Load):
    """A fixed number of connections in flight: one ends, the next begins."""

    def __init__(self, plan: Plan, loop: ClosedLoop, tally: Tally, connect: Connect) -> None:
        super().__init__(plan, tally, connect)
        self._most = int(plan.stages[0].level) if plan.stages else loop.connections
        """How many may be in flight, by the stage of the load."""
        self._begun = 0
        """How many are, or are yet to be opened."""

    def begin(self, origin_ns: int) -> None:
        while self._begun < self._most:
            self._next(origin_ns)

    def enter(self, level: float) -> None:
        """Open more; or leave those beyond to their end, and open none in their place."""
        self._most = int(level)
        while self._begun > self._most and self._wanted:
            self._wanted.pop()
            self._begun -= 1
            self._tally.dropped += 1
        while self._begun < self._most:
            self._next(monotonic_ns())

    def ended(self, attempt: Attempt) -> None:
        super().ended(attempt)
        if not (self.ending or attempt.retries):
            self._begun -= 1
            if self._begun < self._most:
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
        self._begun += 1
        self._tally.offered += 1
        self._wanted.append(intended_ns)
        self._open_soon()

    def _wake(self, attempt: Attempt) -> None:
        if not self.ending and attempt in self._idle:
            del self._idle[attempt]
            self._exchange(attempt)

    def _exchange(self, attempt: Attempt) -> None:
        self._tally.offered += 1
        attempt.exchange(monotonic_ns())


class OpenLoad(Load):
    """Arrivals at a rate, as `Admission` has them."""

    def __init__(self, plan: Plan, loop: OpenLoop, tally: Tally, connect: Connect) -> None:
        super().__init__(plan, tally, connect)
        self._admission = Admission(plan, loop, tally, self, _exchange)
        self._wanted = self._admission.waiting
        self._most_idle = loop.idle
        """How many idle connections are kept at most; None: all."""
        self._timer = Timer(self._loop, self._arrive)

    def begin(self, origin_ns: int) -> None:
        self._admission.begin(origin_ns)
        self._arrive()

    def idle(self, attempt: Attempt) -> None:
        if self._most_idle is not None and len(self._idle) >= self._most_idle:
            self._tally.pool_closed += 1
            attempt.finish()
            self._note_change()
            return
        super().idle(attempt)
        self._tally.pool_idle = max(self._tally.pool_idle, len(self._idle))

    def end(self) -> None:
        self._admission.admit_due(monotonic_ns())
        self._timer.close()
        super().end()
        self._admission.end()

    def _arrive(self) -> None:
        # What becomes due meanwhile waits for the next round: a high rate would hold the loop for good.
        self._admission.admit_due(monotonic_ns())
        self._open_soon()
        if self._admission.due_ns is not None:
            self._timer.at(self._admission.due_ns)


def _exchange(attempt: Attempt, intended_ns: int) -> None:
    attempt.exchange(intended_ns)


def load_of(plan: Plan, tally: Tally, connect: Connect) -> Load:
    match plan.loop:
        case ClosedLoop():
            return ClosedLoad(plan, plan.loop, tally, connect)
        case OpenLoop():
            return OpenLoad(plan, plan.loop, tally, connect)
