"""One attempt, from connect to close: what every driver counts alike, whatever moves the bytes.

An attempt goes through phases, each with a deadline. It ends once, through `_over`, with one outcome: success
or a `Failure`; and if it was established, with one ending: which side closed first, and how.
"""

import errno
import socket
from contextlib import suppress
from time import monotonic_ns

from loadgen.drivers.application import Application, MalformedResponseError, Response, ShortResponseError
from loadgen.drivers.connect_clock import ConnectClock
from loadgen.drivers.failures import ENDED_IDLE, GIVEN_UP
from loadgen.drivers.plan import OpenLoop, Plan
from loadgen.drivers.sockets import (
    CLIENT_RST,
    SERVER_FIN,
    SERVER_RST,
    Sockets,
    closed_by_server,
    drain,
    fin_was_first,
    peek,
    reset_on_close,
    send_fin,
)
from loadgen.drivers.starter import Starter
from loadgen.drivers.tally import Tally
from loadgen.tcp import Ending, Failure, Fault, Phase, Side

NEVER_NS = 1 << 62


class Client:
    """What the attempts of one worker share: plan, counts, protocol, load, and those alive."""

    def __init__(self, plan: Plan, tally: Tally, application: Application) -> None:
        self.plan = plan
        self.tally = tally
        self.connects = ConnectClock(tally)
        self.application = application
        self.sockets = Sockets(plan)
        self.live: dict[BaseAttempt, None] = {}
        self.load: Starter
        self.punctual = isinstance(plan.loop, OpenLoop)
        """Whether requests have an instant to start at."""
        self.closes_first = plan.ending.side is Side.CLIENT
        """Whether the client closes once the exchanges are done, and does not wait for the server's close."""
        self.own_ending = Ending.of(Side.CLIENT, plan.ending.how)
        """How the client ends a connection first in which nothing has failed."""

    def connect(self, intended_ns: int) -> None:
        """Begin an attempt whose first exchange was meant for `intended_ns`."""
        raise NotImplementedError

    def retry(self, intended_ns: int, started_ns: int) -> None:
        """Begin an attempt that takes on an exchange, begun at `started_ns`. Not every driver can."""
        raise NotImplementedError

    def request(self, remaining: int) -> bytes:
        """The request to send when `remaining` exchanges are left, this one counted."""
        return self.application.last if remaining == 1 else self.application.request

    def sweep(self) -> None:
        """Fail the attempts whose phase has outlived its deadline."""
        now_ns = monotonic_ns()
        for attempt in [attempt for attempt in self.live if attempt.deadline_ns <= now_ns]:
            if not attempt.answered():
                attempt.fail(Failure(attempt.phase, Fault.TIMEOUT))

    def count_established(self) -> None:
        """An interval ends. Drivers that see every handshake end have counted all that are established."""

    def estimate_connecting(self, most_ns: int) -> None:
        """An interval of this length ends. Drivers that time every connect() have nothing to estimate."""

    def cut(self) -> None:
        """Give up all attempts that are left: the run ends."""
        for attempt in list(self.live):
            attempt.fail(Failure(attempt.phase, Fault.CUT))


