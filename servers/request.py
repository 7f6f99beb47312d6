"""Bytes to requests, without I/O. h11 parses; what it has parsed once is remembered.

The reader returns requests. Which side closes, and when, is decided elsewhere: each request is read for
itself, also one that follows a `Connection: close`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import h11

MEMO_ENTRIES = 256
MEMO_BYTES = 4096
"""A load's clients send a handful of different requests, each well below this size."""


class Request(NamedTuple):
    """A whole request, its body read and dropped.

    `persistent`: whether HTTP keeps the connection open after it (RFC 9112, section 9.3); `keep_alive`:
    whether the client asked for that by name.
    """

    version: Literal["1.0", "1.1"]
    method: str
    persistent: bool
    keep_alive: bool


class Malformed(NamedTuple):
    """Bytes that are no request, and why. Nothing is read after it."""

    reason: str
    persistent = False
    keep_alive = False


Message = Request | Malformed
Memo = dict[bytes, Sequence[Message]]
"""Bytes that are whole requests, and those requests. One for all readers of a process."""


class RequestReader:
    """Reads one connection's requests.

    The same client sends the same bytes again and again, on new connections as on kept ones. So bytes
    that arrive between two requests are first looked up in `memo`: the parser runs once for each text.
    """

    __slots__ = ("_head", "_memo", "_parser", "_stuck")

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._parser: h11.Connection | None = None
        """None between two requests."""
        self._head: Request | None = None
        self._stuck = False

    def feed(self, data: bytes) -> Sequence[Message]:
        """The requests that end in `data`, in order; a `Malformed` is the last message of all."""
        if self._stuck:
            return ()
        if self._parser is not None:
            return self._parse(self._parser, data)
        known = self._memo.get(data)
        if known is not None:
            return known
        messages = self._parse(h11.Connection(h11.SERVER), data)
        if (
            self._parser is None
            and not self._stuck
            and len(data) <= MEMO_BYTES
            and len(self._memo) < MEMO_ENTRIES
        ):
            self._memo[data] = messages
        return messages

    def _parse(self, parser: h11.Connection, data: bytes) -> Sequence[Message]:
        messages: list[Message] = []
        while data:
            try:
                parser.receive_data(data)
                self._parser = parser
                if not self._finish(parser):
                    return messages
            except h11.RemoteProtocolError as error:
                self._stuck = True
                messages.append(Malformed(str(error)))
                return messages
            assert self._head is not None
            messages.append(self._head)
            # h11 starts a next request only after our response; a new parser needs none.
            data = parser.trailing_data[0]
            parser = h11.Connection(h11.SERVER)
            self._parser = None
        return messages

    def _finish(self, parser: h11.Connection) -> bool:
        """Advance `parser`; True when its request is complete."""
        while (event := parser.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                self._head = _request(event)
            elif isinstance(event, h11.EndOfMessage):
                return True
        return False


def _request(event: h11.Request) -> Request:
    options = {
        option.strip().lower()
        for name, value in event.headers
        if name == b"connection"
        for option in value.split(b",")
    }
    keep_alive = b"keep-alive" in options
    if event.http_version == b"1.1":
        return Request("1.1", event.method.decode("ascii"), b"close" not in options, keep_alive)
    if event.http_version == b"1.0":
        persistent = keep_alive and b"close" not in options
        return Request("1.0", event.method.decode("ascii"), persistent, keep_alive)
    raise h11.RemoteProtocolError(f"HTTP/{event.http_version.decode('ascii')} is not supported")
