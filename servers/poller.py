"""Which of many sockets are ready.

An event loop keeps a handle for each descriptor and makes a callback of each event, which would cost a short
connection more than all that HTTP does. Here sockets share an epoll of their own. It is itself a descriptor
that the loop watches, so timers, signals and listeners stay with the loop; a round costs a system call more.
"""

import asyncio
import select
from collections.abc import Callable

BATCH = 256
"""Sockets served before the loop's other work has its turn; the kernel puts them behind the others then."""


class Poller:
    """Calls back for each descriptor that is ready, level-triggered, as long as the loop runs."""

    __slots__ = ("_epoll", "_ready")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._poll)

    def watch(self, descriptor: int, events: int, ready: Callable[[int], None]) -> None:
        """From now on call `ready` with what has come of `events`, or EPOLLERR, EPOLLHUP unasked."""
        self._ready[descriptor] = ready
        self._epoll.register(descriptor, events)

    def change(self, descriptor: int, events: int) -> None:
        """Watch it for other events."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """No more of a descriptor that is about to be closed, which takes it from the epoll."""
        del self._ready[descriptor]

    def _poll(self) -> None:
        ready = self._ready
        for descriptor, events in self._epoll.poll(0, BATCH):
            ready[descriptor](events)
