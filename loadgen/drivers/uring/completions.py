"""What comes back from the ring: successes are counted by the batch, all else goes to the slow path."""

import errno
from collections import Counter
from select import POLLHUP, POLLOUT
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.failures import PEER_RESET, failure_of
from loadgen.drivers.sockets import CLIENT_RST, SERVER_FIN, SERVER_RST
from loadgen.drivers.uring.connects import TimedConnects
from loadgen.drivers.uring.entries import SINK
from loadgen.drivers.uring.judge import BAD
from loadgen.drivers.uring.program import STEP_BITS, Program, Step
from loadgen.drivers.uring.slot_client import SlotClient
from loadgen.drivers.uring.slots import Mode, Slots, part
from loadgen.drivers.uring.slow_path import SlowPath
from loadgen.tcp import Failure, Fault, How, Phase


class Completions:
    """Takes completions by the batch."""

    def __init__(self, host: SlotClient, slow: SlowPath, connects: TimedConnects) -> None:
        self._host = host
        self._plan = host.plan
        self._table = host.table
        self._tally = host.tally
        self._slow = slow
        self._connects = connects
        self._next = Program.NEXT_LAST if host.plan.requests == 1 else Program.NEXT_KEEP
        self._by_reset = host.plan.ending.how is How.RST
        self._in_pieces = False
        """Whether any response has taken more than one read."""

    def absorb(self, completions: NDArray[Any], now_ns: int) -> None:
        """Take completions, reaped at `now_ns`."""
        table = self._table
        data = completions["user_data"].astype(np.int64)
        step, slot, res = data & (1 << STEP_BITS) - 1, data >> STEP_BITS, completions["res"]
        present: list[int] = np.bincount(step, minlength=1 << STEP_BITS).tolist()
        mode = table.mode[slot]
        chained = mode == Mode.CHAIN
        if present[Step.PEEK]:
            which = step == Step.PEEK
            self._left(res[which])
            # A new connection's socket closes the one before it; other closes have an answer of their own.
            self._host.flow.closing -= int(np.count_nonzero(which & (mode != Mode.CLOSING)))
        if any(present[Step.OPTION : Step.RECV]):
            for index in (chained & (step >= Step.OPTION) & (step < Step.RECV)).nonzero()[0].tolist():
                self._on_the_way(int(slot[index]), int(step[index]), int(res[index]), now_ns)
        if present[Step.ASK]:
            which = (step == Step.ASK) & (table.mode[slot] == Mode.CHAIN) & ~table.known[slot]
            self._asked(slot[which], res[which], now_ns)
        further = none = np.zeros(len(step), np.bool_)
        if self._in_pieces:
            further = chained & (step == Step.RECV) & (table.missing[slot] > 0)
        if present[Step.RECV]:
            which = chained & (step == Step.RECV) & ~further
            self._received(slot[which], res[which], now_ns)
        early = none
        if self._in_pieces:
            # What waits for the server's close sees the body that is not yet read: it has to wait again.
            early = chained & (step == Step.EOF) & (res > 0) & (table.missing[slot] > 0)
            table.unwatched[slot[early]] = True
            self._continued(slot[further], res[further], now_ns)
        if present[Step.EOF]:
            # Those that came onto the slow path meanwhile have theirs from the loop below.
            which = (step == Step.EOF) & (table.mode[slot] == Mode.CHAIN) & ~early
            self._ended(slot[which], res[which])
        if present[Step.WATCH]:
            # By the modes of before: one that became idle again meanwhile has another watch.
            roused = (step == Step.WATCH) & (mode == Mode.IDLE) & (res != -errno.ECANCELED)
            for index in roused.nonzero()[0].tolist():
                self._slow.roused(int(slot[index]))
        if present[Step.CLOSE]:
            which = (step == Step.CLOSE) & (table.mode[slot] == Mode.CLOSING)
            closed = slot[which]
            self._host.flow.closing -= len(closed)
            table.mode[closed] = Mode.FREE
            self._host.flow.free(closed)
        if len(self._slow):
            for index in (~chained | (step == Step.EOF) | further).nonzero()[0].tolist():
                self._slow.completed(int(slot[index]), int(step[index]), int(res[index]))

    def _on_the_way(self, slot: int, step: int, res: int, now_ns: int) -> None:
        """A chain's answer from before its request was sent."""
        if res >= 0 and step == Step.CONNECT:
            self._tally.connect_ns.append(now_ns - int(self._table.begun[slot]))
            one = np.array([slot])
            self._host.established(one)
            self._host.send_off(self._next, one)
        elif res >= 0:
            self._connects.prepared(slot)
        elif step == Step.SEND:
            self._slow.unsent(slot, OSError(-res, ""))
        elif step == Step.CONNECT and res == -errno.ECANCELED:
            self._slow.unanswered(slot)
        else:
            self._slow.refused(slot, step, OSError(-res, ""))

    def _asked(self, slots: Slots, res: NDArray[np.int32], now_ns: int) -> None:
        """What polls have answered that ask whether these connections are established."""
        table = self._table
        # POLLHUP too if there is no connection yet, or none any more: the chain's own answer says which.
        established = slots[(res > 0) & (res & (POLLOUT | POLLHUP) == POLLOUT)]
        self._host.established(established)
        # Probes are not needed: it is receiving until its time is up.
        table.probed[established] = table.waits[established] + self._plan.timeouts.response_ns
        connecting = slots[res == -errno.ECANCELED]
        table.waits[connecting] = now_ns
        self._host.sent(connecting)

    def _received(self, slots: Slots, lengths: NDArray[np.int32], now_ns: int) -> None:
        """What the first read of each response gave."""
        missing = self._host.judge.missing(slots, lengths, self._table.left[slots] == 1)
        if np.count_nonzero(missing):
            whole = missing == 0
            for index in (missing == BAD).nonzero()[0].tolist():
                self._slow.unexpected(int(slots[index]), int(lengths[index]))
            begun = missing > 0
            self._in_pieces = True
            self._begun(slots[begun], lengths[begun], missing[begun])
            slots = slots[whole]
        self._tally.reads += len(slots)
        self._responded(slots, now_ns)

    def _begun(self, slots: Slots, lengths: NDArray[np.int32], missing: NDArray[np.int64]) -> None:
        """The first `lengths` bytes of these responses are here; by their heads so many are `missing`."""
        table = self._table
        _, unknown = part(slots, table.known[slots])
        self._host.established(unknown)
        table.first[slots], table.missing[slots] = lengths, missing
        table.unwatched[slots] = False
        # Probes are not needed: it is receiving until its time is up.
        table.probed[slots] = table.waits[slots] + self._plan.timeouts.response_ns
        self._tally.reads += len(slots)
        self._host.send_off(Program.REST, slots)

    def _continued(self, slots: Slots, lengths: NDArray[np.int32], now_ns: int) -> None:
        """What a further read of each gave: all that was asked for, unless the connection has ended."""
        table = self._table
        as_asked = lengths == np.minimum(table.missing[slots], SINK)
        for slot in slots[~as_asked].tolist():
            self._slow.receiving(slot)
        slots = slots[as_asked]
        self._tally.reads += len(slots)
        table.missing[slots] -= lengths[as_asked]
        whole, others = part(slots, table.missing[slots] == 0)
        self._host.send_off(Program.REST, others)
        if not self._host.closes_first:
            last = whole[table.left[whole] == 1]
            self._host.send_off(Program.AWAIT_END, last[table.unwatched[last]])
        self._responded(whole, now_ns)

    def _responded(self, slots: Slots, now_ns: int) -> None:
        """Responses are whole and good."""
        table, tally, load = self._table, self._tally, self._host.flow
        _, unknown = part(slots, table.known[slots])
        self._host.established(unknown)
        tally.exchanges += len(slots)
        tally.service_ns.frombytes((now_ns - table.started[slots]).tobytes())
        tally.response_ns.frombytes((now_ns - table.intended[slots]).tobytes())
        table.left[slots] -= 1
        done, ready = part(slots, table.left[slots] == 0)
        if len(ready):
            load.ready(ready)
        if not len(done):
            return
        if self._host.closes_first:
            done = self._close_singly(done)
            table.mode[done] = Mode.SPENT
            if len(done):
                load.spent(done)
        else:
            table.answered[done] = True
            table.waits[done] = now_ns
            table.probed[done] = now_ns + self._plan.timeouts.close_ns

    def _close_singly(self, slots: Slots) -> Slots:
        """Close as many of these one by one as are to be closed so; the others."""
        host = self._host
        singly, others = slots[: host.closes_singly], slots[host.closes_singly :]
        host.closes_singly -= len(singly)
        for slot in singly.tolist():
            self._slow.adopt(slot, Phase.CLOSE, set()).finish()
        return others

    def _ended(self, slots: Slots, res: NDArray[np.int32]) -> None:
        """The server has closed after the last response, or something else has come."""
        table, tally = self._table, self._tally
        reset = (res == -errno.ECONNRESET) & self._by_reset
        good = table.answered[slots] & ((res == 0) | reset)
        if np.count_nonzero(good) < len(good):
            for index in (~good).nonzero()[0].tolist():
                if table.missing[slots[index]]:
                    self._slow.receiving(int(slots[index]))
                else:
                    self._slow.unexpected(int(slots[index]), int(res[index]), at_end=True)
            slots, reset = slots[good], reset[good]
        resets = int(np.count_nonzero(reset))
        tally.endings[SERVER_RST] += resets
        tally.endings[SERVER_FIN] += len(slots) - resets
        tally.succeeded += len(slots)
        tally.in_flight -= len(slots)
        table.mode[slots] = Mode.FREE
        self._host.flow.gone(slots)

    def _left(self, res: NDArray[np.int32]) -> None:
        """What PEEK has seen before the client closed: nothing, unless the server was first."""
        tally = self._tally
        values: list[int] = res.tolist()
        for value, count in Counter(values).items():
            if value != -errno.EAGAIN:
                self._host.server_was_first()
            if value == 0:
                tally.endings[SERVER_FIN] += count
                tally.succeeded += count
            elif -value in PEER_RESET:
                tally.endings[SERVER_RST] += count
                tally.errors[failure_of(Phase.CLOSE, OSError(errno.ECONNRESET, ""))] += count
            elif value > 0:
                # Closed with bytes unread, which the kernel answers by RST (K4).
                tally.endings[CLIENT_RST] += count
                tally.errors[Failure(Phase.CLOSE, Fault.MALFORMED)] += count
            else:
                tally.endings[self._host.own_ending] += count
                tally.succeeded += count
