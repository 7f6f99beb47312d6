"""A segment of TCP as a packet has it (RFC 9293, section 3.1): parsed from its IP header on. Pure."""

import struct
from dataclasses import dataclass
from enum import IntFlag

_IPV4_ADDRESSES, _IPV6_ADDRESSES = slice(12, 20), slice(8, 40)
_IPV6_HEADER = 40
_TCP = 6
_END, _NO_OPERATION, _SACK = 0, 1, 5
_HEAD = struct.Struct("!HHIIBBH")


class Flags(IntFlag):
    """The control bits that open and end connections."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20


@dataclass(frozen=True, slots=True)
class Segment:
    """`source` and `destination` are (packed address, port); `size` is the bytes of data it carries.

    `sacked` is the first block of its SACK option, as the numbers of its begin and after its end. A block
    below the acknowledgment number is of bytes that arrived twice (RFC 2883).
    """

    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    sequence: int
    acknowledgment: int
    flags: Flags
    window: int
    size: int
    sacked: tuple[int, int] | None = None

    @property
    def takes(self) -> int:
        """The sequence numbers that it takes: its bytes, and one each for SYN and FIN."""
        return self.size + bool(self.flags & Flags.SYN) + bool(self.flags & Flags.FIN)

    def has(self, flags: Flags) -> bool:
        """Whether it has one of these."""
        return bool(self.flags & flags)


def parse_segment(data: bytes, length: int) -> Segment | None:
    """The segment of a packet of `length` bytes, of which `data` are the first; None if it is none of TCP."""
    if len(data) < 1:
        return None
    if data[0] >> 4 == 4:
        header = (data[0] & 0xF) * 4
        if len(data) < 20 or data[9] != _TCP:
            return None
        both = data[_IPV4_ADDRESSES]
    elif data[0] >> 4 == 6:
        header = _IPV6_HEADER
        if len(data) < header or data[6] != _TCP:
            return None
        both = data[_IPV6_ADDRESSES]
    else:
        return None
    if len(data) < header + 20:
        return None
    source, destination, sequence, acknowledgment, offset, flags, window = _HEAD.unpack_from(data, header)
    half = len(both) // 2
    return Segment(
        (both[:half], source),
        (both[half:], destination),
        sequence,
        acknowledgment,
        Flags(flags & 0x3F),
        window,
        max(length - header - (offset >> 4) * 4, 0),
        _sacked(data[header + 20 : header + (offset >> 4) * 4]),
    )


def _sacked(options: bytes) -> tuple[int, int] | None:
    """The first block of the SACK option (RFC 2018, section 3), if there is one."""
    place = 0
    while place + 1 < len(options) and options[place] != _END:
        kind, size = options[place], options[place + 1]
        if kind == _NO_OPERATION:
            place += 1
        elif size < 2:
            break
        elif kind == _SACK and size >= 10 and place + 10 <= len(options):
            left, right = struct.unpack_from("!II", options, place + 2)
            return left, right
        else:
            place += size
    return None
