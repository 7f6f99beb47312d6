"""Raw TCP as an application protocol of a server: requests and responses of fixed sizes, without headers.

A request ends with its last byte, whatever the bytes are. So no request is malformed, and no client asks for
a close: if the server is the closer, it closes after the last response, by count.
"""

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Final, NamedTuple

from loadgen.tcp import Side
from servers.application import Application, Request
from servers.behaviour import Behaviour

RESPONSE_BYTE: Final = b"x"
_REQUEST: Final = (None,)
"""Requests carry nothing but their number."""


class Reply(NamedTuple):
    """A response, and whether the server closes after it."""

    closes: bool
    malformed: bool = False


class RequestReader:
    """Counts the bytes of one connection's requests."""

    __slots__ = ("_received", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = 0

    def feed(self, data: bytes) -> Sequence[Request]:
        """The requests that end in `data`."""
        whole, self._received = divmod(self._received + len(data), self._size)
        return _REQUEST * whole


class Unanswered:
    """Reads the request of a client that has closed behind it: a response would be answered by a RST."""

    def feed(self, _data: bytes, /) -> Sequence[Request]:
        return ()


def raw(behaviour: Behaviour) -> Application:
    """What its requests are, and their replies by this behaviour."""
    response = RESPONSE_BYTE * behaviour.response_size
    requests = behaviour.requests if behaviour.ending.side is Side.SERVER else inf
    goes_on, closes = Reply(closes=False), Reply(closes=True)

    def reply(_request: Request, served: int, stopping: bool) -> Reply:
        return closes if stopping or served >= requests else goes_on

    def bytes_of(_reply: Reply) -> bytes:
        return response

    reader = Unanswered if behaviour.takes_unsent else partial(RequestReader, behaviour.request_size)
    return Application({}, reader, reply, bytes_of)
