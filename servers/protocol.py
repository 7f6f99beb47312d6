"""The fast server: bare sockets, prepared responses.

A load generator must not find its limit here. A transport and a task for each connection would cost more
than all else that is done for it, so a connection is one object whose socket waits in the `Poller`. Its
system calls are those that TCP needs: accept4, epoll_ctl, recv, send, shutdown, recv, close. Two more are
getsockname, by which Python makes a socket object, and getsockopt, which shows who closed first.

No connection starves: accepts and ready sockets have their turns in bounded batches, and a connection reads
once in a turn.
"""

import asyncio
import socket
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT
from socket import MSG_DONTWAIT, MSG_MORE, MSG_PEEK
from typing import Final

from loadgen.tcp import Close
from servers.connection import Connection, Service
from servers.poller import Poller

READ_BYTES = 65_536
UNSENT_QUEUE = 1 << 20
"""The send queue asked for if bytes are to be left in it; the kernel limits it to net.core.wmem_max."""
LAST: Final = MSG_DONTWAIT | MSG_MORE
"""The end of the last response waits in the kernel for the FIN and leaves in one segment with it. A client
that closes as soon as it has the response would otherwise often be first."""


class ProtocolConnection(Connection):
    """Answers each request with prepared bytes, one after the other."""

    __slots__ = ("_descriptor", "_poller", "_timer", "_unsent", "_watched")

    def __init__(self, service: Service, sock: socket.SocketType, poller: Poller) -> None:
        super().__init__(service, sock)
        self._poller = poller
        self._descriptor = sock.fileno()
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: bytes | memoryview = b""
        """The client does not read: the response waits here, its further requests in the kernel."""
        self._watched = EPOLLIN
        if service.close is Close.UNSENT:
            # Else the kernel takes a response in parts, as the client makes room for it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_QUEUE)
        poller.watch(self._descriptor, EPOLLIN, self._ready)
        self.opened()

    def _ready(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
        elif self.peer_closed:
            # EPOLLHUP comes without being asked for: a client that closed its half early has reset the rest.
            self.drop()
        else:
            self._read()

    def _read(self) -> None:
        if self._leaves_unread():
            self.close_at_once()
            return
        try:
            data = self.sock.recv(READ_BYTES, MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error)
            return
        self.service.served.received_bytes += len(data)
        if not data:
            if self.received_fin():
                self.read_on()
            else:
                self.leave()
        elif not self.closing:
            self.received(data)
            if self._timer is None:
                self._go_on()

    def _leaves_unread(self) -> bool:
        """Whether what has come is the last request, and is to stay in the receive queue."""
        service = self.service
        if service.close is not Close.UNREAD or self.closing:
            return False
        if self._taken + 1 < service.behaviour.requests or self.queue:
            return False
        try:
            return bool(self.sock.recv(1, MSG_DONTWAIT | MSG_PEEK))
        except OSError:
            return False  # The next read shows what it is.

    def _go_on(self) -> None:
        service = self.service
        while self.queue and not self._unsent:
            if service.delay_s:
                self._timer = service.loop.call_later(service.delay_s, self._answer_late)
                return
            self._answer()

    def _answer_late(self) -> None:
        self._timer = None
        self._answer()
        self._go_on()

    def _answer(self) -> None:
        reply = self.take()
        if self._send(self.service.application.bytes_of(reply), reply.closes):
            self.answered(reply)

    def _send(self, data: bytes | memoryview, last: bool) -> bool:
        """Send what the kernel takes and keep the rest. False if the connection is lost."""
        service = self.service
        joined = last and service.by_fin and not service.behaviour.fin_apart
        try:
            sent = self.sock.send(data, LAST if joined else MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.lost(error)
            return False
        service.served.sent_bytes += sent
        if sent < len(data) or self._unsent:
            self._unsent = memoryview(data)[sent:]
            self.read_on()
        return True

    def _flush(self) -> None:
        if not self._send(self._unsent, self.closing) or self._unsent:
            return
        if self.closing and self.peer_closed:
            self.drop()
        elif self._timer is None:
            self._go_on()

    # How this kind of server moves bytes.

    def unsent(self) -> int:
        return len(self._unsent)

    def read_on(self) -> None:
        """Watch for the events that can be handled now."""
        reads = not self.peer_closed and (self.closing or not self._unsent)
        events = (EPOLLIN if reads else 0) | (EPOLLOUT if self._unsent else 0)
        if events != self._watched:
            self._watched = events
            self._poller.change(self._descriptor, events)

    def leave(self) -> None:
        if self._unsent:
            self.closing = True
            self.limit_by(self.service.limits.flushing)
            self.read_on()
        else:
            self.drop()

    def drop(self) -> None:
        self.lost(None)

    def lost(self, error: Exception | None) -> None:
        super().lost(error)
        self.queue.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._poller.forget(self._descriptor)
        self.sock.close()


def connection_factory(service: Service) -> Callable[[socket.SocketType], object]:
    """What is returned makes a connection of an accepted socket."""
    poller = Poller(service.loop)
    return lambda sock: ProtocolConnection(service, sock, poller)
