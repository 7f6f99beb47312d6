"""The programs of one plan: filled in once for every slot, and copied for the slots that a batch has."""

import mmap
import socket
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.application import Application
from loadgen.drivers.plan import Plan
from loadgen.drivers.uring.entries import SINK, Entries, Entry
from loadgen.drivers.uring.program import STEP_BITS, Program, Step
from loadgen.drivers.uring.slots import Slots, Table
from loadgen.uring.abi import ADDR, LEN, SQE, WORDS, Flag

Words = NDArray[np.uint64]
"""Entries as 64-bit words (see `abi.WORDS`)."""

MOST_FIRST = 65_536
"""Bytes that the first read of a response takes at most."""
MOST_BUFFERS = 1 << 29
"""Bytes of all first reads together, if every slot had a response as large as its buffer."""
CACHE_LINE = 64


def receive_buffers(slots: int) -> NDArray[np.uint8]:
    """One for each slot, shape (slots, bytes). Memory is taken as responses come, page by page."""
    # Not a power of two: all of them would begin in the same set of the core's cache.
    width = min(MOST_FIRST, MOST_BUFFERS // slots) + CACHE_LINE
    memory = mmap.mmap(-1, slots * width)
    with suppress(OSError):  # A kernel without huge pages knows no such advice.
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8).reshape(slots, width)


class Programs:
    """All programs of one plan, over slots with a receive buffer each: `buffers`, of shape (slots, bytes)."""

    def __init__(self, plan: Plan, application: Application, buffers: NDArray[np.uint8]) -> None:
        self.application = application
        self.buffers = buffers
        self.paths = len(plan.paths)
        self._entries = Entries(plan, application, buffers)
        self._built: dict[Program, Words] = {}
        self._steps: dict[Program, tuple[int, ...]] = {}

    def build(self, *programs: Program) -> None:
        """Fill these in; others are filled in when they are first used."""
        for program in programs:
            if program not in self._built:
                self._built[program] = self._fill(program)

    def length(self, program: Program) -> int:
        """How many entries it has."""
        self.build(program)
        return len(self._steps[program])

    def entries(self, program: Program, slots: Slots, table: Table) -> Words:
        """The program for each of these slots, to be pushed as it is."""
        self.build(program)
        block, paths = self._built[program].take(slots, 0), table.path
        if program is Program.REST:
            block[:, LEN] = np.minimum(table.missing[slots], SINK) | socket.MSG_WAITALL << 32
        if self.paths > 1:
            for place, step in enumerate(self._steps[program]):
                if step == Step.CONNECT:
                    block[:, place * WORDS + ADDR] = self._entries.destinations[paths[slots]]
                elif step == Step.BIND:
                    block[:, place * WORDS + ADDR] = self._entries.sources[paths[slots]]
        return block.reshape(-1, WORDS)

    def _fill(self, program: Program) -> Words:
        """A row for each slot, with the words of all entries."""
        entries, slots = self._chain(program), self._entries.slots
        self._steps[program] = tuple(entry.step for entry in entries)
        template = np.zeros((len(slots), len(entries)), SQE)
        for column, entry in enumerate(entries):
            into = template[:, column]
            into["opcode"] = entry.op
            into["flags"] = entry.flags | (Flag.FIXED_FILE if entry.fd is None else 0)
            into["fd"] = slots if entry.fd is None else entry.fd
            into["user_data"] = slots << STEP_BITS | entry.step
            for name in ("off", "addr", "len", "op_flags", "addr3", "file_index"):
                into[name] = getattr(entry, name)
        return template.view(np.uint64)

    def _chain(self, program: Program) -> list[Entry]:
        one = self._entries
        match program:
            case Program.OPEN_KEEP | Program.OPEN_LAST:
                return [*one.connect(), *one.exchange(last=program is Program.OPEN_LAST)]
            case Program.TURN_KEEP | Program.TURN_LAST:
                # The next socket takes the former's place in the table, which closes that.
                opening = [*one.connect(), *one.exchange(last=program is Program.TURN_LAST)]
                return [*one.before_close(), *opening]
            case Program.NEXT_KEEP | Program.NEXT_LAST:
                return one.exchange(last=program is Program.NEXT_LAST)
            case Program.WAKE_KEEP | Program.WAKE_LAST:
                return [one.unwatch(), *one.exchange(last=program is Program.WAKE_LAST)]
            case Program.PREPARE:
                return one.prepare()
            case Program.TURN_PREPARE:
                return [*one.before_close(), *one.prepare()]
            case Program.CONNECT:
                return [one.connect_alone()]
            case Program.WATCH:
                return [one.watch()]
            case Program.FINISH:
                return [*one.before_close(), one.close()]
            case Program.RECV:
                return [one.recv()]
            case Program.REST:
                return [one.rest()]
            case Program.AWAIT_END:
                return [one.end()]
            case Program.SEND_KEEP | Program.SEND_LAST:
                return [one.send(last=program is Program.SEND_LAST).last()]
            case Program.DESCRIPTOR:
                return [one.descriptor()]
            case Program.CLOSE:
                return [one.close()]
            case Program.DISCARD:
                return [one.discard()]
            case Program.CANCEL:
                return [one.cancel_all()]
            case Program.CANCEL_CONNECT:
                return [one.cancel(Step.CONNECT)]
            case Program.CANCEL_RECV:
                return [one.cancel(Step.RECV)]
            case Program.CANCEL_EOF:
                return [one.cancel(Step.EOF)]
            case Program.ASK:
                return [one.ask()]
            case Program.CANCEL_ASK:
                return [one.cancel(Step.ASK)]
