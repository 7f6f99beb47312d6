"""Single entries of the ring, for all slots at once, and the memory that they point to."""

import ctypes
import select
import socket
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.application import Application
from loadgen.drivers.plan import Plan
from loadgen.drivers.sockets import IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE, port_range_value
from loadgen.drivers.uring.program import STEP_BITS, Step
from loadgen.scenario.choices import Bind
from loadgen.tcp import How, Side
from loadgen.uring.abi import SOCKET_SETSOCKOPT, Flag, Op

SINK = 1 << 20
"""Bytes of a body that one more read takes: so many that the turns are few beside the kernel's own work, and
so few that they stay in the cache."""
CANCEL_ALL_OF_FIXED_FILE = 1 << 0 | 1 << 1 | 1 << 3
"""IORING_ASYNC_CANCEL_ALL, _FD and _FD_FIXED: whatever is pending on that file of the ring's table."""


@dataclass(frozen=True, slots=True)
class Entry:
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

    def last(self) -> "Entry":
        """As the end of a chain: linked to nothing, and answered."""
        return replace(self, flags=self.flags & ~(Flag.LINK | Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS))


class Entries:
    """The entries of one plan, over slots with a receive buffer each: `buffers`, of shape (slots, bytes).

    `sources` and `destinations` are the addresses, in memory, of a struct sockaddr for each path of the plan.
    """

    def __init__(self, plan: Plan, application: Application, buffers: NDArray[np.uint8]) -> None:
        self.slots = np.arange(len(buffers))
        self._plan = plan
        self._buffers = buffers
        self._ipv6 = ":" in plan.destinations[0]
        self._constants: list[object] = []
        """Memory that entries point to; it has to live as long as they do."""
        # No bytes behind the first read are looked at, so all slots share the memory that they go to.
        self._sink = np.zeros(SINK, np.uint8)
        self._requests = {False: self._bytes(application.request), True: self._bytes(application.last)}
        self.sources = np.array([self._bytes(self._sockaddr(source, 0))[0] for source, _, _ in plan.paths])
        self.destinations = np.array([self._bytes(self._sockaddr(to, at))[0] for _, to, at in plan.paths])
        # What a peek sees is of no interest; in the slot's buffer it would overwrite a response.
        self._peeked, _ = self._bytes(b"\0")

    def connect(self) -> list[Entry]:
        """A new socket in the slot, as far as connect()."""
        return [*self._socket(), self._connect()]

    def prepare(self) -> list[Entry]:
        """A new socket in the slot that is ready to connect."""
        *before, ready = self._socket()
        return [*before, ready.last()]

    def connect_alone(self) -> Entry:
        """connect() of a socket that is ready."""
        return self._connect().last()

    def exchange(self, *, last: bool) -> list[Entry]:
        receive = self.recv()
        if last and self._plan.ending.side is Side.SERVER:
            return [self.send(last=last), replace(receive, flags=Flag.LINK), self.end()]
        return [self.send(last=last), receive]

    def send(self, *, last: bool) -> Entry:
        address, length = self._requests[last]
        flags = socket.MSG_NOSIGNAL | socket.MSG_WAITALL
        return Entry(Step.SEND, Op.SEND, addr=address, len=length, op_flags=flags)

    def recv(self) -> Entry:
        width = self._buffers.shape[1]
        return Entry(
            Step.RECV, Op.RECV, addr=self._buffers.ctypes.data + self.slots * width, len=width
        ).last()

    def rest(self) -> Entry:
        """One more read of the same response."""
        return replace(self.recv(), addr=self._sink.ctypes.data)

    def end(self) -> Entry:
        # A peek only: bytes behind the last response are left for the attempt that reads them.
        return Entry(Step.EOF, Op.RECV, addr=self._peeked, len=1, op_flags=socket.MSG_PEEK).last()

    def watch(self) -> Entry:
        return Entry(Step.WATCH, Op.POLL_ADD, op_flags=select.POLLIN | select.POLLRDHUP).last()

    def ask(self) -> Entry:
        # A poll changes nothing in the socket, and takes none of its errors.
        return Entry(Step.ASK, Op.POLL_ADD, op_flags=select.POLLOUT).last()

    def unwatch(self) -> Entry:
        return replace(self.cancel(Step.WATCH), flags=Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS)

    def before_close(self) -> list[Entry]:
        """What comes before a close by the client: a peek, and for a RST the option that makes it one."""
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
        peek = Entry(Step.PEEK, Op.RECV, Flag.HARDLINK, addr=self._peeked, len=1, op_flags=flags)
        return [peek, self._linger_0()] if self._plan.ending.how is How.RST else [peek]

    def close(self) -> Entry:
        return Entry(Step.CLOSE, Op.CLOSE, fd=0, file_index=self.slots + 1).last()

    def discard(self) -> Entry:
        """A close without an answer."""
        return replace(self.close(), step=Step.NOTHING, flags=Flag.CQE_SKIP_SUCCESS)

    def descriptor(self) -> Entry:
        return Entry(Step.OPEN, Op.FIXED_FD_INSTALL).last()

    def cancel(self, step: int) -> Entry:
        target = self.slots << STEP_BITS | step
        return Entry(Step.NOTHING, Op.ASYNC_CANCEL, Flag.CQE_SKIP_SUCCESS, addr=target, fd=-1)

    def cancel_all(self) -> Entry:
        flags = CANCEL_ALL_OF_FIXED_FILE
        return Entry(Step.NOTHING, Op.ASYNC_CANCEL, Flag.CQE_SKIP_SUCCESS, op_flags=flags)

    def _socket(self) -> list[Entry]:
        family = socket.AF_INET6 if self._ipv6 else socket.AF_INET
        entries = [
            Entry(Step.SOCKET, Op.SOCKET, off=socket.SOCK_STREAM, fd=family, file_index=self.slots + 1),
            # The handshake's ACK leaves with the request, and not before it: a segment less.
            self._option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, self._int(0)),
        ]
        if self._plan.local_port_range:
            value = self._bytes(port_range_value(*self._plan.local_port_range))
            entries.append(self._option(socket.SOL_IP, IP_LOCAL_PORT_RANGE, value))
        # What the kernel does in an early bind() would not be timed.
        assert self._plan.binds is not Bind.EARLY
        if self._plan.binds is Bind.LATE:
            # Without this option bind() takes a port that then serves one destination only (K10).
            entries.append(self._option(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, self._int(1)))
            entries.append(Entry(Step.BIND, Op.BIND, addr=int(self.sources[0]), off=self._sockaddr_size))
        return entries

    def _connect(self) -> Entry:
        return Entry(Step.CONNECT, Op.CONNECT, addr=int(self.destinations[0]), off=self._sockaddr_size)

    def _linger_0(self) -> Entry:
        """The close that follows is a RST (K4)."""
        address, _ = self._bytes(struct.pack("ii", 1, 0))
        entry = self._option(socket.SOL_SOCKET, socket.SO_LINGER, (address, 8))
        return replace(entry, step=Step.NOTHING, flags=Flag.HARDLINK | Flag.CQE_SKIP_SUCCESS)

    def _option(self, level: int, name: int, value: tuple[int, int]) -> Entry:
        address, size = value
        return Entry(
            Step.OPTION,
            Op.URING_CMD,
            off=SOCKET_SETSOCKOPT,
            addr=level | name << 32,
            file_index=size,
            addr3=address,
        )

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