class BaseAttempt:
    """The counting half of an attempt. A driver's half moves bytes and calls these methods in turn:

    `_begin`, `_connecting`, `_connect_returned`, `_opened`, `_established`, then for each exchange
    `_requested` and `_responded`; `_over` last. It offers `exchange`, `finish` and `fail`.
    """

    __slots__ = (
        "_begun_ns",
        "_client",
        "_connected",
        "_ending",
        "_failure",
        "_intended_ns",
        "_reader",
        "_remaining",
        "_reset_after_fin",
        "_started_ns",
        "deadline_ns",
        "phase",
    )

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connected = False
        self._ending: Ending | None = None
        self._failure: Failure | None = None
        self._reset_after_fin = False
        self._reader = client.application.reader()
        self._remaining = client.plan.requests
        self.phase = Phase.BIND
        self.deadline_ns = NEVER_NS
        client.live[self] = None

    def _begin(self, intended_ns: int, started_ns: int | None = None) -> None:
        """A new attempt, for an exchange meant for `intended_ns`, which begins or has begun."""
        self._client.tally.attempts += 1
        self._client.tally.in_flight += 1
        if started_ns is None:
            self._start(intended_ns)
        else:
            self._intended_ns, self._started_ns = intended_ns, started_ns

    def exchange(self, intended_ns: int) -> None:
        """Begin the next exchange on the idle connection."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close the idle connection first, by the scenario's method."""
        raise NotImplementedError

    def fail(self, failure: Failure) -> None:
        """End the attempt here; if the connection is open, by RST."""
        raise NotImplementedError

    def answered(self) -> bool:
        """Whether the handshake that it waits for has ended, and only the loop has not yet looked."""
        return False

    def _start(self, intended_ns: int) -> None:
        """An exchange begins that was meant for `intended_ns`."""
        tally = self._client.tally
        self._intended_ns = intended_ns
        self._started_ns = monotonic_ns()
        tally.started += 1
        if self._client.punctual:
            tally.start_ns.append(self._started_ns - intended_ns)

    def _connecting(self) -> None:
        """connect() is about to be called."""
        self._enter(Phase.CONNECT, self._client.plan.timeouts.connect_ns)
        self._begun_ns = self._client.connects.called()

    def _connect_returned(self) -> None:
        """The call of connect() is over, well or not."""
        self._client.connects.returned(self._begun_ns)

    def _opened(self) -> None:
        """connect() has sent a SYN."""
        self._client.tally.opened += 1

    def _established(self) -> None:
        tally = self._client.tally
        tally.connected += 1
        tally.connect_ns.append(monotonic_ns() - self._begun_ns)
        self._connected = True
        self._enter(Phase.SEND, self._client.plan.timeouts.send_ns)

    def _requested(self) -> None:
        """The request is written."""
        self._enter(Phase.RECEIVE, self._client.plan.timeouts.response_ns)

    def _read(self, data: bytes) -> None:
        """Bytes have come: part of a response, the whole, or bytes outside of any exchange."""
        if self.phase is not Phase.RECEIVE:
            self.fail(Failure(self.phase, Fault.MALFORMED))
            return
        self._client.tally.reads += 1
        try:
            response = self._reader.feed(data)
        except MalformedResponseError:
            self.fail(Failure(Phase.RECEIVE, Fault.MALFORMED))
            return
        if response is not None:
            self._responded(response)

    def _read_end(self) -> None:
        """The server's FIN: the end of the connection, and of a response that has no other."""
        if self.phase is Phase.RECEIVE and self._failure is None:
            with suppress(ShortResponseError):
                response = self._reader.feed_eof()
                if not self._count(response):
                    self._failure = Failure(Phase.RECEIVE, response.error)
        self._closed_by_server(SERVER_FIN)

    def _responded(self, response: Response) -> None:
        """A response is whole: count it, then go on, wait for the server's close, or close."""
        if not self._count(response):
            self.fail(Failure(Phase.RECEIVE, response.error))
        elif self._remaining and not response.closes:
            self._client.load.idle(self)
        elif self._client.closes_first:
            self.finish()
        else:
            self._enter(Phase.CLOSE, self._client.plan.timeouts.close_ns)

    def _count(self, response: Response) -> bool:
        """Count a whole response, which ends its exchange. False if it is an error."""
        if response.error:
            return False
        now_ns, tally = monotonic_ns(), self._client.tally
        tally.exchanges += 1
        tally.service_ns.append(now_ns - self._started_ns)
        tally.response_ns.append(now_ns - self._intended_ns)
        self._remaining -= 1
        self.phase, self.deadline_ns = Phase.CLOSE, NEVER_NS
        return True

    def _closed_by_server(self, ending: Ending) -> None:
        """The server ended the connection before the client did."""
        if self._ending is not None:
            return
        self._ending = ending
        as_planned = ending in (SERVER_FIN, self._client.plan.ending)
        if self._failure is None and not (self.phase is Phase.CLOSE and as_planned):
            kind = self._cut_off() if ending is SERVER_FIN else errno.errorcode[errno.ECONNRESET]
            self._failure = Failure(self.phase, kind)

    def _cut_off(self) -> Fault:
        """What the server's FIN makes of an exchange."""
        return Fault.SHORT if self._reader.begun else Fault.NO_RESPONSE

    def _reset_by_server(self, code: int) -> None:
        """The server's RST has come, and the socket has answered by this errno.

        It is EPIPE if the server's FIN had come before (tcp_reset() in net/ipv4/tcp_input.c).
        """
        self._closed_by_server(SERVER_FIN if code == errno.EPIPE else SERVER_RST)
        self._reset_after_fin = self._ending is SERVER_FIN

    def _settle(self, sock: socket.socket, ending: Ending) -> None:
        """End the connection by `ending`, unless the server was first. A FIN leaves here, a RST later.

        close() with bytes unread sends a reset in any case (K4), and such bytes belong to no exchange.
        """
        unread = peek(sock)
        if unread and self._failure is None:
            self._failure = Failure(self.phase, Fault.MALFORMED)
            ending = GIVEN_UP
        theirs = None if unread is None else closed_by_server(sock)
        if theirs is not None:
            self._closed_by_server(theirs)
            drain(sock)
        if (self._ending or ending) is CLIENT_RST:
            self._ending = ending
            reset_on_close(sock)
        elif self._ending is not SERVER_RST:
            sent = self._client.sockets.sent(sock)
            self._send_fin(sock)
            if self._ending is None and not fin_was_first(sock, sent):
                self._closed_by_server(SERVER_FIN)
            self._ending = self._ending or ending

    def _send_fin(self, sock: socket.socket) -> None:
        """End our half of the connection, unless the server's RST has ended both."""
        if not send_fin(sock):
            self._reset_by_server(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _over(self) -> None:
        """Nothing is left of the connection on this side: count the outcome."""
        client, tally = self._client, self._client.tally
        del client.live[self]
        tally.in_flight -= 1
        if self._connected:
            tally.endings[self._ending or GIVEN_UP] += 1
            tally.server_fin_reset += self._reset_after_fin
        if retries := self.retries:
            tally.retries += 1
        if self._failure is None or retries:
            tally.succeeded += 1
        else:
            tally.fail(self._failure)
        client.load.ended(self)
        if retries:
            client.retry(self._intended_ns, self._started_ns)

    @property
    def retries(self) -> bool:
        """Whether the exchange in hand is tried again: the server ended a kept connection, and had answered
        nothing of it. On a new connection it may have been at work on the request (RFC 9110, 9.2.2)."""
        if not self._client.plan.retry or self._failure not in ENDED_IDLE:
            return False
        return self._remaining < self._client.plan.requests and not self._reader.begun

    def _enter(self, phase: Phase, timeout_ns: int) -> None:
        self.phase = phase
        self.deadline_ns = monotonic_ns() + timeout_ns
