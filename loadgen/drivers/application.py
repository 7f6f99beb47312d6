"""The seam between connections and what is spoken on them: an application protocol.

How a connection is opened, used, timed and closed (`attempt`, `load`, `uring/`) does not depend on it. A
protocol says which bytes ask for a response, and when those that come back are one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class MalformedResponseError(Exception):
    """The bytes are no response, or more came than the response has."""


class ShortResponseError(Exception):
    """The connection ended inside a response, or before it."""


class Response(Protocol):
    """What matters of a response."""

    @property
    def error(self) -> str:
        """The kind of failure that it is, as `HTTP_503`; empty if it is none."""
        ...

    @property
    def closes(self) -> bool:
        """The server will close the connection after it."""
        ...


class Announced(Protocol):
    """A response whose first `prefix` bytes announce it, `total` bytes long.

    What follows the prefix does not matter: two responses that begin with the same prefix are the same. It is
    empty if the length is known before the first byte.
    """

    @property
    def response(self) -> Response: ...

    @property
    def prefix(self) -> int: ...

    @property
    def total(self) -> int: ...


class Reader(Protocol):
    """Reads the response to one request after the other of one connection."""

    @property
    def begun(self) -> bool:
        """Bytes of a response have come that is not yet whole."""
        ...

    @property
    def headed(self) -> Response | None:
        """A response that is not yet whole, if all has come that is before its body."""
        ...

    @property
    def announced(self) -> Announced | None:
        """The response that the last bytes belong to; None if only its end shows how long it is."""
        ...

    def feed(self, data: bytes, /) -> Response | None:
        """Take what arrived. Returns the response once it is whole, None before.

        Raises MalformedResponseError.
        """
        ...

    def feed_eof(self) -> Response:
        """The server has closed. Returns the response that its end completes.

        Raises ShortResponseError if it completes none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Application:
    """An application protocol, by what a connection needs of it.

    request   the request of an exchange that others follow on its connection
    last      the last request of a connection
    reader    makes the reader of a connection
    """

    request: bytes
    last: bytes
    reader: Callable[[], Reader]
