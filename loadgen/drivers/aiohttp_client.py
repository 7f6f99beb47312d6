"""The `aiohttp` driver: the client that people use, except that the driver itself closes the connection.

aiohttp closes a connection as soon as it has read the last response, and so would often be the active closer
although the scenario names the server. Each socket is therefore duplicated when it is made: as long as the
duplicate is open, aiohttp's close() sends no FIN. Which side closes, when and how is then decided on the
duplicate, with nothing but aiohttp's public interface.

An exchange is complete once both aiohttp and the reader behind the connection's tap have read a
whole response.
"""

import asyncio
import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import partial
from typing import Any, cast

import aiohttp

from loadgen.drivers.aiohttp_tap import TappedResponse, TimedSocket
from loadgen.drivers.application import Application, MalformedResponseError, Response, ShortResponseError
from loadgen.drivers.attempt import NEVER_NS, BaseAttempt, Client
from loadgen.drivers.failures import GIVEN_UP, NO_SYN, failure_of
from loadgen.drivers.plan import Plan
from loadgen.drivers.response import MOST_HEAD
from loadgen.drivers.sockets import SERVER_RST, closed_by_server, connecting
from loadgen.drivers.tally import Tally
from loadgen.tcp import Failure, Fault, Phase


class _Wake(Enum):
    """What ends the idleness of a kept connection."""

    EXCHANGE = auto()
    FINISH = auto()
    PEER = auto()


class AiohttpClient(Client):
    """Opens connections that are one ClientSession each, so that a socket and its attempt are one."""

    def __init__(self, plan: Plan, tally: Tally, application: Application) -> None:
        super().__init__(plan, tally, application)
        self.loop = asyncio.get_running_loop()
        self.version = aiohttp.HttpVersion10 if plan.http == "1.0" else aiohttp.HttpVersion11

    def connect(self, intended_ns: int) -> None:
        AiohttpAttempt(self, intended_ns).begin()


