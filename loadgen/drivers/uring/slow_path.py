"""The slow path: connections whose chain has answered anything but a success.

Each becomes an attempt of its own (`UringAttempt`), whose outcome is the one that every driver would report.
"""

import numpy as np

from loadgen.drivers.uring.attempt import UringAttempt
from loadgen.drivers.uring.program import Step
from loadgen.drivers.uring.slot_client import SlotClient
from loadgen.drivers.uring.slots import Mode, Slots
from loadgen.tcp import Failure, Fault, Phase


class SlowPath:
    """The attempts on it, by slot, and the ways onto it."""

    def __init__(self, host: SlotClient) -> None:
        self._host = host
        self._table = host.table
        self._plan = host.plan
        self._attempts: dict[int, UringAttempt] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    # What is asked of those on it.

    def exchange(self, slots: Slots, intended_ns: int) -> None:
        for slot in slots.tolist():
            self._attempts[slot].exchange(intended_ns)

    def finish(self, slots: Slots) -> None:
        for slot in slots.tolist():
            self._attempts[slot].finish()

    def completed(self, slot: int, step: int, res: int) -> None:
        """An operation of the slot has ended; nothing is done if its connection is not on the slow path."""
        attempt = self._attempts.get(slot)
        if attempt is None:
            return
        if step == Step.CLOSE:
            del self._attempts[slot]
        attempt.completed(step, res)

    # The ways onto it.

    def adopt(self, slot: int, phase: Phase, pending: set[int]) -> UringAttempt:
        """Take the slot over in this phase; `pending` are the steps that are still in the kernel."""
        attempt = self._attempts[slot] = UringAttempt(self._host, slot, phase, pending)
        self._table.mode[slot] = Mode.SLOW
        return attempt

    def refused(self, slot: int, step: int, error: OSError) -> None:
        """A chain has failed before its connection was established, for other than a cancelled connect()."""
        phase = Phase.CONNECT if step == Step.CONNECT else Phase.BIND
        self.adopt(slot, phase, set()).refused(error)

    def unanswered(self, slot: int) -> None:
        """connect() was cancelled."""
        attempt = self.adopt(slot, Phase.CONNECT, set())
        attempt.unanswered(Fault.CUT if self._host.cutting else Fault.TIMEOUT)

    def unsent(self, slot: int, error: OSError) -> None:
        """The request could not be sent."""
        attempt = self._adopt_established(slot, Phase.SEND, set())
        if self._host.cutting:
            attempt.fail(Failure(Phase.SEND, Fault.CUT))
        else:
            attempt.unsent(error)

    def unexpected(self, slot: int, res: int, *, at_end: bool = False) -> None:
        """A response, or with `at_end` the end after it, is not what was waited for."""
        timeouts, waits_ns = self._plan.timeouts, int(self._table.waits[slot])
        phase = Phase.CLOSE if at_end else Phase.RECEIVE
        limit_ns = timeouts.close_ns if at_end else timeouts.response_ns
        pending = {Step.EOF} if self._last(slot) and not at_end else set[int]()
        attempt = self._adopt_established(slot, phase, pending)
        if self._host.cutting:
            attempt.fail(Failure(phase, Fault.CUT))
        elif not at_end or res <= 0:
            attempt.received(res)
        attempt.carry_on(phase, waits_ns + limit_ns)

    def receiving(self, slot: int) -> None:
        """A response does not come as its head says. The caller passes on what the kernel answered."""
        table = self._table
        pending = {Step.RECV, Step.EOF} if self._last(slot) and not table.unwatched[slot] else {Step.RECV}
        attempt = self.adopt(slot, Phase.RECEIVE, pending)
        attempt.resume(self._host.buffers[slot, : table.first[slot]].tobytes(), int(table.missing[slot]))
        table.missing[slot] = 0
        if self._host.cutting:
            attempt.fail(Failure(Phase.RECEIVE, Fault.CUT))
        attempt.carry_on(Phase.RECEIVE, int(table.waits[slot]) + self._plan.timeouts.response_ns)

    def roused(self, slot: int) -> None:
        """Something came while a connection was idle."""
        if self._table.mode[slot] == Mode.IDLE:
            self.adopt(slot, Phase.CLOSE, set()).carry_on(Phase.CLOSE)

    def _last(self, slot: int) -> bool:
        """Whether the server's close is waited for behind the response."""
        return not self._host.closes_first and bool(self._table.left[slot] == 1)

    def _adopt_established(self, slot: int, phase: Phase, pending: set[int]) -> UringAttempt:
        if not self._table.known[slot]:
            self._host.established(np.array([slot]))
        return self.adopt(slot, phase, pending)
