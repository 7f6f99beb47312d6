"""Accepting connections.

The listener is our own for two reasons. uvloop's hides a lack of descriptors: libuv then accepts the
waiting connections and closes them, unseen. And here each connection's socket object is at hand: its
closing needs shutdown() and socket options, and the fast server has no transport for it at all.
"""

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from itertools import product
from typing import Final, cast

from loadgen.wire.keepalive import Keepalive
from servers.plan import Plan

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Trying again at once would fail again."""
PAUSE_S = 1.0
"""How long to stop then, as asyncio's own servers do (K30)."""

BATCH = 64
"""Connections accepted before those already open have their turn."""
MOST_WAITING = 65_536
"""Connections accepted at the end: more than a backlog holds, so that only a flood is cut off."""

TCPI_UNACKED: Final = slice(24, 28)
"""In struct tcp_info; of a listening socket the connections that wait (tcp_get_info in net/ipv4/tcp.c)."""


class Listener:
    """Accepts on one listening socket from `start` to `close`.

    `accepted` gets each new socket, which blocks, as accepted sockets do on Linux, and is of the class on
    which socket.socket stands; `failed` gets each error of accept().
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        accepted: Callable[[socket.SocketType], object],
        failed: Callable[[OSError], None],
    ) -> None:
        self._sock = sock
        self._loop = loop
        self._accepted = accepted
        self._failed = failed
        self._pause: asyncio.TimerHandle | None = None
        self._family = int(sock.family)
        # accept() makes enums of the numbers and an instance of a Python class: a third of its time.
        self._next = cast(
            Callable[[], tuple[int, object]],
            sock._accept,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        )

    def start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept_waiting)

    def _accept_waiting(self) -> None:
        # Asked first, because accept4() in vain makes a socket and destroys it again: that takes the kernel
        # as long as to accept one.
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCPI_UNACKED.stop)
        self._accept(min(int.from_bytes(info[TCPI_UNACKED], sys.byteorder), BATCH))

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                descriptor, _address = self._next()
            except BlockingIOError:
                return
            except OSError as error:
                # The others (ECONNABORTED, network errors) are the fault of one connection: accept(2).
                self._failed(error)
                if error.errno in EXHAUSTED:
                    self._loop.remove_reader(self._sock)
                    self._pause = self._loop.call_later(PAUSE_S, self.start)
                    return
            else:
                self._accepted(socket.SocketType(self._family, socket.SOCK_STREAM, 0, descriptor))

    def close(self) -> None:
        """Accept what already waits, for closing the listener would reset it (K29); then close."""
        if self._pause is None:
            self._accept(MOST_WAITING)
        if self._pause is None:
            self._loop.remove_reader(self._sock)
        else:
            self._pause.cancel()
        self._sock.close()


def bound_sockets(plan: Plan) -> list[socket.socket]:
    """A socket for each address and port of the plan, the first port's first. Raises OSError, which names it.

    The first of several workers binds alone, so that a foreign server on its ports is an error and not a
    companion. Then it shares them with the other workers, over which the kernel spreads the connections.
    """
    first, sockets = plan.port, list[socket.socket]()
    for number, host in product(range(plan.ports), plan.hosts):
        port = first + number
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sockets.append(sock)
        # Without it a port that still has TIME-WAITs cannot be bound (K29).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, plan.reuse_address)
        if plan.worker:
            _share(sock)
        try:
            sock.bind((host, port))
        except OSError as error:
            for each in sockets:
                each.close()
            raise OSError(error.errno, error.strerror, f"{host} port {port}") from None
        if plan.workers > 1:
            _share(sock)
        first = first or int(sock.getsockname()[1])
    return sockets


def listen(sock: socket.socket, backlog: int, keepalive: Keepalive | None = None) -> None:
    """Make it a non-blocking listener. Raises OSError."""
    # Inherited by accepted sockets: a response must not wait for the acknowledgement of the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive:
        keepalive.set(sock)
    sock.listen(backlog)
    sock.setblocking(False)


def _share(sock: socket.socket) -> None:
    """Let this user's other sockets bind to the same port."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
