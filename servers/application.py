"""The seam between connections and what is spoken on them: an application protocol.

How a connection is accepted, read, closed and counted (`connection`) does not depend on it. A protocol says
which requests there are in the bytes that come, what each is answered, and what bytes that is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Request = Any
"""A whole request, or what is none: connections only pass it on, to `Application.reply`."""


class Reader(Protocol):
    """Reads the requests of one connection."""

    def feed(self, data: bytes, /) -> Sequence[Request]:
        """The requests that end in `data`, in order."""
        ...


class Reply(Protocol):
    """What is answered to one request."""

    @property
    def closes(self) -> bool:
        """The server closes after it."""
        ...

    @property
    def malformed(self) -> bool:
        """It answers bytes that are no request."""
        ...


@dataclass(frozen=True, slots=True)
class Application:
    """An application protocol, by what a connection needs of it.

    known     bytes that are whole requests, and those requests: looked up before a connection has a reader
    reader    makes the reader of a connection
    reply     the reply to a request, given which exchange of its connection it is, from 1 on, and whether
              the server is stopping
    bytes_of  a reply as bytes
    """

    known: Mapping[bytes, Sequence[Request]]
    reader: Callable[[], Reader]
    reply: Callable[[Request, int, bool], Reply]
    bytes_of: Callable[[Any], bytes]
