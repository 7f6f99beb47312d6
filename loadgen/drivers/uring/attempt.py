"""An attempt on the slow path: something failed, or is late, or has to be read with care.

It takes its slot over from the chain that it was sent through, and goes on by one operation at a time, as the
`protocol` driver would: a read or a poll is always pending. To close it takes a descriptor of the process for
the socket, and ends the connection on that as every driver does.
"""

import errno
import os
import select
import socket

import numpy as np

from loadgen.drivers.attempt import NEVER_NS, BaseAttempt
from loadgen.drivers.failures import GIVEN_UP, NO_SYN, PEER_RESET, failure_of
from loadgen.drivers.uring.program import Program, Step
from loadgen.drivers.uring.slot_client import SlotClient
from loadgen.tcp import Ending, Failure, Fault, Phase


class UringAttempt(BaseAttempt):
    """One connection, one operation at a time."""

    __slots__ = ("_host", "_leaving", "_pending", "_short", "_sinking", "slot")

    def __init__(self, host: SlotClient, slot: int, phase: Phase, pending: set[int]) -> None:
        """Take over what is in the slot, in this phase.

        `pending` are the steps that its chain has left in the kernel. The attempt was counted when it began.
        """
        super().__init__(host)
        table = host.table
        self._host = host
        self.slot = slot
        self._leaving: Ending | None = None
        """How it is to end, once none of its operations is pending."""
        self._pending = pending
        self._sinking = False
        """What is being received is only counted, and not in the slot's buffer."""
        self._short = False
        """That read has ended before it had all that it was to wait for."""
        self._remaining = int(table.left[slot])
        self._intended_ns = int(table.intended[slot])
        self._started_ns = int(table.started[slot])
        self._begun_ns = int(table.begun[slot])
        self._connected = bool(table.known[slot])
        self.phase = phase

    # How it was taken over.

    def refused(self, error: OSError) -> None:
        """No socket could be made or bound, or connect() has failed."""
        if self.phase is Phase.CONNECT:
            if error.errno not in NO_SYN:
                self._opened()
            if error.errno in PEER_RESET:
                # A reset in the handshake gives ECONNREFUSED: this one was established before it was reset.
                self._established()
                self._reset_by_server(error.errno)
        self.fail(failure_of(self.phase, error))

    def unanswered(self, fault: Fault) -> None:
        """connect() was cancelled."""
        self._opened()
        self.fail(Failure(Phase.CONNECT, fault))

    def unsent(self, error: OSError) -> None:
        if error.errno in PEER_RESET:
            self._reset_by_server(error.errno)
        self.fail(failure_of(Phase.SEND, error))

    def resume(self, begun: bytes, missing: int) -> None:
        """A response is being received: this is how it began, and so much is missing of it."""
        self._reader.feed(begun)
        assert self._reader.announced
        self._reader.feed(bytes(self._reader.announced.total - len(begun) - missing))
        self._sinking = True

    def carry_on(self, phase: Phase, deadline_ns: int = NEVER_NS) -> None:
        """Go on from here; until that deadline, if it is still in the phase in which it was taken over."""
        if self._leaving is None and self.phase is phase and self.deadline_ns == NEVER_NS:
            self.deadline_ns = deadline_ns
        self._go_on()

    def _opened(self) -> None:
        if not self._host.counted_before(np.array([self.slot])):
            super()._opened()

    # For the load and the sweep.

    def exchange(self, intended_ns: int) -> None:
        self._start(intended_ns)
        self._enter(Phase.SEND, self._host.plan.timeouts.send_ns)
        self._push(Step.SEND, Program.SEND_LAST if self._remaining == 1 else Program.SEND_KEEP)
        self._requested()

    def finish(self) -> None:
        self._leave(self._host.own_ending)

    def fail(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
        self._leave(GIVEN_UP)

    # What the kernel answers.

    def completed(self, step: int, res: int) -> None:
        """An operation of this slot has ended."""
        self._pending.discard(step)
        match step:
            case Step.RECV:
                self.received(res)
            case Step.SEND if res < 0 and self._leaving is None:
                self.unsent(OSError(-res, ""))
            case Step.EOF if -res in PEER_RESET:
                # The kernel reports a reset once, to the first operation that asks.
                self.received(res)
            case Step.WATCH if res > 0 and res & select.POLLHUP:
                self.received(-errno.ECONNRESET)
            case Step.OPEN:
                self._close(res)
                return
            case Step.CLOSE:
                self._host.release(self.slot)
                self._over()
                return
            case _:
                pass
        self._go_on()

    def received(self, res: int) -> None:
        """What a recv() gave: bytes, the end, or minus an errno."""
        sinking, self._sinking = self._sinking, False
        self._short = sinking and res > 0
        if res > 0 and self._leaving is None:
            self._read(bytes(res) if sinking else self._host.buffers[self.slot, :res].tobytes())
        elif res == 0:
            # The server was first, as the scenario may say: what is left is to close our side too.
            self._read_end()
            self._leave(GIVEN_UP)
        elif -res in PEER_RESET:
            self._reset_by_server(-res)
            self._leave(GIVEN_UP)
        elif res < 0 and res != -errno.ECANCELED:
            self.fail(failure_of(self.phase, OSError(-res, "")))

    def _close(self, descriptor: int) -> None:
        """End the connection on this descriptor, then let the ring close its own."""
        assert self._leaving is not None
        if descriptor < 0:
            raise OSError(-descriptor, f"io_uring: no descriptor: {os.strerror(-descriptor)}")
        seen = self._ending
        with socket.socket(fileno=descriptor) as sock:
            self._settle(sock, self._leaving)
        if self._ending is not seen and self._ending is not self._leaving:
            self._host.server_was_first()
        self._push(Step.CLOSE, Program.CLOSE)

    def _leave(self, ending: Ending) -> None:
        """End the connection as the first, unless the server was: then its end is answered."""
        self.deadline_ns = NEVER_NS
        if self._leaving is None:
            self._leaving = ending
            self._host.flow.leaving(self.slot)
            if self._pending:
                self._host.push(Program.CANCEL, self.slot)
            self._go_on()

    def _go_on(self) -> None:
        """The next operation, if any: reads as long as the connection lasts, then the close."""
        if self._leaving is None:
            if self._short:
                # The kernel gives the bytes before an error first, and no later read reports the error.
                self._short = False
                self._push(Step.WATCH, Program.WATCH)
            elif not self._pending & {Step.RECV, Step.WATCH}:
                self._push(Step.RECV, Program.RECV)
        elif not self._pending:
            if self._connected:
                self._push(Step.OPEN, Program.DESCRIPTOR)
            else:
                self._push(Step.CLOSE, Program.CLOSE)

    def _push(self, step: int, program: Program) -> None:
        self._pending.add(step)
        self._host.push(program, self.slot)
