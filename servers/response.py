"""A request to its reply, and a reply to bytes. Pure, but for the clock of the Date header."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from math import inf
from time import time
from typing import NamedTuple

from loadgen.tcp import Side
from servers.behaviour import Behaviour
from servers.request import Malformed, Message

SERVER = "churn"
CONTENT_TYPE = "text/plain"

# Plain numbers, as keys of a dictionary: an enum's member is ten times slower to hash.
_OK = int(HTTPStatus.OK)
_REFUSED = int(HTTPStatus.METHOD_NOT_ALLOWED)
_MALFORMED = int(HTTPStatus.BAD_REQUEST)

REPLIES = 1024
"""A load's clients ask the same again and again; a server that announces its count has a reply for each."""


class Reply(NamedTuple):
    """What is answered to one request; equal replies are equal bytes within a second.

    `final`: the connection ends after it, whichever side closes; `closes`: the server closes; `left`: how
    many further requests it takes, `timeout_s`: how long it may be idle, each None if that is not announced;
    `malformed`: it answers what is no request.
    """

    version: str
    status: int
    final: bool
    closes: bool
    length: int
    body: bool
    keep_alive: bool = False
    left: int | None = None
    timeout_s: int | None = None
    malformed: bool = False

    def headers(self) -> dict[str, str]:
        """The header fields that depend on the reply; not Date, Server and Content-Length."""
        fields = {"Content-Type": CONTENT_TYPE}
        if self.status == _REFUSED:
            fields["Allow"] = "GET, HEAD"
        if self.final:
            fields["Connection"] = "close"
        elif self.keep_alive:
            fields["Connection"] = "keep-alive"
            hints = {"timeout": self.timeout_s, "max": self.left}
            if listed := [f"{name}={value}" for name, value in hints.items() if value is not None]:
                fields["Keep-Alive"] = ", ".join(listed)
        return fields


class Replies:
    """Requests to replies, as a behaviour has it. Each is made once."""

    __slots__ = ("_behaviour", "_known", "_requests", "_server_closes")

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._server_closes = behaviour.ending.side is Side.SERVER
        self._requests = behaviour.requests if self._server_closes else inf
        self._known = lru_cache(REPLIES)(self._reply)

    def to(self, message: Message, served: int, stopping: bool) -> Reply:
        """The reply to `message`, the `served`-th exchange of its connection."""
        final = served >= self._requests or stopping or not message.persistent
        # A count that is not announced makes no difference.
        announced = served if message.keep_alive and self._server_closes else 0
        return self._known(message, final, stopping, announced)

    def _reply(self, message: Message, final: bool, stopping: bool, announced: int) -> Reply:
        if isinstance(message, Malformed):
            return Reply("1.1", _MALFORMED, final=True, closes=True, length=0, body=False, malformed=True)
        behaviour = self._behaviour
        closes = final and (self._server_closes or stopping)
        keep_alive = message.keep_alive and not final
        # A hint is given only if it is true: `max` if the server counts, `timeout` (whole seconds, rounded
        # down: the server waits at least that long) if it has an idle timeout.
        left = behaviour.requests - announced if keep_alive and self._server_closes else None
        timeout_s = (behaviour.idle_timeout_ns // 1_000_000_000 or None) if keep_alive else None
        found = message.method in ("GET", "HEAD")
        status, length = (_OK, behaviour.response_size) if found else (_REFUSED, 0)
        body = message.method == "GET"
        return Reply(message.version, status, final, closes, length, body, keep_alive, left, timeout_s)


class Writer:
    """Replies to bytes. Heads are prepared once a second, because of their Date."""

    __slots__ = ("_body", "_heads", "_second")

    def __init__(self, response_size: int) -> None:
        self._body = b"x" * response_size
        self._heads: dict[Reply, bytes] = {}
        self._second = 0

    def bytes_of(self, reply: Reply) -> bytes:
        """The whole response in one piece, so that it leaves in as few segments as it can."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._heads.clear()
        head = self._heads.get(reply)
        if head is None:
            head = self._heads[reply] = _head(reply, second)
        return head + self._body if reply.body and reply.length else head


def _head(reply: Reply, second: int) -> bytes:
    fields = {
        "Server": SERVER,
        "Date": formatdate(second, usegmt=True),
        "Content-Length": str(reply.length),
        **reply.headers(),
    }
    lines = [f"HTTP/{reply.version} {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
