"""The `protocol` driver's part of `read: headers`: it reads a response up to its body, and closes.

It reads no byte of the body, whatever the size. close() comes as soon as a byte of it is in the receive
queue, and so resets the connection (K4): before that the kernel would send a FIN, and a RST only for the
bytes that come late.
"""

import socket
from typing import Final

from loadgen.drivers.closing import ClosingAttempt
from loadgen.drivers.failures import GIVEN_UP
from loadgen.drivers.protocol import ProtocolClient
from loadgen.tcp import Ending, Failure, Phase

HEAD_END: Final = b"\r\n\r\n"
_MOST: Final = 65_536


class ReadingClient(ProtocolClient):
    """Opens connections that are closed with the body of a response unread."""

    def connect(self, intended_ns: int) -> None:
        ReadingAttempt(self, intended_ns).connect()


class ReadingAttempt(ClosingAttempt):
    """An attempt that reads the headers of its only response."""

    __slots__ = ("_headed", "_tail")

    def __init__(self, host: ProtocolClient, intended_ns: int) -> None:
        super().__init__(host, intended_ns)
        self._headed = False
        self._tail = b""
        """The last bytes of headers that were read in part: their end may begin in them."""

    def _make_transport(self) -> None:
        self._watch()

    def _came(self) -> None:
        sock = self._sock
        assert sock is not None
        try:
            seen = b"" if self._headed else sock.recv(_MOST, socket.MSG_PEEK)
        except OSError as error:
            self._stop_watching()
            self._reset_by_server(error.errno or 0)
            self._close_now()
            return
        if not seen:
            super()._came()
            return
        end = (self._tail + seen).find(HEAD_END)
        size = len(seen) if end < 0 else end + len(HEAD_END) - len(self._tail)
        data = sock.recv(size)
        self._tail = (self._tail + data)[1 - len(HEAD_END) :] if end < 0 else b""
        self.data_received(data)
        # Headers of a status of 1xx have others behind them, and a response without a body is whole.
        response = self._reader.headed if end >= 0 and self._watched is not None else None
        if response is not None and response.error:
            self.fail(Failure(Phase.RECEIVE, response.error))
        self._headed = response is not None

    def finish(self) -> None:
        """The response has no body: nothing is unread."""
        self._leave(Ending.CLIENT_FIN)

    def fail(self, failure: Failure) -> None:
        if self._watched is None:
            super().fail(failure)
        else:
            self._failure = failure
            self._leave(GIVEN_UP)

    def _leave(self, ending: Ending) -> None:
        if self._transport is not None:
            super()._leave(ending)
            return
        assert self._sock is not None
        self._stop_watching()
        self._settle(self._sock, ending)
        self._close_now()
