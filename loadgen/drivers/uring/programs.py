"""The chains of entries that a slot can be sent through, filled in once for every slot.

A chain's entries are linked: each begins when the one before has succeeded. Successes are silent
but for the last, so a chain answers once: by its end, or by the entry that failed.
"""

import ctypes
import mmap
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.attempt import requests
from loadgen.drivers.plan import Plan
from loadgen.drivers.sockets import IP_BIND_ADDRESS_NO_PORT
from loadgen.drivers.uring.slots import Table
from loadgen.tcp import CloseMethod, Closer
from loadgen.uring.abi import ADDR, LEN, SOCKET_SETSOCKOPT, SQE, WORDS, Flag, Op

Words = NDArray[np.uint64]
"""Entries as 64-bit words (see `abi.WORDS`)."""

STEP_BITS = 4
"""`user_data` is a slot's number, and below it in so many bits a `Step`."""
MOST_FIRST = 65_536
"""Bytes that the first read of a response takes at most."""
MOST_BUFFERS = 1 << 29
"""Bytes of all first reads together, if every slot had a response as large as its buffer."""
CACHE_LINE = 64
SINK = 1 << 20
"""Bytes of a body that one more read takes: so many that the turns are few beside what the kernel does for
them, and so few that they stay in the cache."""
CANCEL_ALL_OF_FIXED_FILE = 1 << 0 | 1 << 1 | 1 << 3
"""IORING_ASYNC_CANCEL_ALL, _FD and _FD_FIXED: whatever is pending on that file of the ring's table."""


class Step:
    """What an entry does for the connection in its slot: plain ints, for they are compared with arrays.

    (At every turn; members of an Enum would be looked up by Python code up to 3.11.)
    """

    NOTHING: Final = 0
    """Whose answer is of no interest: a cancellation, a close nobody waits for."""
    PEEK: Final = 1
    """Ask, before the client closes, whether the server did."""
    OPTION: Final = 2
    SOCKET: Final = 3
    BIND: Final = 4
    CONNECT: Final = 5
    SEND: Final = 6
    RECV: Final = 7
    EOF: Final = 8
    """Wait for the server's close, after the last response."""
    WATCH: Final = 9
    """Watch an idle connection."""
    OPEN: Final = 10
    """Get a descriptor of the process for the slot's file."""
    CLOSE: Final = 11


class Program(Enum):
    """A chain. KEEP and LAST tell the requests apart: the last one of a connection, and those before."""

    OPEN_KEEP = auto()
    OPEN_LAST = auto()
    TURN_KEEP = auto()
    """End the slot's connection, being its closer, and open the next."""
    TURN_LAST = auto()
    NEXT_KEEP = auto()
    """One more exchange."""
    NEXT_LAST = auto()
    WAKE_KEEP = auto()
    """One more exchange, on a connection that was watched."""
    WAKE_LAST = auto()
    PREPARE = auto()
    """A socket that is ready to connect."""
    TURN_PREPARE = auto()
    CONNECT = auto()
    WATCH = auto()
    FINISH = auto()
    """End the slot's connection, being its closer."""
    RECV = auto()
    REST = auto()
    """Receive what is missing of a response: all of it, or a sink full."""
    AWAIT_END = auto()
    """Wait for the server's close."""
    SEND_KEEP = auto()
    SEND_LAST = auto()
    DESCRIPTOR = auto()
    """A descriptor of the process for the slot's file, beside the ring's own."""
    CLOSE = auto()
    DISCARD = auto()
    """Close what the server has ended, and say nothing."""
    CANCEL = auto()
    """Cancel whatever is pending in the slot."""
    CANCEL_CONNECT = auto()
    CANCEL_RECV = auto()
    CANCEL_EOF = auto()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry for all slots: scalars, or arrays with a value for each."""

    step: int
    op: Op
    flags: Flag = Flag.LINK | Flag.CQE_SKIP_SUCCESS
    off: int = 0
    addr: Any = 0
    len: int = 0
    op_flags: int = 0
    addr3: int = 0
    fd: int | None = None
    """None: the slot's own file."""
    file_index: Any = 0

    def last(self) -> "_Entry":
        """As the end of a chain: not linked on, and answered."""
        return replace(self, flags=self.flags & ~(Flag.LINK | Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS))


def receive_buffers(slots: int) -> NDArray[np.uint8]:
    """One for each slot, shape (slots, bytes). Memory is taken where a response comes, page by page."""
    # Not a power of two: all of them would begin in the same set of the core's cache.
    width = min(MOST_FIRST, MOST_BUFFERS // slots) + CACHE_LINE
    memory = mmap.mmap(-1, slots * width)
    with suppress(OSError):  # A kernel without huge pages knows no such advice.
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8).reshape(slots, width)


