"""Packets of a connection, made for tests: what each side sends, and what becomes of it."""

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.records.pcapng import Packet
from loadgen.records.segment import Flags
from loadgen.tcp import Side

FIN, SYN, RST, ACK = Flags.FIN, Flags.SYN, Flags.RST, Flags.ACK
CLIENT, SERVER = Side.CLIENT, Side.SERVER
MS_NS = 1_000_000
EPOCH_NS = 1_800_000_000 * 1_000_000_000
TRANSIT_NS = 10_000
ISN = {CLIENT: 0xFFFF_FFF0, SERVER: 77}
"""The client's numbers wrap around within the connection."""
PORTS = {CLIENT: 40000, SERVER: 8080}
ADDRESSES = {CLIENT: "198.18.0.1", SERVER: "198.19.0.1"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A segment: when it is sent, by whom, with relative numbers; `lost` on its way. `twice` are the numbers
    around bytes that it reports as having arrived twice."""

    at_ms: float
    by: Side
    flags: Flags
    sequence: int
    acknowledgment: int = 0
    size: int = 0
    lost: bool = False
    transit_ns: int = TRANSIT_NS
    twice: tuple[int, int] | None = None
    window: int = 1000


def ip(one: Sent) -> bytes:
    """The packet from its IPv4 header on."""
    other = SERVER if one.by is CLIENT else CLIENT
    acknowledgment = (one.acknowledgment + ISN[other]) % (1 << 32) if one.flags & ACK else 0
    options = b""
    if one.twice is not None:
        left, right = ((number + ISN[other]) % (1 << 32) for number in one.twice)
        options = struct.pack("!BBBBII", 1, 1, 5, 10, left, right)
    tcp = struct.pack(
        "!HHIIBBHHH",
        PORTS[one.by],
        PORTS[other],
        (one.sequence + ISN[one.by]) % (1 << 32),
        acknowledgment,
        5 + len(options) // 4 << 4,
        one.flags,
        one.window,
        0,
        0,
    )
    data = tcp + options + bytes(one.size)
    addresses = socket.inet_aton(ADDRESSES[one.by]) + socket.inet_aton(ADDRESSES[other])
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, 6, 0) + addresses + data


def packets(script: Sequence[Sent]) -> Iterator[Packet]:
    """What both sides' interfaces see of it."""
    for one in script:
        t_ns, data = EPOCH_NS + round(one.at_ms * MS_NS), ip(one)
        yield Packet(one.by, t_ns, True, len(data), data)
        if not one.lost:
            other = SERVER if one.by is CLIENT else CLIENT
            yield Packet(other, t_ns + one.transit_ns, False, len(data), data)


OPENED = (
    Sent(0, CLIENT, SYN, 0),
    Sent(0.1, SERVER, SYN | ACK, 0, 1),
    Sent(0.2, CLIENT, ACK, 1, 1),
)
"""The handshake."""
