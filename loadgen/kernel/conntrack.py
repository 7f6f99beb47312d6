"""The connections that conntrack follows, by state, and what it counts.

The entries come over NETLINK_NETFILTER (linux/netfilter/nfnetlink_conntrack.h): 2 us of a core each, most of
it in the kernel. The counters are in /proc/net/stat/nf_conntrack, a line for each CPU, in hexadecimal.
"""

import os
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadgen.kernel.procfile import NET, ParseError, ProcFile
from loadgen.tcp import Tracked

COUNTERS: Mapping[str, str] = {
    "insert_failed": "entries not made, the same addresses and ports being taken: a NAT without a port",
    "drop": "packets dropped because no entry could be made for them",
    "early_drop": "entries removed before their time, to make room for new ones at the limit",
}
"""What churn records of the counters: the kernel's name, and what it counts."""

STATES: Mapping[int, Tracked] = {
    1: Tracked.SYN_SENT,
    2: Tracked.SYN_RECV,
    3: Tracked.ESTABLISHED,
    4: Tracked.FIN_WAIT,
    5: Tracked.CLOSE_WAIT,
    6: Tracked.LAST_ACK,
    7: Tracked.TIME_WAIT,
    8: Tracked.CLOSE,
    9: Tracked.SYN_SENT2,
}
"""By the kernel's number (enum tcp_conntrack, linux/netfilter/nf_conntrack_tcp.h)."""

_NAME = "conntrack"
_STAT_FILE = Path("stat") / "nf_conntrack"
_COUNT = "entries"

# linux/netlink.h, linux/netfilter/nfnetlink.h
_NETLINK_NETFILTER = 12
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_GET, _NEW = 0x0101, 0x0100  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_NEW

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ERROR = struct.Struct("=i")
_FAMILY = struct.Struct("=BBH")  # nfgenmsg: family, version, resource
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_FIRST_ATTRIBUTE = _HEADER.size + _FAMILY.size
_TYPE = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_CTA_PROTOINFO, _CTA_PROTOINFO_TCP, _CTA_PROTOINFO_TCP_STATE = 4, 1, 1
_NESTING = 2 * _ATTRIBUTE.size
_KIND_ENDS = 6
"""The length and the type of a message are its first bytes."""

_REQUEST = _HEADER.pack(_FIRST_ATTRIBUTE, _GET, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0) + _FAMILY.pack(
    socket.AF_UNSPEC, 0, 0
)
_RECEIVE_BYTES = 1 << 20
_RECEIVE_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Part:
    """What one receive buffer of a dump held: entries of TCP by state, and whether it was the last."""

    entries: Counter[Tracked]
    done: bool


Places = dict[int, tuple[int, bytes]]
"""Where the state's attribute is in an entry of a length, and its header after those of the two around it.
Entries of one length mostly have the same attributes: of each it is checked that these are there."""


def parse(buffer: bytes | memoryview, places: Places) -> Part:
    """Take one receive buffer apart; nothing of it is kept. `places` gains those that are found.

    Raises OSError with the kernel's errno if it answers with an error, ParseError if the buffer does not
    hold whole messages of the expected kind.
    """
    numbers: Counter[int] = Counter()
    size = len(buffer)
    position = _alike(buffer, places, numbers)
    while position < size:
        if size - position < _HEADER.size:
            raise ParseError(_NAME, "truncated message", bytes(buffer[position:]))
        length, kind, _, _, _ = _HEADER.unpack_from(buffer, position)
        if not _HEADER.size <= length <= size - position:
            raise ParseError(_NAME, "truncated message", bytes(buffer[position:][: _HEADER.size]))
        message = buffer[position : position + length]
        if kind in (_NLMSG_DONE, _NLMSG_ERROR):
            _raise_error(message)
            return Part(_states(numbers), done=True)
        if kind != _NEW:
            raise ParseError(_NAME, f"unexpected type {kind}", bytes(message[: _HEADER.size]))
        place = _find_state(message)
        if place:
            places[length] = place, bytes(message[place - _NESTING : place + _ATTRIBUTE.size])
            numbers[message[place + _ATTRIBUTE.size]] += 1
        position += (length + 3) & ~3
    return Part(_states(numbers), done=False)


