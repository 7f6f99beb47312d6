"""The fast server: a bare asyncio.Protocol, prepared responses."""

import asyncio
import socket

from servers.connection import Connection, Service


class ProtocolConnection(Connection):
    """Answers each request with prepared bytes, one after the other."""

    __slots__ = ("_delay_s", "_paused", "_timer", "_writer")

    def __init__(self, service: Service, sock: socket.socket) -> None:
        super().__init__(service, sock)
        self._delay_s = service.behaviour.delay_ns / 1e9
        self._writer = service.writer
        self._paused = False
        """The client does not read: its responses wait here, its requests in the kernel."""
        self._timer: asyncio.TimerHandle | None = None

    def received(self, data: bytes) -> None:  # noqa: ARG002
        if self._timer is None:
            self._go_on()

    def _go_on(self) -> None:
        while self.queue and not self._paused:
            if self._delay_s:
                self._timer = self.service.loop.call_later(self._delay_s, self._answer_late)
                return
            self._answer()

    def _answer_late(self) -> None:
        self._timer = None
        self._answer()
        self._go_on()

    def _answer(self) -> None:
        reply = self.take()
        self.transport.write(self._writer.bytes_of(reply))
        self.answered(reply)

    def pause_writing(self) -> None:
        self._paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self.transport.resume_reading()
        if self._timer is None:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
