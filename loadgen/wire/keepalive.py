"""TCP keepalive: how long a connection may be silent before its peer is probed, on any socket."""

import socket

from msgspec import Struct


class Keepalive(Struct, frozen=True, forbid_unknown_fields=True):
    """The times that SO_KEEPALIVE goes by; the kernel takes whole seconds (tcp(7)).

    After `idle_s` without a segment from the peer a probe is sent, then one each `interval_s`. If `probes` of
    them stay unanswered the kernel gives the connection up: ETIMEDOUT.
    """

    idle_s: int
    interval_s: int
    probes: int

    def set(self, sock: socket.socket) -> None:
        """Probe on this socket, and on those that are accepted from it if it listens."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.idle_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, self.interval_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, self.probes)
