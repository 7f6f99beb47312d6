"""The state of one socket of our own, by the TCP_INFO socket option (linux/tcp.h)."""

import socket

from loadgen.kernel.sock_diag import state_numbered
from loadgen.tcp import State


def state_of(sock: socket.socket) -> State:
    """The socket's TCP state: the first byte of struct tcp_info. Raises OSError on a closed descriptor."""
    return state_numbered(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
