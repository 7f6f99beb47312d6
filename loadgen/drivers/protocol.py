"""The `protocol` driver: asyncio Protocols on uvloop, over sockets of our own making."""

import asyncio
import errno
import os
import socket
from typing import cast

from loadgen.drivers.application import Application
from loadgen.drivers.attempt import NEVER_NS, BaseAttempt, Client
from loadgen.drivers.failures import GIVEN_UP, PEER_RESET, failure_of
from loadgen.drivers.plan import Plan
from loadgen.drivers.sockets import CLIENT_RST, connecting, reset_on_close
from loadgen.drivers.tally import Tally
from loadgen.tcp import Ending, Failure, Phase


class ProtocolClient(Client):
    """Opens connections that are one transport and one Protocol each."""

    def __init__(self, plan: Plan, tally: Tally, application: Application) -> None:
        super().__init__(plan, tally, application)
        self.loop = asyncio.get_running_loop()

    def connect(self, intended_ns: int) -> None:
        ProtocolAttempt(self, intended_ns).connect()

    def retry(self, intended_ns: int, started_ns: int) -> None:
        ProtocolAttempt(self, intended_ns, started_ns).connect()


class ProtocolAttempt(BaseAttempt, asyncio.Protocol):
    """An attempt as an asyncio Protocol. Until there is a transport, the calls are made on the bare socket:
    on a short path connect() leaves it established, and the request can be sent at once (K32)."""

    __slots__ = ("_host", "_resets", "_sock", "_task", "_transport")

    def __init__(self, host: ProtocolClient, intended_ns: int, started_ns: int | None = None) -> None:
        super().__init__(host)
        self._begin(intended_ns, started_ns)
        self._host = host
        self._resets = False
        self._sock: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[object] | None = None

    def connect(self) -> None:
        sockets = self._host.sockets
        source, destination, port = sockets.path()
        if sockets.bind_takes_port:
            # What is timed is the search for a port, whichever call makes it.
            self._connecting()
        try:
            self._sock = sockets.make(source)
        except OSError as error:
            if sockets.bind_takes_port:
                self._connect_returned()
            self.fail(failure_of(Phase.BIND, error))
            return
        if not sockets.bind_takes_port:
            self._connecting()
        code = self._sock.connect_ex((destination, port))
        self._connect_returned()
        if code != errno.EINPROGRESS:
            self.fail(failure_of(Phase.CONNECT, OSError(code, os.strerror(code))))
            return
        self._opened()
        try:
            self._sock.getpeername()
        except OSError:
            self._host.loop.add_writer(self._sock, self._handshaken)
        else:
            self._send_first()

    def _handshaken(self) -> None:
        """The handshake has come to an end, one way or the other."""
        sock = self._sock
        assert sock is not None
        self._host.loop.remove_writer(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code in PEER_RESET:
            # A reset in the handshake gives ECONNREFUSED: this one was established before it was reset.
            self._established()
            self._reset_by_server(code)
        if code:
            self.fail(failure_of(self.phase, OSError(code, os.strerror(code))))
        else:
            self._send_first()

    def _send_first(self) -> None:
        self._established()
        sock = self._sock
        assert sock is not None
        try:
            self._host.tally.sent_bytes += sock.send(self._host.request(self._remaining))
        except OSError as error:
            if error.errno in PEER_RESET:
                self._reset_by_server(error.errno)
            self.fail(failure_of(Phase.SEND, error))
            return
        self._requested()
        self._make_transport()

    def _make_transport(self) -> None:
        # The task is kept by the attempt: the loop itself holds only weak references to tasks.
        made = self._host.loop.create_connection(lambda: self, sock=self._sock)
        self._task = self._host.loop.create_task(made)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._failure is not None:
            self._leave(GIVEN_UP)

    def data_received(self, data: bytes) -> None:
        self._host.tally.received_bytes += len(data)
        self._read(data)

    def eof_received(self) -> None:
        """The server's FIN, answered by ours. Returning None lets the transport close."""
        assert self._sock is not None
        self._read_end()
        self._send_fin(self._sock)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError) and self._failure is None:
            if exc.errno in PEER_RESET:
                self._reset_by_server(exc.errno)
            else:
                self._failure = failure_of(self.phase, exc)
        if self._resets and self._ending is None:
            assert self._sock is not None
            self._settle(self._sock, CLIENT_RST)
        self._over()
        # These two refer back to the attempt: without them it is freed here, and not by the collector.
        self._task = self._transport = None

    def rest(self) -> None:
        # While it does not read, the transport does not see an end of any kind.
        self._open_transport().pause_reading()

    def watch(self) -> None:
        self._open_transport().resume_reading()

    def exchange(self, intended_ns: int) -> None:
        self._start(intended_ns)
        self._enter(Phase.SEND, self._host.plan.timeouts.send_ns)
        if self._ending is not None:
            # The server's FIN was read in this round of the loop; the attempt ends in the next.
            self._failure = Failure(self.phase, self._cut_off())
            return
        transport, request = self._open_transport(), self._host.request(self._remaining)
        self._host.tally.sent_bytes += len(request)
        transport.write(request)
        transport.resume_reading()  # does nothing unless it was resting
        self._requested()

    def finish(self) -> None:
        self._leave(self._host.own_ending)

    def fail(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
        self.deadline_ns = NEVER_NS
        if self._sock is None:
            self._over()
        elif self._transport is not None:
            self._leave(GIVEN_UP)
        elif self._task is None:
            self._host.loop.remove_writer(self._sock)
            reset_on_close(self._sock)
            self._sock.close()
            self._over()
        # Otherwise the transport is about to be made, and connection_made() ends it.

    def answered(self) -> bool:
        return self.phase is Phase.CONNECT and self._sock is not None and not connecting(self._sock)

    def _leave(self, ending: Ending) -> None:
        """End the connection as the first, unless the server was: then its end is answered."""
        assert self._sock is not None
        self.deadline_ns = NEVER_NS
        # The transport closes its socket a round of the loop later, right behind connection_lost(). A RST
        # leaves only then, and until then the server can be first.
        self._resets = ending is CLIENT_RST
        # An end that was read is answered: once both FINs have passed, a second one would look like a reset.
        if not self._resets and self._ending is None:
            self._settle(self._sock, ending)
        # The whole request went out before the response came: there is nothing left to send.
        self._open_transport().abort()

    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport
