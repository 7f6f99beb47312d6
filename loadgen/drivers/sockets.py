"""Client sockets: every option on them is set here."""

import errno
import socket
import struct
from contextlib import suppress
from itertools import cycle

from loadgen.drivers.plan import Plan
from loadgen.kernel.tcp_info import left_time_wait, saw_no_fin_in_established, segments_sent, state_of
from loadgen.scenario.choices import Bind, Driver
from loadgen.tcp import Close, Ending, Side, State

IP_BIND_ADDRESS_NO_PORT = 24
"""<linux/in.h>; Python names it only from 3.12 on."""
IP_LOCAL_PORT_RANGE = 51
"""<linux/in.h> since Linux 6.3: the first port in the lower 16 of 32 bits, the last in the upper (K9)."""
_DRAINED = 1 << 16
_LINGER_0 = struct.pack("ii", 1, 0)

_LEAST_QUEUE = 4_096
"""The receive queue of a client whose server is to close with bytes unsent: they have no room here."""

_UNSENT_QUEUE = 1 << 20
"""The send queue asked for by a client that closes with bytes in it; the kernel limits it to
net.core.wmem_max."""

# Bound here for what is done to each connection: up to Python 3.11, looking a member up calls Python code.
CLIENT_RST, SERVER_FIN, SERVER_RST = Ending.CLIENT_RST, Ending.SERVER_FIN, Ending.SERVER_RST


class Sockets:
    """Makes non-blocking client sockets, for all paths from a source to a destination in turn."""

    def __init__(self, plan: Plan) -> None:
        self._family = socket.AF_INET6 if ":" in plan.destinations[0] else socket.AF_INET
        paths = plan.paths
        # Each worker begins elsewhere: in step, all of them would crowd one path after the other.
        begin = len(paths) * plan.worker // plan.workers
        self._paths = cycle(paths[begin:] + paths[:begin])
        self._options: list[tuple[int, bytes | int]] = []
        if plan.close is Close.UNSENT:
            sends = plan.ending.side is Side.CLIENT
            option = (socket.SO_SNDBUF, _UNSENT_QUEUE) if sends else (socket.SO_RCVBUF, _LEAST_QUEUE)
            self._options.append(option)
        if plan.linger_s is not None and plan.ending.side is Side.CLIENT:
            self._options.append((socket.SO_LINGER, struct.pack("ii", 1, plan.linger_s)))
        self._bind = plan.binds
        self.bind_takes_port = self._bind is Bind.EARLY
        """Whether bind() looks for a port, and not connect()."""
        self._range = plan.local_port_range and port_range_value(*plan.local_port_range)
        self._keepalive = plan.keepalive
        self._counts = plan.requests > 1 or plan.driver is Driver.URING
        """Whether a socket delays its ACKs before any FIN: after its first request, or by an option."""

    def path(self) -> tuple[str, str, int]:
        """The next connection's source and destination, and the port there."""
        return next(self._paths)

    def sent(self, sock: socket.socket) -> int | None:
        """The segments sent before our FIN, where `fin_was_first` needs them: reading them takes 2 us."""
        return segments_sent(sock) if self._counts else None

    def make(self, source: str) -> socket.socket:
        """A socket, bound to its source if the plan says so.

        Raises OSError, for want of a descriptor, of the source address, or of a port if bind() takes that.
        """
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # A request on a kept connection must not wait for the ACK of the one before it.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._keepalive:
                self._keepalive.set(sock)
            for name, value in self._options:
                sock.setsockopt(socket.SOL_SOCKET, name, value)
            if self._range:
                sock.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, self._range)
            if self._bind is not Bind.NONE:
                if self._bind is Bind.LATE:
                    # Without this option bind() takes a port that then serves one destination only (K10).
                    sock.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
        except OSError:
            sock.close()
            raise
        return sock


def port_range_value(first: int, last: int) -> bytes:
    """A range as the option IP_LOCAL_PORT_RANGE has it."""
    return struct.pack("=I", last << 16 | first)


def reset_on_close(sock: socket.socket) -> None:
    """Make close() abort the connection by RST: no TIME-WAIT on either side, unsent data lost (K4)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)


def peek(sock: socket.socket) -> bytes | None:
    """A byte of what is unread; empty at an end of any kind; None if it is open and nothing has come."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def connecting(sock: socket.socket) -> bool:
    """Whether the handshake is under way: it has neither succeeded nor failed."""
    return state_of(sock) is State.SYN_SENT


def drain(sock: socket.socket) -> None:
    """Read all that came before the peer's end, so that close() answers that by a FIN (K4)."""
    with suppress(OSError):
        while sock.recv(_DRAINED, socket.MSG_DONTWAIT):
            pass


def closed_by_server(sock: socket.socket) -> Ending | None:
    """How the server has ended the connection; None if it has not. To be called before the client ends it."""
    match state_of(sock):
        case State.CLOSE_WAIT:
            return SERVER_FIN
        case State.CLOSED:
            # A reset that comes after the server's FIN leaves another error than one alone: EPIPE
            # (tcp_reset() in net/ipv4/tcp_input.c). Reading takes it, but at a FIN reading ends before.
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return SERVER_FIN if code == errno.EPIPE else SERVER_RST
        case _:
            return None


def send_fin(sock: socket.socket) -> bool:
    """Send our FIN, at once. False if none was sent: the peer's RST had come before."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return True


def fin_was_first(sock: socket.socket, sent_before: int | None) -> bool:
    """Whether the FIN that was just sent came before the peer's. To be called if the peer's was not yet seen.

    `sent_before` is what `Sockets.sent` gave before it.

    Between a check and the act there is a moment in which the peer can be first. The state after the FIN
    shows which state it has found.
    """
    match state_of(sock):
        case State.LAST_ACK:
            return False
        case State.CLOSED:
            # Over already: by a RST, through TIME-WAIT, or through LAST-ACK.
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or left_time_wait(sock):
                return True
            # Through LAST-ACK, or there was no room for a TIME-WAIT (K14). If our FIN was first, the server's
            # was answered by one more segment.
            if sent_before is None:
                return saw_no_fin_in_established(sock)
            return segments_sent(sock) > sent_before + 1
        case _:
            return True
