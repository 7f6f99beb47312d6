"""The slots and the ring that drives them: what batches and the slow path share."""

import errno

import numpy as np

from loadgen.drivers.attempt import Client
from loadgen.drivers.plan import Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.judge import Judge
from loadgen.drivers.uring.load import UringLoad
from loadgen.drivers.uring.program import Program
from loadgen.drivers.uring.programs import Programs
from loadgen.drivers.uring.slots import Mode, Slots, Table
from loadgen.uring.ring import Ring

OVERDUE_SHARE = 4
"""A chain that has not answered after this part of the shortest timeout is probed."""
OVERDUE_MOST_NS = 900_000_000
"""And at least so soon: before a SYN that was lost is sent again, after a second."""

PROBATION = 128
"""So many closes by the client are made one by one, each checked after the act. If the server was first in
none of them, the rest are made by the batch, in which the last check comes before the close."""
ALL = 1 << 62
"""Closes to make one by one once the server was first in any."""


class SlotClient(Client):
    """Sends programs through slots, and counts what begins in them."""

    flow: UringLoad
    """The load, by its own type."""

    def __init__(self, plan: Plan, tally: Tally, ring: Ring, programs: Programs) -> None:
        super().__init__(plan, tally, programs.application)
        self.ring = ring
        self.programs = programs
        self.buffers = programs.buffers
        self.table = Table(len(programs.buffers))
        self.judge = Judge(self.buffers, self.application, plan.ending.side)
        self.unanswered = 0
        """SYNs that were counted, and whose connections are not established."""
        self.cutting = False
        """The run ends: what is left is given up."""
        self.closes_singly = PROBATION
        """Closes by the client that are yet to be made one by one."""
        timeouts = plan.timeouts
        shortest_ns = min(timeouts.connect_ns, timeouts.response_ns, timeouts.close_ns)
        self.overdue_ns = min(shortest_ns // OVERDUE_SHARE, OVERDUE_MOST_NS)

    def send_off(self, program: Program, slots: Slots) -> None:
        """Send these slots through the program."""
        while len(slots):
            fit = self.ring.room // self.programs.length(program)
            if fit:
                self.ring.push(self.programs.entries(program, slots[:fit], self.table))
                slots = slots[fit:]
                continue
            room = self.ring.room
            self.ring.enter()
            if self.ring.room == room:
                raise OSError(errno.ENOMEM, "io_uring takes no more: the kernel has no memory for requests")

    def push(self, program: Program, slot: int) -> None:
        """One program for one slot."""
        self.send_off(program, np.array([slot]))

    def established(self, slots: Slots) -> None:
        """Count connections as established that were not counted before."""
        if not len(slots):
            return
        self.table.known[slots] = True
        self.tally.opened += len(slots) - self.counted_before(slots)
        self.tally.connected += len(slots)

    def sent(self, slots: Slots) -> None:
        """Count SYNs that are still unanswered, once each."""
        new = slots[~self.table.sent[slots]]
        self.table.sent[new] = True
        self.tally.opened += len(new)
        self.unanswered += len(new)

    def counted_before(self, slots: Slots) -> int:
        """How many of these SYNs were counted while they were unanswered. They are forgotten."""
        if not self.unanswered:
            return 0
        count = int(np.count_nonzero(self.table.sent[slots]))
        self.table.sent[slots] = False
        self.unanswered -= count
        return count

    def closes(self, count: int) -> None:
        """So many connections are no longer in flight, and about to be closed by the client."""
        self.tally.in_flight -= count
        self.flow.closing += count

    def server_was_first(self) -> None:
        """The server was first when the client was about to close."""
        self.closes_singly = ALL

    def release(self, slot: int) -> None:
        """Nothing is in the slot any more."""
        self.table.mode[slot] = Mode.FREE
