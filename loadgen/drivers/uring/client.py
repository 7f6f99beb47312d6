"""Connections in batches: what the load asks for is sent off, and comes back as completions."""

import errno
from collections.abc import Iterable
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.failures import failure_of
from loadgen.drivers.plan import Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.completions import Completions
from loadgen.drivers.uring.connects import TimedConnects, settle
from loadgen.drivers.uring.load import UringLoad
from loadgen.drivers.uring.program import Program, Step
from loadgen.drivers.uring.programs import Programs
from loadgen.drivers.uring.slot_client import SlotClient
from loadgen.drivers.uring.slots import Instants, Mode, Slots, part
from loadgen.drivers.uring.slow_path import SlowPath
from loadgen.tcp import Failure, Fault, Phase
from loadgen.uring.ring import Ring

TURNED_NS = 5_000_000
"""After that a chain has made its socket: the ring does what is due in each turn."""


class UringClient(SlotClient):
    """Opens, uses and closes connections by their slots (`Connections`)."""

    def __init__(self, plan: Plan, tally: Tally, ring: Ring, programs: Programs) -> None:
        super().__init__(plan, tally, ring, programs)
        self.slow = SlowPath(self)
        self._connects = TimedConnects(ring, tally)
        self._completions = Completions(self, self.slow, self._connects)
        self.absorb = self._completions.absorb
        short = plan.requests == 1
        self._open = Program.OPEN_LAST if short else Program.OPEN_KEEP
        self._turn = Program.TURN_LAST if short else Program.TURN_KEEP
        self._turns = self.closes_first and not self.punctual
        """Whether the next socket in a slot may replace one that is still open."""
        first = Program.NEXT_LAST if short else Program.NEXT_KEEP
        # Filled in now, and not when the first arrival waits for it.
        programs.build(
            Program.PREPARE, Program.CONNECT, Program.ASK, self._open, first, *self._ways_to_close()
        )
        # Each worker begins elsewhere: in step, all of them would crowd one path after the other.
        self.opened = programs.paths * plan.worker // plan.workers

    def _ways_to_close(self) -> tuple[Program, ...]:
        """How connections are closed in this plan, or turned over."""
        if not self.closes_first:
            return (Program.DISCARD,)
        return (self._turn, Program.TURN_PREPARE) if self._turns else (Program.FINISH,)

    def attach(self, load: UringLoad) -> None:
        """The two need each other."""
        self.load = self.flow = load
        load.client = self

    # For the load.

    def open(self, slots: Slots, intended_ns: Instants) -> None:
        """Begin attempts in these slots: free ones, or ones whose connection the client is to close first."""
        table, tally, count = self.table, self.tally, len(slots)
        tally.attempts += count
        tally.in_flight += count
        if self.programs.paths > 1:
            table.path[slots] = np.arange(self.opened, self.opened + count) % self.programs.paths
        table.left[slots] = self.plan.requests
        table.known[slots] = table.answered[slots] = False
        now_ns = self._start(slots, intended_ns)
        table.probed[slots] = now_ns + self.overdue_ns
        turning, opening = part(slots, table.mode[slots] == Mode.SPENT)
        table.mode[slots] = Mode.CHAIN
        self.closes(len(turning))
        timed = self._connects.due(now_ns)
        self.opened += count
        for group, prepare, whole in (
            (turning, Program.TURN_PREPARE, self._turn),
            (opening, Program.PREPARE, self._open),
        ):
            if timed and len(group):
                timed = False
                self.send_off(prepare, group[:1])
                group = group[1:]
            self.send_off(whole, group)

    def refuse(self, count: int, late_ns: Iterable[int] = ()) -> None:
        """Attempts for which the ring has no file: its table is as large as RLIMIT_NOFILE allows.

        `late_ns` has for each, in an open loop, how long after its instant that is.
        """
        self.tally.attempts += count
        self.tally.started += count
        self.tally.start_ns.extend(late_ns)
        self.tally.errors[failure_of(Phase.BIND, OSError(errno.EMFILE, ""))] += count

    def exchange(self, slots: Slots, intended_ns: int) -> None:
        """Begin the next exchange on connections that are ready, or idle."""
        ready, others = part(slots, self.table.mode[slots] == Mode.CHAIN)
        self._exchange(ready, intended_ns, Program.NEXT_KEEP, Program.NEXT_LAST)
        if len(others):
            idle, slow = part(others, self.table.mode[others] == Mode.IDLE)
            self._exchange(idle, intended_ns, Program.WAKE_KEEP, Program.WAKE_LAST)
            self.slow.exchange(slow, intended_ns)

    def _exchange(self, slots: Slots, intended_ns: int, keep: Program, last: Program) -> None:
        if not len(slots):
            return
        # It is established: no probe is needed before its time is up.
        self.table.probed[slots] = self._start(slots, intended_ns) + self.plan.timeouts.response_ns
        self.table.mode[slots] = Mode.CHAIN
        lasting, kept = part(slots, self.table.left[slots] == 1)
        self.send_off(keep, kept)
        self.send_off(last, lasting)

    def rest(self, slots: Slots) -> None:
        """Watch connections until their next exchange; those on the slow path have a read pending anyway."""
        slots = slots[self.table.mode[slots] != Mode.SLOW]
        self.table.mode[slots] = Mode.IDLE
        self.send_off(Program.WATCH, slots)

    def finish(self, slots: Slots) -> None:
        """Close connections first, by the scenario's method."""
        slow = self.table.mode[slots] == Mode.SLOW
        self.slow.finish(slots[slow])
        # The server may be about to end what is idle.
        idle, others = part(slots[~slow], self.table.mode[slots[~slow]] == Mode.IDLE)
        for slot in idle.tolist():
            self.slow.adopt(slot, Phase.CLOSE, {Step.WATCH}).finish()
        self.table.mode[others] = Mode.CLOSING
        self.closes(len(others))
        self.send_off(Program.FINISH, others)

    def discard(self, slots: Slots) -> None:
        """Close what the server has ended; the slots are free at once."""
        self.send_off(Program.DISCARD, slots)

    # For the worker.

    def time_connects(self) -> None:
        """Connect the sockets that were prepared for it, one at a time."""
        while (slot := self._connects.next()) is not None:
            self.push(Program.CONNECT, slot)
            self.table.begun[slot], now_ns = self._connects.enter()
            completions: NDArray[Any] = self.ring.reap()
            self.absorb(completions, now_ns)

    def count_established(self) -> None:
        """Count the connections that are established, and whose chains have not yet answered.

        A chain answers by its end alone, which is the response. So each is asked once more, by a poll that
        answers at once if the connection is established, and is cancelled else.
        """
        table, now_ns = self.table, monotonic_ns()
        unknown = ((table.mode == Mode.CHAIN) & ~table.known).nonzero()[0]
        if self._turns:
            # Before its chain has made the new socket, the slot has the former one, which is established.
            unknown = unknown[table.begun[unknown] <= now_ns - TURNED_NS]
        if not len(unknown) or not settle(self.ring):
            return
        self._ask(Program.ASK, unknown)
        self._ask(Program.CANCEL_ASK, unknown[~table.known[unknown]])

    def _ask(self, program: Program, slots: Slots) -> None:
        if len(slots):
            self.send_off(program, slots)
            self.ring.enter()
            self.absorb(self.ring.reap(), monotonic_ns())

    def estimate_connecting(self, most_ns: int) -> None:
        """Count the time inside connect(): that of the timed calls, for as many as there were.

        At most the length of the interval: of a few timed calls one that was held up counts for many.
        """
        unmade = sum(count for failure, count in self.tally.errors.items() if failure.phase is Phase.BIND)
        estimate_ns = self._connects.estimate_ns(max(self.tally.attempts - unmade, 0))
        self.tally.connecting_ns = min(estimate_ns, most_ns)

    def sweep(self) -> None:
        """Fail attempts whose phase has outlived its deadline; probe chains that are overdue."""
        super().sweep()
        table, now_ns = self.table, monotonic_ns()
        chained = (table.mode == Mode.CHAIN).nonzero()[0]
        due = chained[table.probed[chained] <= now_ns]
        if len(due):
            # At the last probe it was still connecting, if it is not now: its response is due from then on.
            unknown = due[~table.known[due]]
            table.waits[unknown] = np.maximum(table.waits[unknown], table.probed[unknown] - self.overdue_ns)
            table.probed[due] = now_ns + self.overdue_ns
            answered = table.answered[due]
            self.send_off(Program.CANCEL_RECV, due[~answered])
            self.send_off(Program.CANCEL_EOF, due[answered])
        waiting = chained[~table.known[chained]]
        late = waiting[table.begun[waiting] + self.plan.timeouts.connect_ns <= now_ns]
        self.send_off(Program.CANCEL_CONNECT, late)

    def cut(self) -> None:
        self.cutting = True
        for slot in self._connects.abandon():
            # The kernel has no operation of it that could be cancelled.
            self.slow.adopt(slot, Phase.BIND, set()).fail(Failure(Phase.BIND, Fault.CUT))
        self.send_off(Program.CANCEL, (self.table.mode == Mode.CHAIN).nonzero()[0])
        for slot in (self.table.mode == Mode.IDLE).nonzero()[0].tolist():
            self.slow.adopt(slot, Phase.CLOSE, {Step.WATCH})
        super().cut()

    def _start(self, slots: Slots, intended_ns: Instants) -> int:
        """Exchanges begin now."""
        now_ns = monotonic_ns()
        table, tally = self.table, self.tally
        table.intended[slots] = intended_ns
        table.started[slots] = table.begun[slots] = table.waits[slots] = now_ns
        tally.started += len(slots)
        if self.punctual:
            tally.start_ns.frombytes((now_ns - table.intended[slots]).tobytes())
        return now_ns
