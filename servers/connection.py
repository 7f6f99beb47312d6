"""One accepted connection, and how it ends.

Who closed first is asked of the kernel at the moment of closing, not guessed from the order of callbacks,
which may lag behind: a FIN can wait unread behind a request. The server's own FIN is sent by shutdown();
then everything is read until the client's FIN. close() alone would answer unread or late bytes by RST (K4).
"""

import asyncio
import fcntl
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from loadgen.tcp import CloseMethod, Closer
from servers.behaviour import Behaviour
from servers.lines import Served
from servers.request import Malformed, Memo, Message, RequestReader
from servers.response import MALFORMED, Reply, Writer

LINGER_S = 2.0
"""After its own FIN the server waits so long for the client's; then the kernel is alone with it (K5)."""

FLUSH_S = 30.0
"""So long a client may take to make room for the last response; then the connection is reset."""
FLUSH_POLL_S = 0.001
FLUSH_POLL_MOST_S = 0.05
"""No event tells that the kernel has sent everything. Polls are short at first, then doubled up to this."""

SIOCOUTQNSD = 0x894B
"""ioctl: bytes in the send queue that were never sent (include/uapi/linux/sockios.h)."""

TCP_ESTABLISHED = 1
"""Neither side has closed (include/net/tcp_states.h); the first byte of TCP_INFO."""

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Service:
    """What the connections of one worker share. Times are seconds on the loop's clock."""

    behaviour: Behaviour
    loop: asyncio.AbstractEventLoop
    served: Served
    writer: Writer
    idle_s: float = field(init=False)
    memo: Memo = field(default_factory=Memo)
    connections: set["Connection"] = field(default_factory=set["Connection"])
    stopping: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection is gone after `stop`."""

    def __post_init__(self) -> None:
        self.idle_s = self.behaviour.idle_timeout_ns / 1e9 or NEVER

    def stop(self) -> None:
        """Close what is idle; the others close after their response in hand."""
        self.stopping = True
        if not self.connections:
            self.emptied.set()
        for connection in tuple(self.connections):
            if not connection.busy:
                connection.close_first()

    def sweep(self) -> None:
        """End the connections whose time is up."""
        now = self.loop.time()
        for connection in tuple(self.connections):
            if connection.deadline <= now:
                connection.expire()

    def reset(self) -> None:
        """Reset the connections that are left."""
        for connection in tuple(self.connections):
            connection.reset()


class Connection(asyncio.Protocol):
    """Reads requests and counts; a kind of server answers them by overriding `received`.

    For each request in the queue it calls `take` and, once the response is written, `answered`.
    """

    __slots__ = (
        "_ended",
        "_flush_until",
        "_idle_s",
        "_in_hand",
        "_peer_closed",
        "_reader",
        "_taken",
        "closing",
        "deadline",
        "queue",
        "service",
        "sock",
        "transport",
    )

    def __init__(self, service: Service, sock: socket.socket) -> None:
        self.service = service
        self.sock = sock
        self.queue: deque[Message] = deque()
        """Requests that were read and not yet taken."""
        self.deadline = NEVER
        """When `expire` is due: idle for too long, or no FIN from a client that was closed."""
        self._idle_s = service.idle_s
        self._reader = RequestReader(service.memo)
        self._taken = 0
        self._in_hand = False
        """A request was taken, its response is not yet written."""
        self.closing = False
        """The server has decided to close. Nothing more is answered."""
        self._ended = False
        """The end is counted: the first FIN or RST was seen or sent."""
        self._peer_closed = False
        self._flush_until = 0.0

    # What a kind of server sees and does.

    def received(self, data: bytes) -> None:
        """More bytes came; the requests they complete are in the queue."""
        raise NotImplementedError

    def take(self) -> Reply:
        """The reply to the next request, which is then in hand. Raises IndexError if there is none."""
        service = self.service
        message = self.queue.popleft()
        self._in_hand = True
        self._taken += 1
        if isinstance(message, Malformed):
            service.served.malformed += 1
        reply = Reply.to(message, service.behaviour, self._taken, service.stopping)
        if self._closes_after(reply) and service.behaviour.close is CloseMethod.FIN:
            # The end of the response waits in the kernel for the FIN and leaves in one segment with it.
            # A client that closes as soon as it has the response would otherwise often be first.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        return reply

    def answered(self, reply: Reply) -> None:
        """The response is with the transport: now the connection goes on, or ends."""
        service = self.service
        self._in_hand = False
        if reply.status != MALFORMED:
            service.served.exchanges += 1
        if self._closes_after(reply):
            self.close_first()
        elif not self.queue:
            if self._peer_closed:
                self.transport.close()
            elif service.stopping:
                self.close_first()
            else:
                self.deadline = service.loop.time() + self._idle_s

    def _closes_after(self, reply: Reply) -> bool:
        if not reply.final:
            return False
        service = self.service
        return service.behaviour.closer is Closer.SERVER or service.stopping or reply.status == MALFORMED

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.service.connections.add(self)
        self.deadline = self.service.loop.time() + self._idle_s
        if self.service.stopping:
            self.close_first()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        messages = self._reader.feed(data)
        if messages:
            self.queue.extend(messages)
            self.deadline = NEVER
        self.received(data)

    def eof_received(self) -> bool:
        self._peer_closed = True
        if not self._ended:
            self._ended = True
            self.service.served.peer_fin += 1
        # A client that closed its half early still gets its responses. Returning False closes.
        return self.busy and not self.closing

    def connection_lost(self, exc: Exception | None) -> None:
        service = self.service
        service.connections.discard(self)
        if service.stopping and not service.connections:
            service.emptied.set()
        self.closing = True
        if not self._ended:
            self._ended = True
            if isinstance(exc, ConnectionResetError | BrokenPipeError):
                service.served.peer_rst += 1
            else:
                service.served.lost += 1

    # How the server ends it.

    @property
    def busy(self) -> bool:
        return self._in_hand or bool(self.queue)

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        if self.closing:
            self.transport.abort()
        else:
            self.service.served.idle_timeouts += 1
            self.close_first()

    def close_first(self) -> None:
        """Close by the behaviour's method as soon as everything written is sent."""
        if self.closing or self.transport.is_closing():
            return
        self.closing = True
        self.queue.clear()
        self.deadline = NEVER
        if self._peer_closed:
            self.transport.close()
            return
        # A client that was slow to read may have had its reading paused; its FIN must be seen.
        self.transport.resume_reading()
        self._flush_until = self.service.loop.time() + FLUSH_S
        self._close_when_sent(FLUSH_POLL_S)

    def _close_when_sent(self, poll_s: float) -> None:
        if self._ended or self.transport.is_closing():
            return
        by_fin = self.service.behaviour.close is CloseMethod.FIN
        # A FIN waits for what the transport holds: the kernel queues it behind the data. A RST destroys
        # what the kernel has not sent (K4), so it waits for that too.
        if self.transport.get_write_buffer_size() or not (by_fin or _all_sent(self.sock)):
            if self.service.loop.time() < self._flush_until:
                poll_most_s = min(2 * poll_s, FLUSH_POLL_MOST_S)
                self.service.loop.call_later(poll_s, self._close_when_sent, poll_most_s)
            else:
                self.reset()
        elif self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED:
            pass  # The client was first. The loop is about to say so, by eof_received or connection_lost.
        elif by_fin:
            self._send_fin()
        else:
            self.reset()

    def _send_fin(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: the client's RST came a moment ago, and connection_lost will.
            return
        self._ended = True
        self.service.served.fin += 1
        self.deadline = self.service.loop.time() + LINGER_S

    def reset(self) -> None:
        """Send RST now (K4); after an end that is counted, only let go."""
        if not self._ended:
            self._ended = True
            self.service.served.rst += 1
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _all_sent(sock: socket.socket) -> bool:
    """Whether the kernel has sent all that was written, if not had it acknowledged."""
    return not any(fcntl.ioctl(sock, SIOCOUTQNSD, bytes(4)))
