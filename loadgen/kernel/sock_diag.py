"""The kernel's TCP sockets, one row each, over NETLINK_SOCK_DIAG (linux/sock_diag.h, linux/inet_diag.h).

A full dump costs a quarter of what
`ss` takes (K20): nothing is formatted, and messages of one length are taken apart as one array.

What the masks and rows mean, as measured on Linux 6.18:
- A request (a half-open connection at a listener) is in kernel state 12, NEW-SYN-RECV. Its row says 3,
  SYN-RECV. Either bit of the mask brings it: State.SYN_RECEIVED stands for both.
- An orphaned FIN-WAIT-2 becomes a minisocket. It answers to the bit of FIN-WAIT-2, never to that of
  TIME-WAIT, and its timer is 3; so is the timer of TIME-WAIT (K17).
- Bit 13, bound but inactive, walks a second table (K20). No State stands for it, so no mask carries it.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from socket import AddressFamily
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loadgen.kernel.procfile import ParseError
from loadgen.kernel.socket_table import NUMBERS, SocketTable, state_numbered
from loadgen.tcp import State

_NAME = "sock_diag"

# linux/netlink.h
_NETLINK_SOCK_DIAG = 4
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
_TCPDIAG_GETSOCK, _SOCK_DIAG_BY_FAMILY = 18, 20

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ERROR = struct.Struct("=i")
_REQUEST_V2 = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states, id
_ONE = struct.Struct(">BB6xHH16s16s4xQ")  # inet_diag_req_v2 with an id, whose ports are in network order
_NO_COOKIE = (1 << 64) - 1
_REQUEST = struct.Struct(
    "=BBBB48xII"
)  # inet_diag_req: family, source and destination length, ext, id, states, dbs

# What is kept of a message: words 1, 4, 5 and 18, out of nlmsghdr (words 0 to 3) and inet_diag_msg.
_WORD = 4
_KEPT = np.array([1, 4, 5, 18])
_ROW = np.dtype(
    [
        ("type", "u2"),
        ("flags", "u2"),
        ("family", "u1"),
        ("state", "u1"),
        ("timer", "u1"),
        ("retrans", "u1"),
        ("local_port", ">u2"),
        ("remote_port", ">u2"),
        ("receive_queue", "u4"),
    ]
)
_SOCKET_WORDS = 22  # nlmsghdr and inet_diag_msg; attributes may follow

_RECEIVE_BYTES = 1 << 20  # the kernel fills at most 32 KiB a message, if there is room for it (af_netlink.c)
_RECEIVE_TIMEOUT_S = 5  # the kernel computes a dump inside recv(): a longer wait is a bug


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one receive buffer of a dump held: a row per socket, and whether it was the last.

    `heads` has shape (sockets, 4); each row is the bytes of a `_ROW`, unstructured because numpy joins
    structured arrays field by field, 50 times slower.
    """

    heads: NDArray[np.uint32]
    interrupted: bool
    done: bool


def parse(buffer: bytes | memoryview) -> Part:
    """Take one receive buffer apart; nothing of it is kept.

    Raises OSError with the kernel's errno if it answers with an error, ParseError if the buffer
    does not hold whole messages of the expected kind.
    """
    if not buffer or len(buffer) % _WORD:
        raise ParseError(_NAME, f"truncated: {len(buffer)} bytes")
    words = np.frombuffer(buffer, np.uint32)
    starts, end = _long_messages(words)
    if end > len(words):
        raise ParseError(_NAME, "truncated message", bytes(buffer[starts[-1] * _WORD :][: _HEADER.size]))
    heads = words[starts[:, np.newaxis] + _KEPT]
    kinds = heads.view(_ROW)["type"][:, 0]
    sockets = (kinds == _SOCK_DIAG_BY_FAMILY) | (kinds == _TCPDIAG_GETSOCK)
    if not sockets.all():
        # An error that quotes the request is as long as a socket.
        first = int(sockets.argmin())
        heads, end = heads[:first], int(starts[first])
    done = end < len(words)
    flags = int(np.bitwise_or.reduce(heads.view(_ROW)["flags"], axis=None))
    if done:
        flags |= _last_flags(buffer[end * _WORD :])
    return Part(heads, bool(flags & _NLM_F_DUMP_INTR), done)


def join(parts: Sequence[Part]) -> SocketTable:
    """The sockets of a whole dump."""
    rows = np.concatenate([part.heads for part in parts]).view(_ROW)[:, 0]
    return SocketTable(
        state=rows["state"].copy(),
        timer=rows["timer"].copy(),
        local_port=rows["local_port"].astype(np.uint16),
        remote_port=rows["remote_port"].astype(np.uint16),
        receive_queue=rows["receive_queue"].copy(),
        interrupted=any(part.interrupted for part in parts),
    )


def _long_messages(words: NDArray[np.uint32]) -> tuple[NDArray[np.intp], int]:
    """The start of each message, and of the first that is too short for a socket, in words."""
    size = len(words)
    step = (int(words[0]) + _WORD - 1) // _WORD
    # Most buffers hold messages of one length: every TIME-WAIT has the same attributes, mostly none.
    if step >= _SOCKET_WORDS and size % step == 0 and np.all(words[::step] == words[0]):
        return np.arange(0, size, step), size
    # If they differ, the length of each gives the start of the next.
    lengths = words.data
    starts: list[int] = []
    position = 0
    while position < size:
        step = (lengths[position] + _WORD - 1) // _WORD
        if step < _SOCKET_WORDS:
            break
        starts.append(position)
        position += step
    return np.array(starts, dtype=np.intp), position


def _last_flags(message: bytes | memoryview) -> int:
    """The flags of the message that ends a dump. Raises OSError if it reports an error, and ParseError."""
    if len(message) < _HEADER.size + _ERROR.size:
        raise ParseError(_NAME, "truncated message", bytes(message))
    _, kind, flags, _, _ = _HEADER.unpack_from(message)
    if kind not in (_NLMSG_ERROR, _NLMSG_DONE):
        raise ParseError(_NAME, f"unexpected type {kind}", bytes(message[: _HEADER.size]))
    (code,) = _ERROR.unpack_from(message, _HEADER.size)
    if code:
        raise OSError(-code, os.strerror(-code), _NAME)
    return flags


@cache
def _request(family: AddressFamily, states: frozenset[State]) -> bytes:
    """The message that asks for the sockets of `family` that are in `states`."""
    mask = sum({1 << number for state in states for number in NUMBERS[state]})
    if family is AddressFamily.AF_UNSPEC:
        # inet_diag_req_v2 cannot ask for both. Its predecessor can do nothing else (inet_diag_dump_compat()
        # in net/ipv4/inet_diag.c), and spares a second walk over the whole hash table (K20, K22).
        kind, body = _TCPDIAG_GETSOCK, _REQUEST.pack(family, 0, 0, 0, mask, 0)
    else:
        kind, body = _SOCK_DIAG_BY_FAMILY, _REQUEST_V2.pack(family, socket.IPPROTO_TCP, 0, mask)
    return _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0) + body


def state_between(local: tuple[bytes, int], remote: tuple[bytes, int]) -> State | None:
    """The state of the one socket with these packed addresses and ports; None if there is none.

    The kernel looks it up in its hash table, minisockets included. Raises OSError.
    """
    (here, local_port), (there, remote_port) = local, remote
    family = AddressFamily.AF_INET if len(here) == 4 else AddressFamily.AF_INET6
    body = _ONE.pack(family, socket.IPPROTO_TCP, local_port, remote_port, here, there, _NO_COOKIE)
    head = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as asked:
        asked.send(head + body)
        answer = asked.recv(4096)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != _NLMSG_ERROR:
        return state_numbered(answer[_HEADER.size + 1])
    (code,) = _ERROR.unpack_from(answer, _HEADER.size)
    if code != -errno.ENOENT:
        raise OSError(-code, os.strerror(-code), _NAME)
    return None


class SockDiag:
    """A netlink socket, which sees the namespace its thread was in when it was made."""

    def __init__(self) -> None:
        """Raises OSError if the kernel has no sock_diag."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        )
        # In the kernel, so that recv() stays one system call.
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _RECEIVE_TIMEOUT_S, 0)
        )
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))

    def dump(self, family: AddressFamily, states: Iterable[State]) -> SocketTable:
        """The sockets in `states`; AF_UNSPEC asks for IPv4 and IPv6 in one walk.

        An IPv6 listener's connections from IPv4 clients are IPv6 sockets, their other ends IPv4: only
        AF_UNSPEC shows both ends. Raises OSError with the kernel's errno, and ParseError.
        """
        self._socket.send(_request(family, frozenset(states)))
        parts: list[Part] = []
        while not parts or not parts[-1].done:
            size = self._socket.recv_into(self._buffer)
            parts.append(parse(self._buffer[:size]))
        return join(parts)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
