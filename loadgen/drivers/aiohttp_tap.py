"""The places at which the `aiohttp` driver looks into aiohttp: connect(), and every byte that is read.

aiohttp shows no bytes behind a response, and accepts some bytes as a response that are none. For all drivers
`ResponseReader` decides what a response is, so everything that is read passes through a `_Tap` on its way to
aiohttp.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

import aiohttp


class TimedSocket(socket.socket):
    """A socket that reports when its connect() is called and when it returns: aiohttp shows neither."""

    __slots__ = ("_called", "_returned")

    def __init__(self, sock: socket.socket, called: Callable[[], None], returned: Callable[[], None]) -> None:
        """Takes over the descriptor of `sock`."""
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._called = called
        self._returned = returned

    def connect(self, address: Any) -> None:
        self._called()
        try:
            super().connect(address)
        finally:
            self._returned()


class Reader(Protocol):
    """What gets all that comes over a connection before aiohttp does."""

    def received(self, data: bytes) -> bool:
        """Bytes from the server. False if aiohttp must not get them: the attempt is over."""
        ...

    def ended(self) -> None:
        """The server's FIN."""


class _Tap(asyncio.Protocol):
    """The protocol between a transport and aiohttp's own."""

    def __init__(self, behind: asyncio.Protocol, reader: Reader) -> None:
        self._behind = behind
        self._reader = reader
        self.connection_lost = behind.connection_lost
        self.pause_writing = behind.pause_writing
        self.resume_writing = behind.resume_writing

    def data_received(self, data: bytes) -> None:
        if self._reader.received(data):
            self._behind.data_received(data)

    def eof_received(self) -> bool | None:
        self._reader.ended()
        return self._behind.eof_received()


class TappedResponse(aiohttp.ClientResponse):
    """A response that puts the tap on its connection: a user of aiohttp cannot reach that sooner."""

    def __init__(self, reader: Reader, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self._tapping = reader

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        transport = cast(asyncio.Transport, connection.transport)
        protocol = cast(asyncio.Protocol, transport.get_protocol())
        if not isinstance(protocol, _Tap):
            transport.set_protocol(_Tap(protocol, self._tapping))
        return await super().start(connection)
