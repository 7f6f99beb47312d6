"""The server that users run: an aiohttp.web application that honours the same behaviour.

aiohttp closes as HTTP says; a behaviour may say otherwise. Two seams of its public interface are enough:

- The application runs on `web.AppRunner`, whose `server` is a factory of plain asyncio protocols. Each
  stands on a `Connection` and sees, as its transport, a `_Door`: when aiohttp closes it, the connection
  closes, by its own method and as the active closer that it may be.
- `Response.keep_alive` is a public property that aiohttp reads to decide whether it goes on. Overridden, it
  keeps aiohttp answering where the client is to close, also after HTTP/1.0 or `Connection: close`.

Idle timeouts are the connection's too, for aiohttp's own would not say that it was one.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from servers.connection import Connection, Service
from servers.response import SERVER, Reply

FOREVER_S = 365 * 24 * 3600.0


class AiohttpConnection(Connection):
    """Hands its bytes to aiohttp, and closes when aiohttp would and the behaviour lets it."""

    __slots__ = ("_door", "_inner")

    def __init__(self, service: Service, sock: socket.socket, inner: asyncio.Protocol) -> None:
        super().__init__(service, sock)
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._inner.connection_made(_Door(self))

    def received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def given_up(self) -> None:
        """aiohttp closes: behind us, after a final response; or of its own, for a malformed request."""
        if not self.closing:
            self.service.served.malformed += 1
            self.close_first()


class _Door(asyncio.Transport):
    """The transport that aiohttp sees: the real one, but for closing."""

    def __init__(self, connection: AiohttpConnection) -> None:
        super().__init__()
        self.connection = connection
        self._transport = connection.transport

    def close(self) -> None:
        self.connection.given_up()

    def abort(self) -> None:
        self.connection.given_up()

    def is_closing(self) -> bool:
        return self.connection.closing or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.connection.closing:
            self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        if not self.connection.closing:
            self._transport.writelines(list_of_data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class _Response(web.Response):
    """A response that says itself whether aiohttp goes on, and reports when it is written."""

    def __init__(self, reply: Reply, connection: AiohttpConnection, body: bytes) -> None:
        super().__init__(status=reply.status, headers={"Server": SERVER, **reply.headers()}, body=body)
        self._reply = reply
        self._connection = connection

    @property
    def keep_alive(self) -> bool:
        return not self._connection.closing

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        self._connection.answered(self._reply)


async def connection_factory(service: Service) -> Callable[[socket.socket], AiohttpConnection]:
    """Start the application; what is returned makes a connection of an accepted socket."""
    delay_s = service.behaviour.delay_ns / 1e9
    body = b"x" * service.behaviour.response_size

    async def answer(request: web.Request) -> web.StreamResponse:
        door = request.transport
        async for _ in request.content.iter_any():
            pass
        if delay_s:
            await asyncio.sleep(delay_s)
        if not isinstance(door, _Door) or door.is_closing():
            raise ConnectionResetError("the client has gone meanwhile")
        reply = door.connection.take()
        return _Response(reply, door.connection, body[: reply.length])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    # aiohttp logs each malformed request with a traceback; here they are counted.
    quiet = logging.Logger("aiohttp", logging.CRITICAL)
    runner = web.AppRunner(app, keepalive_timeout=FOREVER_S, access_log=None, logger=quiet)
    await runner.setup()
    server = runner.server
    assert server is not None
    return lambda sock: AiohttpConnection(service, sock, server())
