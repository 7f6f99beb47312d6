"""Connections in batches: what was sent off comes back as completions; good ones are counted by the batch.

Anything else that a chain answers goes to an attempt of its own (`UringAttempt`), where it becomes the
outcome that every driver would report.
"""

import errno
from collections import Counter
from collections.abc import Iterable
from time import monotonic_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.attempt import PEER_RESET, Client, failure_of
from loadgen.drivers.plan import Plan
from loadgen.drivers.response import ResponseReader
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.attempt import UringAttempt
from loadgen.drivers.uring.connects import TimedConnects
from loadgen.drivers.uring.judge import BAD, Judge
from loadgen.drivers.uring.load import UringLoad
from loadgen.drivers.uring.programs import SINK, STEP_BITS, Program, Programs, Step
from loadgen.drivers.uring.slots import Mode, Slots, Table, part
from loadgen.tcp import CloseMethod, Closer, Failure, Fault, Phase
from loadgen.uring.ring import Ring

Instants = int | NDArray[np.int64]
"""In ns on CLOCK_MONOTONIC: one for all slots, or one each."""

OVERDUE_SHARE = 4
"""A chain that has not answered after this part of the shortest timeout is asked where it stands."""
OVERDUE_MOST_NS = 900_000_000
"""And at least so soon: before a SYN that was lost is sent again, after a second."""

PROBATION = 128
"""So many closes by the client are made one by one, each with a look after the act. Where the server was
first in none of them, the rest are made by the batch: those come after the batch's last look."""
WARY = 1 << 62
"""Closes to make one by one where the server was first once."""


