"""A load over slots: what each slot does next, and how long the worker may wait; here the closed loop."""

from collections import deque
from math import ceil
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.lifecycle import Lifecycle
from loadgen.drivers.plan import ClosedLoop, Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.connections import Connections, SlotAttempt
from loadgen.drivers.uring.slots import NONE, Mode, Slots, part
from loadgen.tcp import Side

START_BUDGET_NS = 10_000_000
"""How long connections may be opened in one turn. A connect() that finds no port takes 3 to 4.5 ms of
CPU (K8): a large batch of them would hold everything else up."""
MOST_STARTS = 64
"""Connections opened in one turn, at most: what a connect() takes can become a hundred times as much from one
to the next (K8), and the kernel does not come back before it has made all of them. The server closes others
meanwhile, which stay in CLOSE-WAIT until the next turn."""

BATCH_NS = 500_000
"""How long a closed loop waits for a batch. Batches save wake-ups, and throughput is highest if half of the
slots or a little more are waited for (K33): the server works on the others meanwhile. The limit bounds what
the wait adds to a latency if the server is the slower one."""
MOST_WAITED = 128
"""Completions waited for, at most, however many connections there are. The kernel does not come back before,
not even at the time limit, as long as there is work to do. A larger batch is no faster: of 1,000 and of 8,000
connections 128 at a time took a fifth less of the kernel's time than half of them did."""
SHARE = 0.5
"""Completions waited for, for each connection under way; those of closes by the client come on top."""
ENDED_SHARE = 1.25
"""The same for short connections that the server closes: they have two, the response and the end. Five
eighths of them gave 4 % more than half did."""
FOREVER_NS = 1_000_000_000


class UringLoad(Lifecycle[int]):
    """What both loops share: opening within a budget, and what becomes of connections at the end."""

    client: Connections

    def __init__(self, plan: Plan, tally: Tally, budget_ns: int) -> None:
        super().__init__(plan, tally)
        self._budget_ns = budget_ns
        self._starts = MOST_STARTS

    def due(self, now_ns: int) -> None:
        """Start what is due."""
        raise NotImplementedError

    def wait_limit(self, now_ns: int) -> tuple[int, int]:
        """How many completions to wait for, and for how long at most, in ns."""
        raise NotImplementedError

    def ready(self, slots: Slots) -> None:
        """Exchanges are complete, and the connections good for another."""
        raise NotImplementedError

    def spent(self, slots: Slots) -> None:
        """All exchanges are done, and the client is to close."""
        self.client.finish(slots)

    def gone(self, slots: Slots) -> None:
        """The server has closed: only our own sockets are left in the slots."""
        self.client.discard(slots)
        self.free(slots)

    def free(self, slots: Slots) -> None:
        """Nothing is in the slots any more."""
        raise NotImplementedError

    def idle(self, attempt: SlotAttempt) -> None:
        """`ready`, of an attempt on the slow path."""
        self.ready(np.array([attempt.slot]))

    def ended(self, attempt: SlotAttempt) -> None:
        """`free`, of an attempt on the slow path."""
        self.free(np.array([attempt.slot]))

    def leaving(self, slot: int) -> None:
        """The connection in the slot ends: no exchange begins on it any more."""
        self._idle.pop(slot, None)

    def started(self, count: int, took_ns: int) -> None:
        """So many connections were opened, which took so much of the core: what the budget allows next."""
        if count:
            allowed = self._budget_ns * count // max(took_ns, 1)
            self._starts = min(max(allowed, 1), 2 * self._starts, MOST_STARTS)

    def _close(self, connections: list[int]) -> None:
        if connections:
            self.client.finish(np.array(connections))

    def _rest(self, slots: Slots) -> None:
        """Keep connections for later; at the end, close them or leave them to the server."""
        if self.closes_idle:
            self.client.finish(slots)
            return
        self._idle.update(dict.fromkeys(slots.tolist()))
        self.client.rest(slots)


