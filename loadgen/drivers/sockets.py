"""Client sockets, made here so that every option on them is set knowingly."""

import socket
import struct

from loadgen.drivers.plan import Plan

IP_BIND_ADDRESS_NO_PORT = 24
"""<linux/in.h>; Python names it only from 3.12 on."""
_LINGER_0 = struct.pack("ii", 1, 0)


class Sockets:
    """Makes non-blocking client sockets, round-robin over all pairs of source and destination."""

    def __init__(self, plan: Plan) -> None:
        self._family = socket.AF_INET6 if ":" in plan.destinations[0] else socket.AF_INET
        self._port = plan.port
        self._pairs = [(source, destination) for destination in plan.destinations for source in plan.sources]
        # One source needs no bind: the kernel would pick the same address, and a port with it.
        self._binds = len(plan.sources) > 1
        self._made = 0

    def make(self) -> tuple[socket.socket, tuple[str, int]]:
        """A socket, bound to its source where there are several, and the address to connect it to.

        Raises OSError, for want of a descriptor or of the source address.
        """
        source, destination = self._pairs[self._made % len(self._pairs)]
        self._made += 1
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # A request on a kept connection must not wait for the ACK of the one before it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._binds:
                # Without this option bind() takes a port that then serves one destination only (K10).
                sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
        except OSError:
            sock.close()
            raise
        return sock, (destination, self._port)


def reset_on_close(sock: socket.socket) -> None:
    """Make close() abort the connection by RST: no TIME-WAIT on either side, unsent data lost (K4)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