class Programs:
    """All programs of one plan, over slots with a receive buffer each: `buffers`, of shape (slots, bytes)."""

    def __init__(self, plan: Plan, buffers: NDArray[np.uint8]) -> None:
        self.buffers = buffers
        # Nobody looks at what is behind the first read, so all slots share the memory that it goes to.
        self._sink = np.zeros(SINK, np.uint8)
        slots = len(buffers)
        self.pairs = len(plan.sources) * len(plan.destinations)
        self._plan = plan
        self._slot = np.arange(slots)
        self._ipv6 = ":" in plan.destinations[0]
        self._constants: list[object] = []
        """Memory that entries point to; it has to live as long as they do."""
        keep, last = requests(plan)
        self._requests = {False: self._bytes(keep), True: self._bytes(last)}
        pairs = [(source, there) for there in plan.destinations for source in plan.sources]
        self._sources = np.array([self._bytes(self._sockaddr(source, 0))[0] for source, _ in pairs])
        self._destinations = np.array([self._bytes(self._sockaddr(to, plan.port))[0] for _, to in pairs])
        # What a peek sees is of no interest; in the slot's buffer it would overwrite a response.
        self._peeked, _ = self._bytes(b"\0")
        self._built: dict[Program, Words] = {}
        self._steps: dict[Program, tuple[int, ...]] = {}

    def build(self, *programs: Program) -> None:
        """Fill these in; others are when they are first used."""
        for program in programs:
            if program not in self._built:
                self._built[program] = self._fill(program)

    def length(self, program: Program) -> int:
        """How many entries it has."""
        self.build(program)
        return len(self._steps[program])

    def entries(self, program: Program, slots: NDArray[np.int64], table: Table) -> Words:
        """The program for each of these slots, to be pushed as it is."""
        self.build(program)
        block, pairs = self._built[program].take(slots, 0), table.pair
        if program is Program.REST:
            block[:, LEN] = np.minimum(table.missing[slots], SINK) | socket.MSG_WAITALL << 32
        if self.pairs > 1:
            for place, step in enumerate(self._steps[program]):
                if step == Step.CONNECT:
                    block[:, place * WORDS + ADDR] = self._destinations[pairs[slots]]
                elif step == Step.BIND:
                    block[:, place * WORDS + ADDR] = self._sources[pairs[slots]]
        return block.reshape(-1, WORDS)

    def _fill(self, program: Program) -> Words:
        """A row for each slot, with the words of all entries."""
        lines = self._lines(program)
        self._steps[program] = tuple(line.step for line in lines)
        template = np.zeros((len(self._slot), len(lines)), SQE)
        for column, line in enumerate(lines):
            into = template[:, column]
            into["opcode"] = line.op
            into["flags"] = line.flags | (Flag.FIXED_FILE if line.fd is None else 0)
            into["fd"] = self._slot if line.fd is None else line.fd
            into["user_data"] = self._slot << STEP_BITS | line.step
            for name in ("off", "addr", "len", "op_flags", "addr3", "file_index"):
                into[name] = getattr(line, name)
        return template.view(np.uint64)

    def _lines(self, program: Program) -> list[_Entry]:
        match program:
            case Program.OPEN_KEEP | Program.OPEN_LAST:
                return [*self._connect(), *self._exchange(last=program is Program.OPEN_LAST)]
            case Program.TURN_KEEP | Program.TURN_LAST:
                # The next socket takes the former's place in the table, which closes that.
                opening = [*self._connect(), *self._exchange(last=program is Program.TURN_LAST)]
                return [self._peek(Step.PEEK), *self._linger(), *opening]
            case Program.NEXT_KEEP | Program.NEXT_LAST:
                return self._exchange(last=program is Program.NEXT_LAST)
            case Program.WAKE_KEEP | Program.WAKE_LAST:
                return [self._unwatch(), *self._exchange(last=program is Program.WAKE_LAST)]
            case Program.PREPARE:
                return self._prepare()
            case Program.TURN_PREPARE:
                return [self._peek(Step.PEEK), *self._linger(), *self._prepare()]
            case Program.CONNECT:
                return [self._connect()[-1].last()]
            case Program.WATCH:
                events = select.POLLIN | select.POLLRDHUP
                return [_Entry(Step.WATCH, Op.POLL_ADD, op_flags=events).last()]
            case Program.FINISH:
                return [self._peek(Step.PEEK), *self._linger(), self._close()]
            case Program.RECV:
                return [self._recv()]
            case Program.REST:
                return [replace(self._recv(), addr=self._sink.ctypes.data)]
            case Program.AWAIT_END:
                return [self._end()]
            case Program.SEND_KEEP | Program.SEND_LAST:
                return [self._send(last=program is Program.SEND_LAST).last()]
            case Program.DESCRIPTOR:
                return [_Entry(Step.OPEN, Op.FIXED_FD_INSTALL).last()]
            case Program.CLOSE:
                return [self._close()]
            case Program.DISCARD:
                return [replace(self._close(), step=Step.NOTHING, flags=Flag.CQE_SKIP_SUCCESS)]
            case Program.CANCEL:
                flags = CANCEL_ALL_OF_FIXED_FILE
                return [_Entry(Step.NOTHING, Op.ASYNC_CANCEL, Flag.CQE_SKIP_SUCCESS, op_flags=flags)]
            case Program.CANCEL_CONNECT:
                return [self._cancel(Step.CONNECT)]
            case Program.CANCEL_RECV:
                return [self._cancel(Step.RECV)]
            case Program.CANCEL_EOF:
                return [self._cancel(Step.EOF)]

    def _connect(self) -> list[_Entry]:
        family = socket.AF_INET6 if self._ipv6 else socket.AF_INET
        lines = [
            _Entry(Step.SOCKET, Op.SOCKET, off=socket.SOCK_STREAM, fd=family, file_index=self._slot + 1),
            # The handshake's ACK goes out with the request, and not before it: a segment less.
            self._option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, self._int(0)),
        ]
        if len(self._plan.sources) > 1:
            # Without this option bind() takes a port that then serves one destination only (K10).
            lines.append(self._option(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, self._int(1)))
            lines.append(_Entry(Step.BIND, Op.BIND, addr=int(self._sources[0]), off=self._sockaddr_size))
        address = int(self._destinations[0])
        return [*lines, _Entry(Step.CONNECT, Op.CONNECT, addr=address, off=self._sockaddr_size)]

    def _prepare(self) -> list[_Entry]:
        *before, ready, _ = self._connect()
        return [*before, ready.last()]

    def _exchange(self, *, last: bool) -> list[_Entry]:
        receive = self._recv()
        if last and self._plan.closer is Closer.SERVER:
            return [self._send(last=last), replace(receive, flags=Flag.LINK), self._end()]
        return [self._send(last=last), receive]

    def _send(self, *, last: bool) -> _Entry:
        address, length = self._requests[last]
        flags = socket.MSG_NOSIGNAL | socket.MSG_WAITALL
        return _Entry(Step.SEND, Op.SEND, addr=address, len=length, op_flags=flags)

    def _recv(self) -> _Entry:
        return _Entry(Step.RECV, Op.RECV, addr=self._buffer(), len=self.buffers.shape[1]).last()

    def _end(self) -> _Entry:
        # Only looked at: bytes behind the last response are read by whoever looks into the matter.
        return _Entry(Step.EOF, Op.RECV, addr=self._peeked, len=1, op_flags=socket.MSG_PEEK).last()

    def _peek(self, step: int) -> _Entry:
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
        return _Entry(step, Op.RECV, Flag.HARDLINK, addr=self._peeked, len=1, op_flags=flags)

    def _linger(self) -> list[_Entry]:
        return [self._linger_0()] if self._plan.close is CloseMethod.RST else []

    def _linger_0(self) -> _Entry:
        """The close that follows is a RST (K4)."""
        address, _ = self._bytes(struct.pack("ii", 1, 0))
        line = self._option(socket.SOL_SOCKET, socket.SO_LINGER, (address, 8))
        return replace(line, step=Step.NOTHING, flags=Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS)

    def _option(self, level: int, name: int, value: tuple[int, int]) -> _Entry:
        address, size = value
        return _Entry(
            Step.OPTION,
            Op.URING_CMD,
            off=SOCKET_SETSOCKOPT,
            addr=level | name << 32,
            file_index=size,
            addr3=address,
        )

    def _close(self) -> _Entry:
        return _Entry(Step.CLOSE, Op.CLOSE, fd=0, file_index=self._slot + 1).last()

    def _cancel(self, step: int) -> _Entry:
        target = self._slot << STEP_BITS | step
        return _Entry(Step.NOTHING, Op.ASYNC_CANCEL, Flag.CQE_SKIP_SUCCESS, addr=target, fd=-1)

    def _unwatch(self) -> _Entry:
        return replace(self._cancel(Step.WATCH), flags=Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS)

    def _buffer(self) -> NDArray[np.int64]:
        return self.buffers.ctypes.data + self._slot * self.buffers.shape[1]

    @property
    def _sockaddr_size(self) -> int:
        return 28 if self._ipv6 else 16

    def _sockaddr(self, host: str, port: int) -> bytes:
        """struct sockaddr_in or sockaddr_in6."""
        if self._ipv6:
            address = socket.inet_pton(socket.AF_INET6, host)
            return struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(port), 0, address, 0)
        return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))

    def _int(self, value: int) -> tuple[int, int]:
        return self._bytes(struct.pack("i", value))

    def _bytes(self, data: bytes) -> tuple[int, int]:
        """Keep these bytes at one place: its address, and their number."""
        kept = ctypes.create_string_buffer(data, len(data))
        self._constants.append(kept)
        return ctypes.addressof(kept), len(data)
