"""The packets of an interface, from a ring that the kernel fills (AF_PACKET, TPACKET_V2; packet(7)).

A ring is this process's own memory: other than a socket's buffer, net.core.rmem_max does not bound it. It
needs CAP_NET_RAW in the namespace of the socket, which the root of a lab has: no root on the host is needed.
"""

import ctypes
import mmap
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# linux/if_packet.h
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V2 = 1
_TP_STATUS_KERNEL, _TP_STATUS_USER = 0, 1
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 0x0003

_STATUS = struct.Struct("=I")
_HEAD = struct.Struct("=IIIHHII")  # tpacket2_hdr: status, length, captured, mac, net, seconds, nanoseconds
_KIND_AT = 32 + 10  # sll_pkttype of the sockaddr_ll behind it

_FRAME_BYTES = 512
_BLOCK_BYTES = 1 << 16
_BLOCKS = 256
"""16 MiB: a tenth of a second of the fastest load, until the reader runs again."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet from its IP header on, as far as the filter keeps it.

    `t_ns` is since the epoch, `length` that of the whole packet; `sent`: it left by this interface.
    """

    t_ns: int
    sent: bool
    length: int
    data: bytes


class PacketRing:
    """What an interface of this thread's namespace sends and receives, as far as a filter accepts it."""

    def __init__(self, interface: str, accepts: bytes) -> None:
        """Raises PermissionError without CAP_NET_RAW, OSError for what the kernel lacks."""
        # It receives nothing before the filter stands: the protocol comes with bind().
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        self.accept(accepts)
        frames = _BLOCKS * (_BLOCK_BYTES // _FRAME_BYTES)
        size = struct.pack("=IIII", _BLOCK_BYTES, _BLOCKS, _FRAME_BYTES, frames)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, size)
        self._ring = mmap.mmap(self._socket.fileno(), _BLOCKS * _BLOCK_BYTES)
        self._next = 0
        self._socket.bind((interface, _ETH_P_ALL))

    def fileno(self) -> int:
        """For select(2): readable if a packet waits."""
        return self._socket.fileno()

    def accept(self, accepts: bytes) -> None:
        """Change the filter, for the packets from now on."""
        code = ctypes.create_string_buffer(accepts)
        program = struct.pack("HP", len(accepts) // 8, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def read(self) -> Iterator[Frame]:
        """The packets that wait, in order."""
        ring = self._ring
        while _STATUS.unpack_from(ring, self._next)[0] & _TP_STATUS_USER:
            _, length, captured, _, net, seconds, nanoseconds = _HEAD.unpack_from(ring, self._next)
            kind = ring[self._next + _KIND_AT]
            begin = self._next + net
            data = ring[begin : begin + captured]
            _STATUS.pack_into(ring, self._next, _TP_STATUS_KERNEL)
            self._next = (self._next + _FRAME_BYTES) % (_BLOCKS * _BLOCK_BYTES)
            yield Frame(seconds * 1_000_000_000 + nanoseconds, kind == socket.PACKET_OUTGOING, length, data)

    def statistics(self) -> tuple[int, int]:
        """Packets accepted, those without room included, and those without room, since the last call."""
        seen, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return seen, dropped

    def close(self) -> None:
        """Receive nothing more, and cost nothing more."""
        self._ring.close()
        self._socket.close()