class UringClient(Client):
    """The slots, the ring they are driven by, and what becomes of them."""

    flow: UringLoad

    def __init__(self, plan: Plan, tally: Tally, ring: Ring, programs: Programs) -> None:
        super().__init__(plan, tally)
        self.ring = ring
        self.buffers = programs.buffers
        self.table = Table(len(programs.buffers))
        self._judge = Judge(self.buffers, plan.closer)
        self.alone: dict[int, UringAttempt] = {}
        self._in_pieces = False
        """Whether any response has taken more than one read."""
        self.closing = 0
        """Connections whose close by the client is not yet made."""
        self._connects = TimedConnects(ring)
        self._programs = programs
        short = plan.requests == 1
        self._open = Program.OPEN_LAST if short else Program.OPEN_KEEP
        self._turn = Program.TURN_LAST if short else Program.TURN_KEEP
        self._next = Program.NEXT_LAST if short else Program.NEXT_KEEP
        # Filled in now, and not when the first arrival waits for it.
        programs.build(Program.PREPARE, Program.CONNECT, self._open, self._next, *self._ways_to_close())
        # Each worker begins elsewhere: in step, all of them would crowd one path after the other.
        self.opened = programs.pairs * plan.worker // plan.workers
        self._cutting = False
        self._wary = PROBATION
        """Closes by the client that are yet to be made one by one."""
        timeouts = plan.timeouts
        shortest_ns = min(timeouts.connect_ns, timeouts.response_ns, timeouts.close_ns)
        self._overdue_ns = min(shortest_ns // OVERDUE_SHARE, OVERDUE_MOST_NS)

    def _ways_to_close(self) -> tuple[Program, ...]:
        """How connections are closed in this plan, or turned over."""
        if self.plan.closer is Closer.SERVER:
            return (Program.DISCARD,)
        return (Program.FINISH,) if self.punctual else (self._turn, Program.TURN_PREPARE)

    def reader(self) -> ResponseReader:
        """One that knows what was read before."""
        return self._judge.reader()

    def attach(self, flow: UringLoad) -> None:
        """The two need each other."""
        self.load = self.flow = flow
        flow.client = self

    # What the load asks for.

    def open(self, slots: Slots, intended_ns: Instants) -> None:
        """Begin attempts in these slots: free ones, or ones whose connection the client is to close first."""
        table, tally, count = self.table, self.tally, len(slots)
        tally.attempts += count
        tally.in_flight += count
        if self._programs.pairs > 1:
            table.pair[slots] = np.arange(self.opened, self.opened + count) % self._programs.pairs
        table.left[slots] = self.plan.requests
        table.known[slots] = table.answered[slots] = False
        now_ns = self._start(slots, intended_ns)
        table.asked[slots] = now_ns + self._overdue_ns
        turning, opening = part(slots, table.mode[slots] == Mode.SPENT)
        table.mode[slots] = Mode.CHAIN
        self._leave(len(turning))
        timed = self._connects.due(now_ns)
        self.opened += count
        for group, prepare, whole in (
            (turning, Program.TURN_PREPARE, self._turn),
            (opening, Program.PREPARE, self._open),
        ):
            if timed and len(group):
                timed = False
                self._send_off(prepare, group[:1])
                group = group[1:]
            self._send_off(whole, group)

    def refuse(self, count: int, late_ns: Iterable[int] = ()) -> None:
        """Attempts for which the ring has no file: its table is as large as RLIMIT_NOFILE allows.

        `late_ns` tells of each, in an open loop, how long after its instant that is.
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
            idle, alone = part(others, self.table.mode[others] == Mode.IDLE)
            self._exchange(idle, intended_ns, Program.WAKE_KEEP, Program.WAKE_LAST)
            for slot in alone.tolist():
                self.alone[slot].exchange(intended_ns)

    def _exchange(self, slots: Slots, intended_ns: int, keep: Program, last: Program) -> None:
        if not len(slots):
            return
        self.table.asked[slots] = self._start(slots, intended_ns) + self._overdue_ns
        self.table.mode[slots] = Mode.CHAIN
        lasting, kept = part(slots, self.table.left[slots] == 1)
        self._send_off(keep, kept)
        self._send_off(last, lasting)

    def rest(self, slots: Slots) -> None:
        """Watch connections until their next exchange; those alone in their slot listen by themselves."""
        slots = slots[self.table.mode[slots] != Mode.ALONE]
        self.table.mode[slots] = Mode.IDLE
        self._send_off(Program.WATCH, slots)

    def finish(self, slots: Slots) -> None:
        """Close connections first, by the scenario's method."""
        alone = self.table.mode[slots] == Mode.ALONE
        for slot in slots[alone].tolist():
            self.alone[slot].finish()
        # The server may be about to end what idles.
        idle, others = part(slots[~alone], self.table.mode[slots[~alone]] == Mode.IDLE)
        for slot in idle.tolist():
            self._adopt(slot, Phase.CLOSE, {Step.WATCH}).finish()
        self.table.mode[others] = Mode.CLOSING
        self._leave(len(others))
        self._send_off(Program.FINISH, others)

    def discard(self, slots: Slots) -> None:
        """Close what the server has ended; the slots are free at once."""
        self._send_off(Program.DISCARD, slots)

    def push(self, program: Program, slot: int) -> None:
        """One program for one slot."""
        self._send_off(program, np.array([slot]))

    def be_wary(self) -> None:
        """The server was first where the client was about to close."""
        self._wary = WARY

    def release(self, slot: int) -> None:
        """The attempt that had the slot to itself is over."""
        del self.alone[slot]
        self.table.mode[slot] = Mode.FREE

    # What comes back.

    def absorb(self, completions: NDArray[Any], now_ns: int) -> None:
        """Take completions, reaped at `now_ns`."""
        data = completions["user_data"].astype(np.int64)
        step, slot, res = data & (1 << STEP_BITS) - 1, data >> STEP_BITS, completions["res"]
        present: list[int] = np.bincount(step, minlength=1 << STEP_BITS).tolist()
        mode = self.table.mode[slot]
        chained = mode == Mode.CHAIN
        if present[Step.PEEK]:
            which = step == Step.PEEK
            self._left(res[which])
            # What a new connection takes the place of is closed by that; others tell of their close.
            self.closing -= int(np.count_nonzero(which & (mode != Mode.CLOSING)))
        if any(present[Step.OPTION : Step.RECV]):
            for index in (chained & (step >= Step.OPTION) & (step < Step.RECV)).nonzero()[0].tolist():
                self._on_the_way(int(slot[index]), int(step[index]), int(res[index]), now_ns)
        further = none = np.zeros(len(step), np.bool_)
        if self._in_pieces:
            further = chained & (step == Step.RECV) & (self.table.missing[slot] > 0)
        if present[Step.RECV]:
            which = chained & (step == Step.RECV) & ~further
            self._received(slot[which], res[which], now_ns)
        early = none
        if self._in_pieces:
            # What waits for the server's close sees the body that is not yet read: it has to wait again.
            early = chained & (step == Step.EOF) & (res > 0) & (self.table.missing[slot] > 0)
            self.table.unwatched[slot[early]] = True
            self._continued(slot[further], res[further], now_ns)
        if present[Step.EOF]:
            # Those that went astray meanwhile have theirs from the loop below.
            which = (step == Step.EOF) & (self.table.mode[slot] == Mode.CHAIN) & ~early
            self._ended(slot[which], res[which])
        if present[Step.WATCH]:
            # As they were: one that idles again meanwhile has another watch.
            roused = (step == Step.WATCH) & (mode == Mode.IDLE) & (res != -errno.ECANCELED)
            for index in roused.nonzero()[0].tolist():
                self._roused(int(slot[index]))
        if present[Step.CLOSE]:
            which = (step == Step.CLOSE) & (self.table.mode[slot] == Mode.CLOSING)
            closed = slot[which]
            self.closing -= len(closed)
            self.table.mode[closed] = Mode.FREE
            self.flow.free(closed)
        if self.alone:
            for index in (~chained | (step == Step.EOF) | further).nonzero()[0].tolist():
                attempt = self.alone.get(int(slot[index]))
                if attempt is not None:
                    attempt.completed(int(step[index]), int(res[index]))

    def time_connects(self) -> None:
        """Connect the sockets that were prepared for it, one at a time."""
        while (slot := self._connects.next()) is not None:
            self.push(Program.CONNECT, slot)
            self.table.begun[slot], now_ns = self._connects.enter()
            self.absorb(self.ring.reap(), now_ns)

    def estimate_connecting(self, most_ns: int) -> None:
        """Count the time inside connect(): that of the timed calls, for as many as there were.

        No more than there was: of a few timed calls one that was held up counts for many.
        """
        unmade = sum(count for failure, count in self.tally.errors.items() if failure.phase is Phase.BIND)
        estimate_ns = self._connects.estimate_ns(max(self.tally.attempts - unmade, 0))
        self.tally.connecting_ns = min(estimate_ns, most_ns)

    def sweep(self) -> None:
        """Fail attempts whose phase has outlived its deadline; ask overdue chains where they stand."""
        super().sweep()
        table, now_ns = self.table, monotonic_ns()
        chained = (table.mode == Mode.CHAIN).nonzero()[0]
        due = chained[table.asked[chained] <= now_ns]
        if len(due):
            # When last asked it was still connecting, if it is not now: its response is due from then on.
            unheard = due[table.missing[due] == 0]
            table.heard[unheard] = table.asked[unheard] - self._overdue_ns
            table.asked[due] = now_ns + self._overdue_ns
            answered = table.answered[due]
            self._send_off(Program.CANCEL_RECV, due[~answered])
            self._send_off(Program.CANCEL_EOF, due[answered])
        waiting = chained[~table.known[chained]]
        late = waiting[table.begun[waiting] + self.plan.timeouts.connect_ns <= now_ns]
        self._send_off(Program.CANCEL_CONNECT, late)

    def cut(self) -> None:
        self._cutting = True
        for slot in self._connects.abandon():
            # The kernel has nothing of it that could be cancelled.
            self._adopt(slot, Phase.BIND, set()).fail(Failure(Phase.BIND, Fault.CUT))
        self._send_off(Program.CANCEL, (self.table.mode == Mode.CHAIN).nonzero()[0])
        for slot in (self.table.mode == Mode.IDLE).nonzero()[0].tolist():
            self._adopt(slot, Phase.CLOSE, {Step.WATCH})
        super().cut()

    # Good ends, by the batch.

    def _received(self, slots: Slots, lengths: NDArray[np.int32], now_ns: int) -> None:
        """What the first read of each response gave."""
        table = self.table
        missing = self._judge.missing(slots, lengths, table.left[slots] == 1)
        if np.count_nonzero(missing):
            whole = missing == 0
            for index in (missing == BAD).nonzero()[0].tolist():
                self._astray(int(slots[index]), int(lengths[index]))
            begun = missing > 0
            self._in_pieces = True
            self._begun(slots[begun], lengths[begun], missing[begun])
            slots = slots[whole]
        self.tally.reads += len(slots)
        self._responded(slots, now_ns)

    def _begun(self, slots: Slots, lengths: NDArray[np.int32], missing: NDArray[np.int64]) -> None:
        """So much of these responses is here, and their heads say how much is missing."""
        table = self.table
        _, unknown = part(slots, table.known[slots])
        self._established(unknown)
        table.first[slots], table.missing[slots] = lengths, missing
        table.unwatched[slots] = False
        # Nobody has to ask where it stands: it is receiving until its time is up.
        table.asked[slots] = table.heard[slots] + self.plan.timeouts.response_ns
        self.tally.reads += len(slots)
        self._send_off(Program.REST, slots)

    def _continued(self, slots: Slots, lengths: NDArray[np.int32], now_ns: int) -> None:
        """What a further read of each gave: all that was asked for, unless the connection has ended."""
        table = self.table
        as_asked = lengths == np.minimum(table.missing[slots], SINK)
        for slot in slots[~as_asked].tolist():
            self._adopt_receiving(slot)
        slots = slots[as_asked]
        self.tally.reads += len(slots)
        table.missing[slots] -= lengths[as_asked]
        whole, others = part(slots, table.missing[slots] == 0)
        self._send_off(Program.REST, others)
        if self.plan.closer is Closer.SERVER:
            last = whole[table.left[whole] == 1]
            self._send_off(Program.AWAIT_END, last[table.unwatched[last]])
        self._responded(whole, now_ns)

    def _responded(self, slots: Slots, now_ns: int) -> None:
        """Responses are whole and good."""
        table, tally = self.table, self.tally
        _, unknown = part(slots, table.known[slots])
        self._established(unknown)
        tally.exchanges += len(slots)
        tally.service_ns.frombytes((now_ns - table.started[slots]).tobytes())
        tally.response_ns.frombytes((now_ns - table.intended[slots]).tobytes())
        table.left[slots] -= 1
        done, ready = part(slots, table.left[slots] == 0)
        if len(ready):
            self.flow.ready(ready)
        if not len(done):
            return
        if self.plan.closer is Closer.CLIENT:
            singly, done = done[: self._wary], done[self._wary :]
            self._wary -= len(singly)
            for slot in singly.tolist():
                self._adopt(slot, Phase.CLOSE, set()).finish()
            table.mode[done] = Mode.SPENT
            if len(done):
                self.flow.spent(done)
        else:
            table.answered[done] = True
            table.heard[done] = now_ns
            table.asked[done] = now_ns + self._overdue_ns

    def _ended(self, slots: Slots, res: NDArray[np.int32]) -> None:
        """The server has closed after the last response, or something else has come."""
        reset = (res == -errno.ECONNRESET) & (self.plan.close is CloseMethod.RST)
        good = self.table.answered[slots] & ((res == 0) | reset)
        if np.count_nonzero(good) < len(good):
            for index in (~good).nonzero()[0].tolist():
                if self.table.missing[slots[index]]:
                    self._adopt_receiving(int(slots[index]))
                else:
                    self._astray(int(slots[index]), int(res[index]), at_end=True)
            slots, reset = slots[good], reset[good]
        resets, tally = int(np.count_nonzero(reset)), self.tally
        tally.endings[Closer.SERVER, CloseMethod.RST] += resets
        tally.endings[Closer.SERVER, CloseMethod.FIN] += len(slots) - resets
        tally.succeeded += len(slots)
        tally.in_flight -= len(slots)
        self.table.mode[slots] = Mode.FREE
        self.flow.gone(slots)

    def _left(self, res: NDArray[np.int32]) -> None:
        """What PEEK has seen before the client closed: nothing, unless the server was first."""
        tally, ours = self.tally, (Closer.CLIENT, self.plan.close)
        values: list[int] = res.tolist()
        for value, count in Counter(values).items():
            if value != -errno.EAGAIN:
                self.be_wary()
            if value == 0:
                tally.endings[Closer.SERVER, CloseMethod.FIN] += count
                tally.succeeded += count
            elif -value in PEER_RESET:
                tally.endings[Closer.SERVER, CloseMethod.RST] += count
                tally.errors[failure_of(Phase.CLOSE, OSError(errno.ECONNRESET, ""))] += count
            elif value > 0:
                # Closed with bytes unread, which the kernel answers by RST (K4).
                tally.endings[Closer.CLIENT, CloseMethod.RST] += count
                tally.errors[Failure(Phase.CLOSE, Fault.MALFORMED)] += count
            else:
                tally.endings[ours] += count
                tally.succeeded += count

    def _established(self, slots: Slots) -> None:
        if not len(slots):
            return
        self.table.known[slots] = True
        self.tally.opened += len(slots)
        self.tally.connected += len(slots)

    def _start(self, slots: Slots, intended_ns: Instants) -> int:
        """Exchanges begin now."""
        now_ns = monotonic_ns()
        table, tally = self.table, self.tally
        table.intended[slots] = intended_ns
        table.started[slots] = table.begun[slots] = table.heard[slots] = now_ns
        tally.started += len(slots)
        if self.punctual:
            tally.start_ns.frombytes((now_ns - table.intended[slots]).tobytes())
        return now_ns

    def _leave(self, count: int) -> None:
        self.tally.in_flight -= count
        self.closing += count

    def _send_off(self, program: Program, slots: Slots) -> None:
        while len(slots):
            fit = self.ring.room // self._programs.length(program)
            if fit:
                self.ring.push(self._programs.entries(program, slots[:fit], self.table))
                slots = slots[fit:]
                continue
            room = self.ring.room
            self.ring.enter()
            if self.ring.room == room:
                raise OSError(errno.ENOMEM, "io_uring takes no more: the kernel has no memory for requests")

    # The other ends, one by one.

    def _on_the_way(self, slot: int, step: int, res: int, now_ns: int) -> None:
        """A chain's answer from before its request was sent."""
        if res >= 0 and step == Step.CONNECT:
            self.tally.connect_ns.append(now_ns - int(self.table.begun[slot]))
            one = np.array([slot])
            self._established(one)
            self._send_off(self._next, one)
        elif res >= 0:
            self._connects.prepared(slot)
        elif step == Step.SEND and self._cutting:
            self._known_astray(slot, Phase.SEND, set()).fail(Failure(Phase.SEND, Fault.CUT))
        elif step == Step.SEND:
            self._known_astray(slot, Phase.SEND, set()).unsent(OSError(-res, ""))
        elif step == Step.CONNECT and res == -errno.ECANCELED:
            self._adopt(slot, Phase.CONNECT, set()).unanswered(Fault.CUT if self._cutting else Fault.TIMEOUT)
        else:
            phase = Phase.CONNECT if step == Step.CONNECT else Phase.BIND
            self._adopt(slot, phase, set()).refused(OSError(-res, ""))

    def _astray(self, slot: int, res: int, *, at_end: bool = False) -> None:
        """A response, or the end after it, that is not what was waited for."""
        timeouts, heard_ns = self.plan.timeouts, int(self.table.heard[slot])
        last = self.plan.closer is Closer.SERVER and self.table.left[slot] == 1
        phase = Phase.CLOSE if at_end else Phase.RECEIVE
        limit_ns = timeouts.close_ns if at_end else timeouts.response_ns
        pending = {Step.EOF} if last and not at_end else set[int]()
        attempt = self._known_astray(slot, phase, pending)
        if self._cutting:
            attempt.fail(Failure(phase, Fault.CUT))
        elif not at_end or res <= 0:
            attempt.received(res)
        attempt.carry_on(phase, heard_ns + limit_ns)

    def _adopt_receiving(self, slot: int) -> None:
        """A response that does not come as its head says. `absorb` passes on what the kernel answered."""
        table = self.table
        last = self.plan.closer is Closer.SERVER and table.left[slot] == 1
        pending = {Step.RECV, Step.EOF} if last and not table.unwatched[slot] else {Step.RECV}
        attempt = self._adopt(slot, Phase.RECEIVE, pending)
        attempt.resume(self.buffers[slot, : table.first[slot]].tobytes(), int(table.missing[slot]))
        table.missing[slot] = 0
        if self._cutting:
            attempt.fail(Failure(Phase.RECEIVE, Fault.CUT))
        attempt.carry_on(Phase.RECEIVE, int(table.heard[slot]) + self.plan.timeouts.response_ns)

    def _roused(self, slot: int) -> None:
        """Something came while a connection was idle."""
        if self.table.mode[slot] == Mode.IDLE:
            self._adopt(slot, Phase.CLOSE, set()).carry_on(Phase.CLOSE)

    def _known_astray(self, slot: int, phase: Phase, pending: set[int]) -> UringAttempt:
        if not self.table.known[slot]:
            self._established(np.array([slot]))
        return self._adopt(slot, phase, pending)

    def _adopt(self, slot: int, phase: Phase, pending: set[int]) -> UringAttempt:
        attempt = self.alone[slot] = UringAttempt(self, slot, phase, pending)
        self.table.mode[slot] = Mode.ALONE
        return attempt
