"""Reading HTTP responses without I/O: bytes in, whole responses out.

h11 does the reading. Before it stands a memo, because a server under load sends the same bytes again
and again: a response that arrives in one piece, byte for byte like one that h11 has read before,
is that response.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import h11

_MEMO_ENTRIES = 64
_MEMO_BYTES = 64 * 1024
MOST_HEAD = 16 * 1024
"""Bytes of a head, the largest that is read. A larger one is malformed in however many pieces it comes."""
_MOST_INFORMED = 128
"""Responses with a status of 1xx before one response."""
_LENGTH_LIMIT = 1 << 63
"""A body's length that no client can hold in its counters."""
_STARTS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
"""Requests are made in these two versions; a response in another one is no answer to them."""


class MalformedResponseError(Exception):
    """The bytes are no HTTP response, or more came than was asked for."""


class ShortResponseError(Exception):
    """The connection ended inside a response, or before it."""


@dataclass(frozen=True, slots=True)
class Response:
    """What matters of a response: its status, its body's length, and whether the server will close."""

    status: int
    length: int
    closes: bool


class ResponseReader:
    """Reads the response to one GET after the other; a memo may serve the readers of many connections."""

    __slots__ = ("_connection", "_head", "_informed", "_length", "_memo")

    def __init__(self, memo: dict[bytes, Response]) -> None:
        self._memo = memo
        self._begin()

    def _begin(self) -> None:
        self._connection: h11.Connection | None = None
        self._head: h11.Response | None = None
        self._length = 0
        self._informed = 0

    def feed(self, data: bytes) -> Response | None:
        """Take what arrived. Returns the response once it is whole, None before.

        Raises MalformedResponseError.
        """
        if self._connection is None:
            known = self._memo.get(data)
            if known is not None:
                return known
            self._connection = _awaiting_response()
            response = self._advance(data)
            if response is not None and len(data) <= _MEMO_BYTES:
                if len(self._memo) >= _MEMO_ENTRIES:
                    self._memo.clear()
                self._memo[data] = response
            return response
        return self._advance(data)

    def feed_eof(self) -> Response:
        """The server has closed. Returns the response that its end completes.

        Raises ShortResponseError where it completes none.
        """
        if self._connection is not None:
            try:
                response = self._advance(b"")
            except MalformedResponseError as error:
                raise ShortResponseError(str(error)) from None
            if response is not None:
                return replace(response, closes=True)
        raise ShortResponseError("the connection ended before the response")

    def _advance(self, data: bytes) -> Response | None:
        connection = self._connection
        assert connection is not None
        try:
            connection.receive_data(data)
            while True:
                event = connection.next_event()
                match event:
                    case h11.Response():
                        _check(event)
                        self._head = event
                    case h11.Data():
                        self._length += len(event.data)
                    case h11.EndOfMessage():
                        return self._finish(connection)
                    case h11.InformationalResponse():
                        _check(event)
                        self._informed += 1
                        if self._informed > _MOST_INFORMED:
                            raise MalformedResponseError("no end of responses before the response")
                    case _:
                        if self._head is None:
                            _check_start(connection.trailing_data[0])
                        return None
        except h11.RemoteProtocolError as error:
            raise MalformedResponseError(str(error)) from None

    def _finish(self, connection: h11.Connection) -> Response:
        head = self._head
        assert head is not None
        # The reader serves requests sent one by one: bytes behind a response belong to none.
        if connection.trailing_data[0]:
            raise MalformedResponseError("more bytes than the response has")
        options = [value.decode("latin-1") for name, value in head.headers if name == b"connection"]
        closing = closes(options, persistent=head.http_version >= b"1.1")
        response = Response(head.status_code, self._length, closing)
        self._begin()
        return response


def _check(head: h11.Response | h11.InformationalResponse) -> None:
    """Raises MalformedResponseError for a head that h11 takes, and that is no answer, or could be two."""
    _check_start(b"HTTP/%b " % head.http_version)
    size = len(head.reason) + sum(len(name) + len(value) + len(b": \r\n") for name, value in head.headers)
    if size > MOST_HEAD:
        raise MalformedResponseError("a head too large")
    fields = dict(head.headers)
    length = fields.get(b"content-length")
    # Which of the two counts is what attacks by splitting responses play with (RFC 9112, section 6.3).
    if length is not None and (b"transfer-encoding" in fields or int(length) >= _LENGTH_LIMIT):
        raise MalformedResponseError("no length that all clients would agree on")


def _check_start(data: bytes) -> None:
    """Raises MalformedResponseError where these first bytes are not those of a response."""
    if not any(start.startswith(data[: len(start)]) for start in _STARTS):
        raise MalformedResponseError("no response of HTTP/1.0 or HTTP/1.1")


def _awaiting_response() -> h11.Connection:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "churn")]))
    connection.send(h11.EndOfMessage())
    return connection


def closes(options: Iterable[str], *, persistent: bool) -> bool:
    """Whether the server will close after a response with these `Connection` fields (RFC 9112, section 9.3).

    `persistent`: whether its HTTP version keeps connections unless told otherwise: 1.1 does, 1.0 does not.
    """
    said = {option.strip().lower() for field in options for option in field.split(",")}
    return "close" in said or not (persistent or "keep-alive" in said)
