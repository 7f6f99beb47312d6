"""Accepting connections, and stopping in time.

uvloop accepts, which costs half of what a Python loop of accept() does. But where descriptors run out, libuv
accepts the waiting connections and closes them, unseen by anybody. So it is not let come to that: with
few descriptors left the listener pauses, says so, and the connections wait in the backlog.
"""

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Final

RESERVE: Final = 16
"""Descriptors kept free. The kernel hands out the lowest free one, so a high one tells that few are left."""

PAUSE_S: Final = 1.0
"""How long to accept nothing then, as asyncio's own servers do (K30)."""


class Listener:
    """Accepts on listening sockets from `start` to `close`; `short` is called at each pause."""

    def __init__(
        self,
        sockets: list[socket.socket],
        backlog: int,
        make: Callable[[], asyncio.Protocol],
        short: Callable[[], None],
    ) -> None:
        self._sockets = sockets
        self._backlog = backlog
        self._make = make
        self._short = short
        self._servers: list[asyncio.Server] = []
        self._highest = 0
        self._resuming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            # A duplicate: closing the server closes it, yet the queue of waiting connections lives on.
            server = await loop.create_server(self._make, sock=sock.dup(), backlog=self._backlog)
            self._servers.append(server)

    def opened(self, descriptor: int) -> None:
        """A connection got this descriptor: pause if few are left."""
        if descriptor >= self._highest and self._servers:
            self._stop()
            self._short()
            self._resuming = asyncio.get_running_loop().create_task(self._resume())

    async def _resume(self) -> None:
        await asyncio.sleep(PAUSE_S)
        await self.start()

    def _stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        """Close for good. Connections not yet accepted are reset by that (K29)."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._stop()
        for sock in self._sockets:
            sock.close()


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """A non-blocking socket that shares its port with the other workers'. Raises OSError."""
    sock = bound_socket(host, port, shared=True)
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def bound_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket bound to an address; a `shared` one only where the others are. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it a port that still has TIME-WAITs cannot be bound (K29).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            share(sock)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def share(sock: socket.socket) -> None:
    """Let this user's other sockets bind to the same port, which spreads the connections over them."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
