"""Reading HTTP responses without I/O: bytes in, whole responses out.

h11 reads the head, and a body that marks its own end. A body whose length the head announces is only
counted: its size costs nothing but the reading.

A memo saves most calls of h11, because a server under load sends the same head again and again: one that is
byte for byte like a head that h11 has read before announces the same response.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import h11

from loadgen.drivers.application import MalformedResponseError, ShortResponseError

_MEMO_ENTRIES = 64
_MEMO_BYTES = 4096
"""A longer response that marks its own end is read by h11 each time: to look it up is to read it, too."""
_HEAD_END = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})
"""Their heads may give a length all the same, of a body that does not come (RFC 9112, section 6.3)."""
MOST_HEAD = 16 * 1024
"""Bytes of a head, the largest that is read. A larger one is malformed in however many pieces it comes."""
_MOST_INFORMED = 128
"""Responses with a status of 1xx before one response."""
_LENGTH_LIMIT = 1 << 63
"""A body's length that no client can hold in its counters."""
_STARTS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
"""Requests are made in these two versions; a response in another one is no answer to them."""


@dataclass(frozen=True, slots=True)
class Response:
    """What matters of a response: its status, its body's length, and whether the server will close."""

    status: int
    length: int
    closes: bool
    error: str = field(init=False)
    """The kind of failure that the status is; empty if it is none. Made once: each exchange asks for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "error", f"HTTP_{self.status}" if self.status >= 400 else "")


@dataclass(frozen=True, slots=True)
class Announced:
    """A response whose first `prefix` bytes announce it, `total` bytes long: the prefix ends where the body
    begins. A response that marks its own end is a prefix as a whole."""

    response: Response
    prefix: int
    total: int


Memo = dict[bytes, Announced]
"""By the bytes of the prefix."""


class ResponseReader:
    """Reads the response to one GET after the other; a memo may serve the readers of many connections."""

    __slots__ = ("_announced", "_connection", "_head", "_informed", "_length", "_memo", "_received")

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._announced: Announced | None = None
        self._begin()

    def _begin(self) -> None:
        self._connection: h11.Connection | None = None
        self._head: h11.Response | None = None
        self._length = 0
        self._informed = 0
        self._received = 0

    @property
    def begun(self) -> bool:
        """Bytes of a response have come that is not yet whole."""
        return self._received > 0

    @property
    def headed(self) -> Response | None:
        """A response that is not yet whole, if its headers have come."""
        if not self.begun:
            return None
        if self._announced is not None:
            return self._announced.response
        return None if self._head is None else _response(self._head, self._length)

    @property
    def announced(self) -> Announced | None:
        """The response that the last bytes belong to; None if only its end shows how long it is."""
        return self._announced

    def feed(self, data: bytes) -> Response | None:
        """Take what arrived. Returns the response once it is whole, None before.

        Raises MalformedResponseError.
        """
        if not self._received:
            return self._feed_first(data)
        self._received += len(data)
        return self._advance(data) if self._announced is None else self._counted(self._announced)

    def _feed_first(self, data: bytes) -> Response | None:
        self._received = len(data)
        self._announced = self._memo.get(data[: data.find(_HEAD_END) + len(_HEAD_END)])
        if self._announced is None and len(data) <= _MEMO_BYTES:
            self._announced = self._memo.get(data)
        if self._announced is not None:
            return self._counted(self._announced)
        self._connection = _awaiting_response()
        response = self._advance(data)
        if response is not None and self._announced is None:
            self._announced = Announced(response, len(data), len(data))
        if self._announced is not None and self._announced.prefix <= _MEMO_BYTES:
            if len(self._memo) >= _MEMO_ENTRIES:
                self._memo.clear()
            self._memo[data[: self._announced.prefix]] = self._announced
        return response

    def _counted(self, announced: Announced) -> Response | None:
        """The response, once as many bytes have come as its head has announced."""
        if self._received > announced.total:
            # The reader serves requests sent one by one: bytes behind a response belong to none.
            raise MalformedResponseError("more bytes than the response has")
        if self._received < announced.total:
            return None
        self._begin()
        return announced.response

    def feed_eof(self) -> Response:
        """The server has closed. Returns the response that its end completes.

        Raises ShortResponseError if it completes none.
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
                        length = _length_of_body(event)
                        if length is not None:
                            prefix = self._received - len(connection.trailing_data[0])
                            self._announced = Announced(_response(event, length), prefix, prefix + length)
                            self._connection = None
                            return self._counted(self._announced)
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
        if connection.trailing_data[0]:
            raise MalformedResponseError("more bytes than the response has")
        response = _response(head, self._length)
        self._begin()
        return response


def _length_of_body(head: h11.Response) -> int | None:
    """As the head announces it; None if the body marks its own end, or the connection's end does."""
    if head.status_code in _BODILESS:
        return 0
    fields = dict(head.headers)
    if b"transfer-encoding" in fields or b"content-length" not in fields:
        return None
    return int(fields[b"content-length"])


def _response(head: h11.Response, length: int) -> Response:
    options = [value.decode("latin-1") for name, value in head.headers if name == b"connection"]
    return Response(head.status_code, length, closes(options, persistent=head.http_version >= b"1.1"))


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
    """Raises MalformedResponseError if these first bytes are not those of a response."""
    if not any(start.startswith(data[: len(start)]) for start in _STARTS):
        raise MalformedResponseError("no response of HTTP/1.0 or HTTP/1.1")


def _awaiting_response() -> h11.Connection:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "churn")]))
    connection.send(h11.EndOfMessage())
    return connection


def closes(options: Iterable[str], *, persistent: bool) -> bool:
    """Whether the server will close after a response with these `Connection` fields (RFC 9112, section 9.3).

    `persistent`: whether its HTTP version keeps connections by default: 1.1 does, 1.0 does not.
    """
    listed = {option.strip().lower() for field in options for option in field.split(",")}
    return "close" in listed or not (persistent or "keep-alive" in listed)
