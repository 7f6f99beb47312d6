"""The server that users run: an aiohttp.web application with the same behaviour.

aiohttp closes as HTTP has it; a behaviour may differ. Two parts of its public interface are enough:

- The application runs on `web.AppRunner`, whose `server` is a factory of plain asyncio protocols. Each
  has a `Connection` below it, and a `_Transport` in place of the real one: when aiohttp closes that, the
  connection is closed by the behaviour's method, and as the active closer that it may be.
- `Response.keep_alive` is a public property that aiohttp reads to decide whether it goes on. Overridden, it
  keeps aiohttp answering if the client is to close, also after HTTP/1.0 or `Connection: close`.

Idle timeouts are the connection's too: aiohttp's own look like its other closes.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, cast

from aiohttp import web

from servers.connection import Connection, Service
from servers.response import SERVER, Reply

FOREVER_S = 365 * 24 * 3600.0


class AiohttpConnection(Connection, asyncio.Protocol):
    """Hands its bytes to aiohttp, and closes when aiohttp would and the behaviour lets it."""

    __slots__ = ("_inner", "transport")

    def __init__(self, service: Service, sock: socket.socket, inner: asyncio.Protocol) -> None:
        super().__init__(service, sock)
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.opened()
        self._inner.connection_made(_Transport(self))

    def data_received(self, data: bytes) -> None:
        self.service.served.received_bytes += len(data)
        if not self.closing:
            self.received(data)
            self._inner.data_received(data)

    def eof_received(self) -> bool:
        return self.received_fin()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost(exc)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def take(self) -> Reply:
        reply = super().take()
        assert isinstance(reply, Reply)
        if reply.closes and self.service.by_fin:
            # The end of the response waits in the kernel for the FIN and leaves in one segment with it.
            # A client that closes as soon as it has the response would otherwise often be first.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        return reply

    def unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def read_on(self) -> None:
        self.transport.resume_reading()

    def leave(self) -> None:
        self.transport.close()

    def drop(self) -> None:
        self.transport.abort()

    def close_first(self) -> None:
        if not self.transport.is_closing():
            super().close_first()

    def given_up(self) -> None:
        """aiohttp closes: after a final response, which has closed already; or for a malformed request."""
        if not self.closing:
            self.service.served.malformed += 1
            self.close_first()


class _Transport(asyncio.Transport):
    """The transport that aiohttp sees: the real one, except for closing."""

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
            self.connection.service.served.sent_bytes += len(data)
            self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        if not self.connection.closing:
            self.write(b"".join(list_of_data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class _Response(web.Response):
    """A response that decides whether aiohttp goes on, and reports when it is written."""

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


async def connection_factory(service: Service) -> Callable[[socket.SocketType], object]:
    """Start the application; what is returned makes a connection of an accepted socket."""
    delay_s = service.behaviour.delay_ns / 1e9
    body = b"x" * service.behaviour.response_size

    async def answer(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        async for _ in request.content.iter_any():
            pass
        if delay_s:
            await asyncio.sleep(delay_s)
        if not isinstance(transport, _Transport) or transport.is_closing():
            raise ConnectionResetError("the client has gone meanwhile")
        reply = transport.connection.take()
        return _Response(reply, transport.connection, body[: reply.length])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    # aiohttp logs each malformed request with a traceback; here they are counted.
    quiet = logging.Logger("aiohttp", logging.CRITICAL)
    runner = web.AppRunner(app, keepalive_timeout=FOREVER_S, access_log=None, logger=quiet)
    await runner.setup()
    server = runner.server
    assert server is not None

    def make(bare: socket.SocketType) -> None:
        # uvloop accepts this class only, and makes the socket non-blocking itself.
        sock = socket.socket(fileno=bare.detach())
        made = service.loop.connect_accepted_socket(lambda: AiohttpConnection(service, sock, server()), sock)
        opening = service.loop.create_task(made)
        service.openings.add(opening)
        opening.add_done_callback(service.openings.discard)

    return make
