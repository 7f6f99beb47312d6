"""Raw TCP as an application protocol of a driver: requests and responses of fixed sizes, without headers.

A response ends with its last byte, and a connection with its last response: no byte announces either. What
the bytes are does not matter, on either side.
"""

from functools import partial
from typing import Final, NamedTuple

from loadgen.drivers.application import Application, MalformedResponseError, ShortResponseError
from loadgen.drivers.plan import Raw

REQUEST_BYTE: Final = b"?"
"""What requests are made of. Responses of churn's server are of another byte: in a capture they differ."""


class Response(NamedTuple):
    """A response of the right size. There is none that is an error, or that announces the server's close."""

    error: str = ""
    closes: bool = False


class Announced(NamedTuple):
    """The size is known before the first byte: no prefix announces it."""

    total: int
    prefix: int = 0
    response: Response = Response()


class ResponseReader:
    """Counts the bytes of one response after the other."""

    __slots__ = ("_received", "_size", "announced")

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = 0
        self.announced = Announced(size)

    @property
    def begun(self) -> bool:
        """Bytes of a response have come that is not yet whole."""
        return self._received > 0

    @property
    def headed(self) -> Response | None:
        """Nothing comes before the bytes of a response."""
        return self.announced.response

    def feed(self, data: bytes) -> Response | None:
        """Take what arrived. Returns the response once it is whole, None before.

        Raises MalformedResponseError.
        """
        self._received += len(data)
        if self._received > self._size:
            raise MalformedResponseError("more bytes than the response has")
        if self._received < self._size:
            return None
        self._received = 0
        return self.announced.response

    def feed_eof(self) -> Response:
        """The server has closed, which completes no response. Raises ShortResponseError."""
        raise ShortResponseError("the connection ended before the response")


def raw(sizes: Raw) -> Application:
    """Its requests, which are all alike, and readers of its responses."""
    request = REQUEST_BYTE * sizes.request
    return Application(request, request, partial(ResponseReader, sizes.response))
