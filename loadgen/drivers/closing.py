"""The `protocol` driver's part of closing by `half` and by `unread`.

half    The closer's FIN ends its sending only. A client that closes so sends its FIN behind its last request,
        and reads the response after it. A client whose server closes so sends a request after the server's
        FIN, which the server reads.
unread  A client that closes so waits for bytes of its last response, and calls close() without reading them.
        So does one that reads none of its only response.
"""

import asyncio
import errno
import socket

from loadgen.drivers.failures import failure_of
from loadgen.drivers.protocol import ProtocolAttempt, ProtocolClient
from loadgen.drivers.sockets import CLIENT_RST, SERVER_FIN, closed_by_server, fin_was_first
from loadgen.kernel.tcp_info import segments_sent
from loadgen.scenario.choices import Read
from loadgen.tcp import Close, Ending, Failure, Phase

CLIENT_FIN = Ending.CLIENT_FIN


class ClosingClient(ProtocolClient):
    """Opens connections that end by `half` or `unread`."""

    def connect(self, intended_ns: int) -> None:
        ClosingAttempt(self, intended_ns).connect()


class ClosingAttempt(ProtocolAttempt):
    """An attempt that ends by `half` or `unread`, by the side that the plan names."""

    __slots__ = ("_half", "_unread", "_watched")

    def __init__(self, host: ProtocolClient, intended_ns: int) -> None:
        super().__init__(host, intended_ns)
        self._half = host.closes_first and host.plan.close is Close.HALF
        unread = host.plan.close is Close.UNREAD or host.plan.read is Read.NONE
        self._unread = host.closes_first and unread
        self._watched: socket.socket | None = None
        """A second descriptor of the socket: the loop does not watch that of a transport for others."""

    def _make_transport(self) -> None:
        if self._unread and self._remaining == 1:
            self._watch()
        else:
            super()._make_transport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Not sooner: a transport cannot be made of a socket whose two FINs have both passed.
        if self._half and self._remaining == 1 and self.phase is Phase.RECEIVE and self._failure is None:
            self._half_close()

    def exchange(self, intended_ns: int) -> None:
        last = self._remaining == 1 and self._ending is None
        if not last or not (self._half or self._unread):
            super().exchange(intended_ns)
            return
        assert self._sock is not None
        self._start(intended_ns)
        self._enter(Phase.SEND, self._host.plan.timeouts.send_ns)
        if self._unread:
            self._open_transport().pause_reading()
        try:
            # Not by the transport, which sends later. Everything before it is answered: the queue is empty.
            self._host.tally.sent_bytes += self._sock.send(self._host.request(self._remaining))
        except OSError as error:
            if self._unread:
                self._open_transport().resume_reading()
            self.fail(failure_of(Phase.SEND, error))
            return
        self._requested()
        if self._half:
            self._half_close()
        else:
            self._watch()

    def finish(self) -> None:
        if not self._half:
            super().finish()
            return
        if self._ending is None:
            self._half_close()
        self._enter(Phase.CLOSE, self._host.plan.timeouts.close_ns)

    def fail(self, failure: Failure) -> None:
        self._stop_watching()
        super().fail(failure)

    def eof_received(self) -> None:
        assert self._sock is not None
        if self._ending is CLIENT_FIN:
            self._read_end()
            return
        self._read_end()
        if self._host.plan.close is Close.HALF and not self._host.closes_first and self._failure is None:
            self._send_after_fin(self._sock)
        self._send_fin(self._sock)

    def _send_after_fin(self, sock: socket.socket) -> None:
        """Send a request to a server that has ended its sending, and reads on."""
        try:
            self._host.tally.sent_bytes += sock.send(self._host.request(1))
        except OSError as error:
            self._failure = failure_of(Phase.CLOSE, error)

    def _half_close(self) -> None:
        """End our sending, and go on reading."""
        assert self._sock is not None
        if closed_by_server(self._sock) is not None:
            return  # Its end is read next.
        sent = segments_sent(self._sock)
        self._send_fin(self._sock)
        if self._ending is None and fin_was_first(self._sock, sent):
            self._ending = CLIENT_FIN

    def _closed_by_server(self, ending: Ending) -> None:
        if not self._half or self._ending is not CLIENT_FIN:
            super()._closed_by_server(ending)
        elif self._failure is None and not (self.phase is Phase.CLOSE and ending is SERVER_FIN):
            # Our FIN was the first end, and the response has still to come whole.
            kind = self._cut_off() if ending is SERVER_FIN else errno.errorcode[errno.ECONNRESET]
            self._failure = Failure(self.phase, kind)

    def _watch(self) -> None:
        """Wait for bytes of the response, without reading them."""
        assert self._sock is not None
        self._watched = self._sock.dup()
        self._host.loop.add_reader(self._watched, self._came)

    def _stop_watching(self) -> None:
        if self._watched is not None:
            self._host.loop.remove_reader(self._watched)
            self._watched.close()
            self._watched = None

    def _came(self) -> None:
        """Bytes of the response, or the server's end in their place."""
        sock = self._sock
        assert sock is not None
        self._stop_watching()
        try:
            unread = sock.recv(1, socket.MSG_PEEK)
        except OSError as error:
            self._reset_by_server(error.errno or 0)
            self._close_now()
            return
        if not unread:
            if self._transport is None:
                super()._make_transport()
            else:
                self._open_transport().resume_reading()
            return
        theirs = closed_by_server(sock)
        if theirs is None:
            self._ending = CLIENT_RST
        else:
            self._closed_by_server(theirs)
        self._remaining -= 1
        self._close_now()

    def _close_now(self) -> None:
        """close(), whatever is in the receive queue."""
        assert self._sock is not None
        if self._transport is not None:
            self._open_transport().abort()
        else:
            self._sock.close()
            self._over()