def _alike(buffer: bytes | memoryview, places: Places, numbers: Counter[int]) -> int:
    """Count all entries at once if they are alike, and say where they end; 0 if that is not possible."""
    if len(buffer) < _HEADER.size:
        return 0
    length, kind, _, _, _ = _HEADER.unpack_from(buffer)
    place, headers = places.get(length, (0, b""))
    if kind != _NEW or not place or length % 4 or length > len(buffer):
        return 0
    count = len(buffer) // length
    entries = np.frombuffer(buffer, np.uint8, count * length).reshape(count, length)
    heads, around = entries[:, :_KIND_ENDS], entries[:, place - _NESTING : place + _ATTRIBUTE.size]
    if (heads != heads[0]).any() or (around != np.frombuffer(headers, np.uint8)).any():
        return 0
    found: list[int] = np.bincount(entries[:, place + _ATTRIBUTE.size]).tolist()
    numbers.update({number: count for number, count in enumerate(found) if count})
    return count * length


def _states(numbers: Mapping[int, int]) -> Counter[Tracked]:
    return Counter({STATES[number]: count for number, count in numbers.items() if number in STATES})


def _raise_error(message: bytes | memoryview) -> None:
    if len(message) < _HEADER.size + _ERROR.size:
        raise ParseError(_NAME, "truncated message", bytes(message))
    (code,) = _ERROR.unpack_from(message, _HEADER.size)
    if code:
        raise OSError(-code, os.strerror(-code), _NAME)


def _find_state(message: bytes | memoryview) -> int:
    """The offset of the attribute with the state; 0 if there is none: an entry of another protocol."""
    begin, end = _FIRST_ATTRIBUTE, len(message)
    for wanted in (_CTA_PROTOINFO, _CTA_PROTOINFO_TCP):
        found = _find(message, begin, end, wanted)
        if not found:
            return 0
        begin, end = found + _ATTRIBUTE.size, found + _ATTRIBUTE.unpack_from(message, found)[0]
    return _find(message, begin, end, _CTA_PROTOINFO_TCP_STATE)


def _find(message: bytes | memoryview, begin: int, end: int, wanted: int) -> int:
    """The offset of an attribute between these; 0 if it is not there. Raises ParseError."""
    position = begin
    while position < end:
        length, kind = _ATTRIBUTE.unpack_from(message, position) if end - position >= 4 else (0, 0)
        if not _ATTRIBUTE.size <= length <= end - position:
            raise ParseError(_NAME, "truncated attribute", bytes(message[position:end]))
        if kind & _TYPE == wanted:
            return position
        position += (length + 3) & ~3
    return 0


class Conntrack:
    """A netlink socket, which sees the namespace its thread was in when it was made."""

    def __init__(self) -> None:
        """Raises OSError if the kernel has no conntrack."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _RECEIVE_TIMEOUT_S, 0)
        )
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._places: Places = {}

    def dump(self) -> Counter[Tracked]:
        """The entries of TCP by state. Raises OSError with the kernel's errno, and ParseError."""
        self._socket.send(_REQUEST)
        entries: Counter[Tracked] = Counter()
        while True:
            size = self._socket.recv_into(self._buffer)
            part = parse(self._buffer[:size], self._places)
            entries += part.entries
            if part.done:
                return entries

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Stat:
    """All entries, and the `COUNTERS`."""

    count: int
    counters: Mapping[str, int]


def parse_stat(text: bytes) -> Stat:
    """/proc/net/stat/nf_conntrack. Raises ParseError."""
    head, *lines = text.splitlines() or [b""]
    names = head.decode(errors="replace").split()
    if not lines or not {_COUNT, *COUNTERS} <= set(names):
        raise ParseError("nf_conntrack", "no such columns", head)
    try:
        rows = [dict(zip(names, (int(word, 16) for word in line.split()), strict=True)) for line in lines]
    except ValueError:
        raise ParseError("nf_conntrack", "not as many numbers as columns", lines[0]) from None
    # The number of entries is the namespace's, and is in the line of each CPU.
    return Stat(rows[0][_COUNT], {name: sum(row[name] for row in rows) for name in COUNTERS})


def open_stat(root: Path = NET) -> ProcFile[Stat]:
    """Keep `root`/stat/nf_conntrack open."""
    return ProcFile(root / _STAT_FILE, parse_stat)