class ClosedUringLoad(UringLoad):
    """A fixed number of connections in flight: one ends, the next begins."""

    def __init__(self, plan: Plan, loop: ClosedLoop, tally: Tally, slots: int) -> None:
        super().__init__(plan, tally, START_BUDGET_NS)
        self._empty: Slots = np.arange(slots)
        """Slots with nothing in them."""
        self._finished: Slots = NONE
        """Slots whose connection has become finished since the last turn, but for the client's close."""
        self._since: NDArray[np.int64] = NONE
        """Since when each connection that is yet to be opened is wanted, the oldest first."""
        self._most = int(plan.stages[0].level) if plan.stages else loop.connections
        """How many may be in flight, by the stage of the load."""
        self._slots = slots
        self._beyond = self._most - slots
        """Connections for which the ring has no slot: each fails, again and again, for want of a file."""
        self._thinking: deque[tuple[int, int]] = deque()
        """When each idle connection's think time ends, and its slot."""
        short = plan.requests == 1 and plan.ending.side is Side.SERVER
        self._share = ENDED_SHARE if short else SHARE

    def begin(self, origin_ns: int) -> None:
        self._since = np.full(min(self._slots, self._most), origin_ns)

    def enter(self, level: float) -> None:
        """Open more; or leave those beyond to their end, and open none in their place."""
        self._most = int(level)
        self._beyond = self._most - self._slots
        self._since = self._since[: max(len(self._since) - max(self._begun - self._most, 0), 0)]
        self._close_surplus()
        self._want(self._slots)

    def due(self, now_ns: int) -> None:
        while self._thinking and self._thinking[0][0] <= now_ns:
            self._wake(self._thinking.popleft()[1])
        slots, since = self._finished, self._since
        if wanted := len(since):
            if wanted == len(slots) <= self._starts:
                # Mostly all that are finished have a next one at once.
                self._finished = self._since = NONE
            else:
                slots, since = self._next(min(wanted, self._starts))
            self._tally.offered += len(slots)
            self.client.open(slots, since)
        if self._beyond > 0 and not self.ending:
            self._tally.offered += self._beyond
            self.client.refuse(self._beyond)

    def wait_limit(self, now_ns: int) -> tuple[int, int]:
        if len(self._since):
            # No wait, but all that is to be done for those just opened, few as they are: they would pile up.
            return self._tally.in_flight, 0
        limit_ns = self._thinking[0][0] - now_ns if self._thinking else FOREVER_NS
        # On the slow path each operation is answered by itself: to wait for a batch at each would add up.
        under_way = self._tally.in_flight - len(self._idle) - len(self.client.slow)
        if under_way <= 0:
            return 1, limit_ns
        batch = min(ceil(self._share * under_way) + self.closing, MOST_WAITED)
        return batch, min(limit_ns, BATCH_NS)

    def ready(self, slots: Slots) -> None:
        if self._plan.think_ns or self.ending:
            self._rest(slots)
            if not self.ending:
                wake_ns = monotonic_ns() + self._plan.think_ns
                self._thinking.extend((wake_ns, slot) for slot in slots.tolist())
        else:
            self._exchange(slots)

    def spent(self, slots: Slots) -> None:
        if self.ending:
            super().spent(slots)
        else:
            self._finish(slots)

    def gone(self, slots: Slots) -> None:
        if self.ending:
            super().gone(slots)
        else:
            self._finish(slots)

    def free(self, slots: Slots) -> None:
        if not self.ending:
            self._empty = np.concatenate((self._empty, slots))
            self._want(len(slots))

    def end(self) -> None:
        finished, self._finished = self._finished, NONE
        self._empty = self._since = NONE
        super().end()
        spent, ended = part(finished, self.client.table.mode[finished] == Mode.SPENT)
        self.client.discard(ended)
        self.client.finish(spent)

    def leaving(self, slot: int) -> None:
        if slot in self._idle:
            # The slot's next connection has its own time to think.
            self._thinking = deque(entry for entry in self._thinking if entry[1] != slot)
        super().leaving(slot)

    def _finish(self, slots: Slots) -> None:
        """Have the connections in these slots closed, and as many opened."""
        self._finished = np.concatenate((self._finished, slots)) if len(self._finished) else slots
        self._want(len(slots))
        self._close_surplus()

    @property
    def _begun(self) -> int:
        """Connections that are in their slots, or yet to be opened."""
        return self._slots - len(self._empty) - len(self._finished) + len(self._since)

    def _want(self, count: int) -> None:
        """Have so many connections opened, but no more than may be: the wait for them begins."""
        since = np.full(max(min(count, self._most - self._begun), 0), monotonic_ns())
        self._since = np.concatenate((self._since, since)) if len(self._since) else since

    def _next(self, count: int) -> tuple[Slots, NDArray[np.int64]]:
        """Where to open so many, in the slots of finished connections first, and since when each is wanted.

        The next socket in a slot closes the former. Finished connections beyond the next turn's are closed:
        kept until their slots' turn they would be CLOSE-WAITs, and ports held, that no other client leaves.
        """
        turned, finished = self._finished[:count], self._finished[count:]
        self._finished = finished[: self._starts]
        if len(finished) > self._starts:
            # Those that the client closes are wanted again once their close is made.
            spent = self._close_finished(finished[self._starts :])
            self._since = self._since[: len(self._since) - spent]
        slots, left = turned, len(self._empty) - (count - len(turned))
        if left < len(self._empty):
            slots, self._empty = np.concatenate((turned, self._empty[left:])), self._empty[:left]
        since, self._since = self._since[:count], self._since[count:]
        return slots, since

    def _close_surplus(self) -> None:
        """Close finished connections whose slots no other is to be opened in."""
        if len(self._finished) > len(self._since):
            surplus, self._finished = self._finished[len(self._since) :], self._finished[: len(self._since)]
            self._close_finished(surplus)

    def _close_finished(self, slots: Slots) -> int:
        """Close these; how many of them by the client, whose slots are free once that is made."""
        spent, ended = part(slots, self.client.table.mode[slots] == Mode.SPENT)
        self.client.discard(ended)
        self._empty = np.concatenate((self._empty, ended))
        self.client.finish(spent)
        return len(spent)

    def _wake(self, slot: int) -> None:
        if slot in self._idle and not self.ending:
            del self._idle[slot]
            self._exchange(np.array([slot]))

    def _exchange(self, slots: Slots) -> None:
        self._tally.offered += len(slots)
        self.client.exchange(slots, monotonic_ns())
