"""One accepted connection, and how it ends.

Which side closed first is read from the kernel at the moment of closing. The order of callbacks may lag
behind: a FIN can wait unread behind a request. The server's own FIN is sent by shutdown(); then everything is
read until the client's FIN. close() alone would answer unread or late bytes by RST (K4).
"""

import asyncio
import fcntl
import socket
import struct
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field

from loadgen.tcp import Close, How, Side
from servers.application import Application, Reader, Reply, Request
from servers.behaviour import Behaviour
from servers.cap import Cap
from servers.deadlines import Deadlines
from servers.limits import Limits
from servers.lines import Served

FLUSH_POLL_S = 0.001
FLUSH_POLL_MOST_S = 0.05
"""No event reports that the kernel has sent everything. Polls are short at first, then doubled up to this."""
SIOCOUTQNSD = 0x894B
"""ioctl: bytes in the send queue that were never sent (include/uapi/linux/sockios.h)."""

TCP_ESTABLISHED = 1
"""Neither side has closed (include/net/tcp_states.h); the first byte of TCP_INFO."""


@dataclass(slots=True, eq=False)
class Service:
    """What the connections of one worker share."""

    behaviour: Behaviour
    application: Application
    loop: asyncio.AbstractEventLoop
    served: Served = field(default_factory=Served)
    delay_s: float = field(init=False)
    limits: "Limits[Connection]" = field(init=False)
    cap: "Cap[Connection] | None" = field(init=False)
    """None: a client may have any number of connections."""
    by_fin: bool = field(init=False)
    close: Close = field(init=False)
    """The way in which the server closes first."""
    at_once: bool = field(init=False)
    """It calls close() right after its last send(), and waits for nothing."""
    connections: set["Connection"] = field(default_factory=set["Connection"])
    openings: set[asyncio.Task[object]] = field(default_factory=set[asyncio.Task[object]])
    """Connections that are accepted and not yet opened."""
    stopping: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection is gone after `stop`."""

    def __post_init__(self) -> None:
        self.delay_s = self.behaviour.delay_ns / 1e9
        self.limits = Limits["Connection"].of(self.loop, self.behaviour.idle_timeout_ns, Connection.expire)
        self.cap = Cap(self.behaviour.per_client) if self.behaviour.per_client else None
        self.by_fin = self.behaviour.ending.how is How.FIN
        closes = self.behaviour.ending.side is Side.SERVER
        self.close = self.behaviour.close if closes else Close.FIN
        self.at_once = closes and (self.close is Close.UNSENT or self.behaviour.linger_s is not None)

    def stop(self) -> None:
        """Close what is idle; others close after their response in hand, or the FIN behind unsent bytes."""
        self.stopping = True
        if not self.connections:
            self.emptied.set()
        for connection in tuple(self.connections):
            if not (connection.busy or self.behaviour.takes_unsent):
                connection.close_first()

    def reset(self) -> None:
        """Reset the connections that are left."""
        for connection in tuple(self.connections):
            connection.reset()


class Connection(ABC):
    """Counts what one client does and decides when to close; a kind of server moves the bytes.

    That calls `opened`, `received`, `received_fin` and `lost`. For each request in the queue it calls `take`,
    and once the response is written, `answered`.
    """

    __slots__ = (
        "_ended",
        "_in_hand",
        "_reader",
        "_taken",
        "closing",
        "limit",
        "peer_closed",
        "queue",
        "service",
        "sock",
    )

    def __init__(self, service: Service, sock: socket.SocketType) -> None:
        self.service = service
        self.sock = sock
        self.queue: deque[Request] = deque()
        """Requests that were read and not yet taken."""
        self.limit: Deadlines[Connection] | None = None
        """The deadlines that its own is among, at which `expire` is due."""
        self._reader: Reader | None = None
        """None as long as everything read was known."""
        self._taken = 0
        self._in_hand = False
        """A request was taken, its response is not yet written."""
        self.closing = False
        """The server has decided to close. Nothing more is answered."""
        self._ended = False
        """The end is counted: the first FIN or RST was seen or sent."""
        self.peer_closed = False
        """The client's FIN was read."""

    # How a kind of server moves bytes.

    @abstractmethod
    def unsent(self) -> int:
        """Bytes written that the kernel has not yet taken."""

    @abstractmethod
    def read_on(self) -> None:
        """Read, although a client that is slow to take its responses may have had its reading paused."""

    @abstractmethod
    def leave(self) -> None:
        """Close when the kernel has taken what is written."""

    @abstractmethod
    def drop(self) -> None:
        """Close now."""

    # What a kind of server calls.

    def opened(self) -> None:
        service = self.service
        service.served.accepted += 1
        service.connections.add(self)
        if service.cap and not service.cap.admits(self, self.sock):
            service.served.capped += 1
            self.close_first()
        elif service.limits.idle:
            self.limit_by(service.limits.idle)

    def received(self, data: bytes) -> None:
        """Bytes came; the requests they complete are in the queue."""
        application = self.service.application
        requests = application.known.get(data) if self._reader is None else None
        if requests is None:
            self._reader = self._reader or application.reader()
            requests = self._reader.feed(data)
        if requests:
            self.queue.extend(requests)
            self.limit_by(None)

    def received_fin(self) -> bool:
        """The client's FIN came. False if nothing is left to do but to close."""
        self.peer_closed = True
        if not self._ended:
            self._ended = True
            self.service.served.peer_fin += 1
        # A client that closed its half early still gets its responses.
        return self.busy and not self.closing

    def take(self) -> Reply:
        """The reply to the next request, which is then in hand. Raises IndexError if there is none."""
        service = self.service
        request = self.queue.popleft()
        self._in_hand = True
        self._taken += 1
        return service.application.reply(request, self._taken, service.stopping)

    def answered(self, reply: Reply) -> None:
        """The response is written: now the connection goes on, or ends."""
        service = self.service
        self._in_hand = False
        if reply.malformed:
            service.served.malformed += 1
        else:
            service.served.exchanges += 1
        if reply.closes:
            self.close_first()
        elif not self.queue:
            if self.peer_closed:
                self.leave()
            elif service.stopping:
                self.close_first()
            elif service.limits.idle:
                self.limit_by(service.limits.idle)

    def lost(self, error: Exception | None) -> None:
        """Nothing is sent or received any more."""
        service = self.service
        service.connections.discard(self)
        self.limit_by(None)
        if service.cap:
            service.cap.left(self)
        if service.stopping and not service.connections:
            service.emptied.set()
        self.closing = True
        if not self._ended:
            self._ended = True
            if isinstance(error, ConnectionResetError | BrokenPipeError):
                service.served.peer_rst += 1
            else:
                service.served.lost += 1

    # How the server ends it.

    @property
    def busy(self) -> bool:
        return self._in_hand or bool(self.queue)

    def limit_by(self, deadlines: "Deadlines[Connection] | None") -> None:
        """Its time is among these from now on, or not limited."""
        if self.limit is not None:
            self.limit.clear(self)
        self.limit = deadlines
        if deadlines is not None:
            deadlines.set(self)

    def expire(self) -> None:
        """The deadline has passed, and is no longer among those that are due."""
        self.limit = None
        if self.closing:
            self.reset()
        else:
            self.service.served.idle_timeouts += 1
            self.close_first()

    def close_first(self) -> None:
        """Close by the behaviour's method as soon as everything written is sent."""
        if self.closing:
            return
        self.closing = True
        self.queue.clear()
        self.limit_by(None)
        if self.peer_closed:
            self.leave()
            return
        self.read_on()
        self._close_when_sent()

    def _close_when_sent(self, poll_s: float = FLUSH_POLL_S) -> None:
        if self._ended:
            return
        service = self.service
        by_fin = service.by_fin
        # A FIN waits for what we hold: the kernel queues it behind the data. A RST destroys
        # what the kernel has not sent (K4), so it waits for that too.
        if self.unsent() or not (by_fin or service.at_once or _all_sent(self.sock)):
            if self.limit is None:
                self.limit_by(service.limits.flushing)
            service.loop.call_later(poll_s, self._close_when_sent, min(2 * poll_s, FLUSH_POLL_MOST_S))
        elif self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED:
            pass  # The client was first, which the next read shows.
        elif service.at_once:
            self.close_at_once()
        elif by_fin:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:  # ENOTCONN: the client's RST came a moment ago, which the next read shows.
                return
            self._ended = True
            service.served.fin += 1
            self.limit_by(service.limits.leaving)
        else:
            self.reset()

    def close_at_once(self) -> None:
        """close(), whatever is in the queues: the kernel sends a FIN, or a RST (K4)."""
        service = self.service
        self._ended = True
        if service.by_fin:
            service.served.fin += 1
        else:
            service.served.rst += 1
        if service.behaviour.linger_s is not None:
            linger = struct.pack("ii", 1, service.behaviour.linger_s)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.drop()

    def reset(self) -> None:
        """Send RST now (K4); after an end that is counted, only close."""
        if not self._ended:
            self._ended = True
            self.service.served.rst += 1
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.drop()


def _all_sent(sock: socket.SocketType) -> bool:
    """Whether the kernel has sent all that was written, acknowledged or not."""
    return not any(fcntl.ioctl(sock, SIOCOUTQNSD, bytes(4)))
