"""The state of one socket of this process, by the TCP_INFO socket option (linux/tcp.h), and what it left."""

import socket
import sys

from loadgen.kernel.sock_diag import state_between, state_numbered
from loadgen.tcp import State

_SO_PEERNAME = 28  # asm-generic/socket.h
_SEGMENTS_OUT = slice(136, 140)
"""Where struct tcp_info has tcpi_segs_out."""


def state_of(sock: socket.socket) -> State:
    """The socket's TCP state: the first byte of struct tcp_info. Raises OSError on a closed descriptor."""
    return state_numbered(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])


def left_time_wait(sock: socket.socket) -> bool:
    """Whether a socket that is CLOSED has left a TIME-WAIT. Raises OSError."""
    # getpeername() refuses a closed socket; this option of the same answer does not.
    ipv6 = sock.family is socket.AF_INET6
    peer = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERNAME, 28 if ipv6 else 16)
    there = peer[8:24] if ipv6 else peer[4:8]
    host, port, *_ = sock.getsockname()
    local = socket.inet_pton(sock.family, host), port
    return state_between(local, (there, int.from_bytes(peer[2:4], "big"))) is State.TIME_WAIT


def segments_sent(sock: socket.socket) -> int:
    """How many segments the connection has sent, ACKs and FIN included. Raises OSError."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS_OUT.stop)
    return int.from_bytes(info[_SEGMENTS_OUT], sys.byteorder)


def saw_no_fin_in_established(sock: socket.socket) -> bool:
    """Whether no FIN came while the socket was ESTABLISHED; False also where ACKs were delayed before.

    A FIN in ESTABLISHED has ACKs delayed from then on (tcp_fin() in net/ipv4/tcp_input.c), as has a request
    that closely follows a response. A FIN in FIN-WAIT-2 has not. Raises OSError.
    """
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))