class AiohttpAttempt(BaseAttempt):
    """An attempt as one task that reads like a user's code."""

    __slots__ = ("_host", "_ours", "_response", "_source", "_task", "_unasked", "_url", "_wake")

    def __init__(self, host: AiohttpClient, intended_ns: int) -> None:
        super().__init__(host)
        self._begin(intended_ns)
        self._host = host
        self._source, there, port = host.sockets.path()
        self._url = f"http://{f'[{there}]' if ':' in there else there}:{port}/"
        self._ours: socket.socket | None = None
        self._response: Response | None = None
        """What the server has answered, once that is whole."""
        self._unasked = False
        """Whether the server has sent bytes outside of any exchange."""
        self._wake: asyncio.Future[_Wake] = host.loop.create_future()

    def begin(self) -> None:
        self._task = self._host.loop.create_task(self._live())

    def exchange(self, intended_ns: int) -> None:
        self._start(intended_ns)
        self._enter(Phase.SEND, self._host.plan.timeouts.send_ns)
        if self._ending is not None:
            # The server's end was seen, and the attempt is about to end.
            self._failure = Failure(self.phase, self._cut_off())
            return
        self._wake_by(_Wake.EXCHANGE)

    def finish(self) -> None:
        self._wake_by(_Wake.FINISH)

    def fail(self, failure: Failure) -> None:
        if self.phase is Phase.CONNECT and self._failure is None:
            self._opened()
            if self._ours is not None:
                # The SYN is given up here and now: until the task is cancelled the handshake could succeed.
                with suppress(OSError):
                    self._ours.shutdown(socket.SHUT_RDWR)
        self._note(failure)
        self._task.cancel()

    def answered(self) -> bool:
        return self.phase is Phase.CONNECT and self._ours is not None and not connecting(self._ours)

    def received(self, data: bytes) -> bool:
        """Bytes have come, which aiohttp has not yet seen. Returns whether it may."""
        if self.phase is Phase.CLOSE:
            self._unasked = True
            self._wake_by(_Wake.PEER)
            return False
        try:
            if self.phase is not Phase.RECEIVE or self._response is not None:
                raise MalformedResponseError("more bytes than were asked for")
            self._response = self._reader.feed(data)
        except MalformedResponseError:
            self.fail(Failure(self.phase, Fault.MALFORMED))
        return self._failure is None

    def ended(self) -> None:
        """The server's FIN, which may be what completes a response."""
        if self.phase is Phase.RECEIVE and self._response is None:
            with suppress(ShortResponseError):
                self._response = self._reader.feed_eof()

    async def _live(self) -> None:
        try:
            async with self._session() as session:
                await self._exchanges(session)
            if not (self._host.closes_first or self._ending or self._failure):
                await self._server_close()
        except asyncio.CancelledError:
            if self._failure is None:
                raise
        except Exception as error:
            # A bug, here or in aiohttp: the attempt must not count as a success.
            self._note(Failure(self.phase, type(error).__name__))
            raise
        finally:
            await self._leave()

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._on_established)
        trace.on_request_headers_sent.append(self._on_requested)
        connector = aiohttp.TCPConnector(limit=1, socket_factory=self._make_socket, happy_eyeballs_delay=None)
        return aiohttp.ClientSession(
            connector=connector,
            version=self._host.version,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
            trace_configs=[trace],
            response_class=cast("type[aiohttp.ClientResponse]", partial(TappedResponse, self)),
            # Bodies are read as they were sent, and heads up to the size that the reader reads.
            auto_decompress=False,
            max_line_size=MOST_HEAD,
            max_field_size=MOST_HEAD,
        )

    async def _exchanges(self, session: aiohttp.ClientSession) -> None:
        """Request after request, until none is left or the connection is."""
        try:
            while True:
                response = await self._get(session)
                if response is None:
                    # What aiohttp has taken for a response's end is none.
                    self._note_peer()
                    return
                if not self._count(response):
                    self._note(Failure(Phase.RECEIVE, response.error))
                    return
                if not self._remaining or response.closes or self._peer_ended():
                    return
                if await self._idle() is not _Wake.EXCHANGE:
                    return
        except aiohttp.ClientConnectorError as error:
            if self._connected:
                # aiohttp asked for another connection, to try again: the first one is gone.
                self._note_peer()
                return
            if error.errno not in NO_SYN and self.phase is Phase.CONNECT:
                self._opened()
            if error.errno == errno.ECONNRESET and self.phase is Phase.CONNECT:
                # A reset in the handshake gives ECONNREFUSED: this one was established before.
                self._established()
                self._closed_by_server(SERVER_RST)
            self._note(failure_of(self.phase, error.os_error))
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            self._note_peer()
        except aiohttp.ClientError:
            self._note(Failure(Phase.RECEIVE, Fault.MALFORMED))

    async def _get(self, session: aiohttp.ClientSession) -> Response | None:
        # Asking for the close entitles the server to it: only if it is the one to close.
        asks = self._remaining == 1 and not self._host.closes_first
        headers = {"Connection": "close"} if asks else None
        self._response = None
        async with session.get(self._url, headers=headers, allow_redirects=False) as response:
            async for _ in response.content.iter_any():
                # The reader has counted the bytes; a body that was kept could fill the memory.
                pass
        return self._response

    async def _idle(self) -> _Wake:
        """Wait for what comes next on the kept connection."""
        with self._watching():
            self._client.load.idle(self)
            wake = await self._wake
        if wake is _Wake.PEER:
            self._note_peer()
        return wake

    async def _server_close(self) -> None:
        """aiohttp has closed its side of the connection object; the server closes the connection."""
        self._enter(Phase.CLOSE, self._host.plan.timeouts.close_ns)
        with self._watching():
            await self._wake
        self._note_peer()

    @contextmanager
    def _watching(self) -> Generator[None]:
        """Within, bytes from the server or its end wake the attempt too."""
        self._wake = self._host.loop.create_future()
        ours = self._socket()
        self._host.loop.add_reader(ours, self._wake_by, _Wake.PEER)
        try:
            yield
        finally:
            self._host.loop.remove_reader(ours)

    async def _leave(self) -> None:
        """End the connection on the duplicate: this is the FIN, or the RST, that the network sees."""
        try:
            if self._ours is not None:
                self._end(self._ours)
                # aiohttp's own descriptor goes in the loop's next round.
                await asyncio.sleep(0)
        finally:
            self._over()

    def _end(self, ours: socket.socket) -> None:
        """End the connection as the first, unless the server was: then its end is answered."""
        self._settle(ours, GIVEN_UP if self._failure else self._host.own_ending)
        ours.close()

    def _make_socket(self, _address: Any) -> socket.socket:
        """aiohttp's socket factory: one socket an attempt, so that no failure is tried again unseen."""
        if self._ours is not None:
            raise ConnectionResetError(errno.ECONNRESET, "the attempt's connection is gone")
        sockets = self._host.sockets
        if sockets.bind_takes_port:
            # What is timed is the search for a port, whichever call makes it.
            self._connecting()
        try:
            sock = sockets.make(self._source)
        except OSError:
            if sockets.bind_takes_port:
                self.phase = Phase.BIND
                self._connect_returned()
            raise
        try:
            self._ours = sock.dup()
        except OSError:
            sock.close()
            if sockets.bind_takes_port:
                self._connect_returned()
            raise
        begins = _nothing if sockets.bind_takes_port else self._connecting
        return TimedSocket(sock, begins, self._connect_returned)

    async def _on_established(self, *_: object) -> None:
        self._opened()
        self._established()

    async def _on_requested(self, *_: object) -> None:
        self._requested()

    def _wake_by(self, wake: _Wake) -> None:
        if not self._wake.done():
            self._wake.set_result(wake)

    def _note(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
        self.deadline_ns = NEVER_NS

    def _note_peer(self) -> None:
        """The connection ended, which the kernel's state shows, or bytes came outside of any exchange."""
        if self._unasked or not self._peer_ended():
            self._note(Failure(self.phase, Fault.MALFORMED))

    def _peer_ended(self) -> bool:
        """Whether the server has ended the connection; if so, that is counted as its end."""
        ending = closed_by_server(self._socket())
        if ending is not None:
            self._closed_by_server(ending)
        return ending is not None

    def _socket(self) -> socket.socket:
        assert self._ours is not None
        return self._ours


def _nothing() -> None:
    """connect() goes on with what bind() has begun."""
