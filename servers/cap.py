"""How many connections one client address may have (`Behaviour.per_client`)."""

import socket
from collections import Counter
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Cap(Generic[_T]):
    """Admits at most so many at a time of each address. Those beyond are not counted among them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self._address: dict[_T, str] = {}

    def admits(self, one: _T, sock: socket.SocketType) -> bool:
        """Whether this one may stay; then it counts until `left`."""
        try:
            address = str(sock.getpeername()[0])
        except OSError:  # ENOTCONN: its RST has come already, and the next read shows it.
            return True
        if self._held.get(address, 0) >= self._most:
            return False
        self._held[address] += 1
        self._address[one] = address
        return True

    def left(self, one: _T) -> None:
        """It is closed."""
        address = self._address.pop(one, None)
        if address is not None:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]
