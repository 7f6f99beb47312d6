"""How long a connection may be in a state in which it waits for its client."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from servers.deadlines import Deadlines

LINGER_NS = 2_000_000_000
"""After its own FIN the server waits so long for the client's. After close(), the kernel times the orphan
out (K5)."""
FLUSH_NS = 30_000_000_000
"""So long a client may take to make room for the last response; then the connection is reset."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits(Generic[_T]):
    """The deadlines of all connections of a worker.

    idle      a connection without a request; None: it may be so for ever
    flushing  a client that makes no room for the last response
    leaving   a client that does not answer the server's FIN by its own
    """

    idle: Deadlines[_T] | None
    flushing: Deadlines[_T]
    leaving: Deadlines[_T]

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop, idle_ns: int, expire: Callable[[_T], None]) -> Self:
        """`idle_ns` 0: never. Raises OSError for want of a descriptor."""
        return cls(
            idle=Deadlines(loop, idle_ns, expire) if idle_ns else None,
            flushing=Deadlines(loop, FLUSH_NS, expire),
            leaving=Deadlines(loop, LINGER_NS, expire),
        )
