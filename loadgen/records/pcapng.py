"""A capture file: the blocks of pcapng that churn writes, and reads back (draft-ietf-opsawg-pcapng).

One section. An interface for each side, named after it, with times in nanoseconds; then the packets, each
with the direction that its side saw; then what each interface received and dropped. Numbers have the byte
order of this machine.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
_RAW_IP = 101
"""LINKTYPE_RAW: a packet begins with its IPv4 or IPv6 header."""
_END, _APPLICATION, _NAME, _RESOLUTION, _FLAGS, _RECEIVED, _DROPPED = 0, 4, 2, 9, 2, 4, 5
"""Options, in the blocks of their kind."""
_INBOUND, _OUTBOUND = 1, 2
_NANOSECONDS = 9
_LONGEST = 1 << 20


class CaptureError(ValueError):
    """A capture file that is no whole pcapng of churn's: says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet at one side: `t_ns` since the epoch, `sent` or received, and its bytes from the IP header on.

    `length` is that of the whole packet, of which `data` is the begin.
    """

    side: str
    t_ns: int
    sent: bool
    length: int
    data: bytes


class CaptureWriter:
    """Writes a capture. What is flushed can be read, whatever becomes of the rest. Raises OSError."""

    def __init__(self, path: Path, sides: Sequence[str], snap_bytes: int) -> None:
        self._file = path.open("wb")
        self._sides = {side: number for number, side in enumerate(sides)}
        self._write(_SECTION, struct.pack("=IHHq", _MAGIC, 1, 0, -1), (_APPLICATION, b"churn"))
        for side in sides:
            head = struct.pack("=HHI", _RAW_IP, 0, snap_bytes)
            self._write(_INTERFACE, head, (_NAME, side.encode()), (_RESOLUTION, bytes([_NANOSECONDS])))

    def packet(self, packet: Packet) -> None:
        head = struct.pack(
            "=IIIII",
            self._sides[packet.side],
            packet.t_ns >> 32,
            packet.t_ns & 0xFFFF_FFFF,
            len(packet.data),
            packet.length,
        )
        direction = _OUTBOUND if packet.sent else _INBOUND
        self._write(_PACKET, head + _padded(packet.data), (_FLAGS, struct.pack("=I", direction)))

    def statistics(self, side: str, t_ns: int, received: int, dropped: int) -> None:
        """What a side's socket received, and of this had no room for."""
        head = struct.pack("=III", self._sides[side], t_ns >> 32, t_ns & 0xFFFF_FFFF)
        counts = ((_RECEIVED, struct.pack("=Q", received)), (_DROPPED, struct.pack("=Q", dropped)))
        self._write(_STATISTICS, head, *counts)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, kind: int, body: bytes, *options: tuple[int, bytes]) -> None:
        for code, value in options:
            body += struct.pack("=HH", code, len(value)) + _padded(value)
        body += struct.pack("=HH", _END, 0)
        length = struct.pack("=I", len(body) + 12)
        self._file.write(struct.pack("=I", kind) + length + body + length)


def read_capture(path: Path) -> Iterator[Packet]:
    """The packets of a capture, as they stand in it. A last block that was not finished is passed over.

    Raises OSError, and CaptureError for a file that churn has not written.
    """
    sides: list[str] = []
    with path.open("rb") as file:
        for number, (kind, body) in enumerate(_blocks(file)):
            if number == 0 and (kind != _SECTION or body[:4] != struct.pack("=I", _MAGIC)):
                raise CaptureError(f"{path}: no pcapng of this machine's byte order")
            try:
                if kind == _INTERFACE:
                    sides.append(_options(body[8:])[_NAME].decode())
                elif kind == _PACKET:
                    yield _read_packet(body, sides)
            except (struct.error, LookupError, UnicodeDecodeError):
                raise CaptureError(f"{path}: block {number + 1} is damaged") from None


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("=II", head)
        if not 12 <= length <= _LONGEST:
            raise CaptureError(f"{file.name}: a block of {length} bytes")
        if len(rest := file.read(length - 8)) < length - 8:
            return
        if rest[-4:] != head[4:]:
            raise CaptureError(f"{file.name}: a block whose two lengths differ")
        yield kind, rest[:-4]


def _read_packet(body: bytes, sides: Sequence[str]) -> Packet:
    interface, high, low, captured, length = struct.unpack_from("=IIIII", body)
    data = body[20 : 20 + captured]
    (flags,) = struct.unpack("=I", _options(body[20 + len(_padded(data)) :])[_FLAGS])
    return Packet(sides[interface], high << 32 | low, flags & 3 == _OUTBOUND, length, data)


def _options(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place + 4 <= len(body):
        code, length = struct.unpack_from("=HH", body, place)
        if code == _END:
            break
        found[code] = body[place + 4 : place + 4 + length]
        place += 4 + (length + 3) // 4 * 4
    return found


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
