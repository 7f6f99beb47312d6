"""A stage for the entries of the ledger: sockets of both sides in one process, and the link between them.

A socket belongs to the namespace that its thread was in when it was made.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadgen.kernel import netstat, snmp
from loadgen.lab import namespaces
from loadgen.tcp import Side

SETTLE_S = 0.06
"""After each step: longer than a delayed ACK (40 ms), so that every FIN is acknowledged by then."""
_FIRST_PORT = 20_000
_NOBODY = "02:00:00:00:00:01"
"""A link address that no interface of the lab has."""
_NO_LINGER = struct.pack("ii", 1, 0)


class Stage:
    """Sockets of both sides, and the link between them."""

    def __init__(self, address: str, user: int, networks: Mapping[Side, int]) -> None:
        """The server's `address`, and descriptors of the lab's namespaces."""
        namespaces.enter_user(user)
        self._networks, self._address, self._port = networks, address, _FIRST_PORT
        self._sources: dict[Side, tuple[Any, ...]] = {}
        for side in Side:
            self.enter(side)
            self._sources[side] = (snmp.open(), netstat.open())

    def enter(self, side: Side) -> None:
        namespaces.enter_network(self._networks[side])

    def counters(self) -> dict[Side, dict[str, int]]:
        return {
            side: {name: value for source in sources for name, value in source.read().items()}
            for side, sources in self._sources.items()
        }

    def listen(self, backlog: int = 16) -> socket.socket:
        """A listener on a port of its own; `connect` goes to the newest."""
        self.enter(Side.SERVER)
        self._port += 1
        listener = socket.socket()
        listener.bind((self._address, self._port))
        listener.listen(backlog)
        return listener

    def connect(self, *, wait: bool = True) -> socket.socket:
        """A client's connection; without `wait`, one that is being opened."""
        self.enter(Side.CLIENT)
        client = socket.socket()
        client.settimeout(20)
        if wait:
            client.connect((self._address, self._port))
        else:
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect((self._address, self._port))
        return client

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of an established connection: the client's and the server's."""
        with self.listen() as listener:
            client = self.connect()
            server, _ = listener.accept()
        return client, server

    @contextmanager
    def cut(self) -> Generator[None]:
        """Within, the link is down: no segment arrives."""
        from pyroute2 import IPRoute  # pyright: ignore[reportMissingTypeStubs]

        self.enter(Side.SERVER)
        route: Any
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname="lab0")
            route.link("set", index=index, state="down")
            yield
            route.link("set", index=index, state="up")

    @contextmanager
    def astray(self) -> Generator[None]:
        """Within, nothing that the server sends arrives: it has a wrong link address of the client."""
        from pyroute2 import IPRoute  # pyright: ignore[reportMissingTypeStubs]

        self.enter(Side.CLIENT)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((self._address, self._port))
            address = client.getsockname()[0]
        self.enter(Side.SERVER)
        route: Any
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname="lab0")
            route.neigh("replace", dst=address, lladdr=_NOBODY, ifindex=index, state="permanent")
            yield
            route.neigh("del", dst=address, lladdr=_NOBODY, ifindex=index)

    def set(self, side: Side, name: str, value: int) -> None:
        """Set a sysctl of a side, for good: the lab ends with this process."""
        self.enter(side)
        Path("/proc/sys", *name.split(".")).write_text(str(value))


def settle() -> None:
    time.sleep(SETTLE_S)


def reset(sock: socket.socket, *, unread: bool = False) -> None:
    """Close a socket by RST: because bytes are `unread`, which must be so, or by SO_LINGER."""
    if not unread:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()
    settle()


def close(*socks: socket.socket) -> None:
    """Close sockets by FIN, one after the other."""
    for sock in socks:
        sock.close()
        settle()
