"""Deadlines of many connections, to a fraction of a millisecond, by one timer for all of a kind.

The deadlines of one kind are set the same time ahead, so they are due in the order in which they were set.
A queue in that order needs no sorting: to set or to clear one takes the same time however many there are.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic_ns
from typing import Generic, TypeVar

from loadgen.wire.timer import Timer

BATCH = 256
"""Deadlines met before the loop's other work has its turn."""

_T = TypeVar("_T")


class Deadlines(Generic[_T]):
    """Calls `passed` with each that was set `length_ns` ago, unless it was cleared meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, length_ns: int, passed: Callable[[_T], None]) -> None:
        """Raises OSError for want of a descriptor."""
        self._length_ns = length_ns
        self._passed = passed
        # In a dict, the deleted entries in front of the first would have to be passed over each time.
        self._due_ns: OrderedDict[_T, int] = OrderedDict()
        self._timer = Timer(loop, self._fired)
        self._armed = False

    def set(self, one: _T) -> None:
        """Its time begins now."""
        due_ns = self._due_ns[one] = monotonic_ns() + self._length_ns
        if not self._armed:
            self._armed = True
            self._timer.at(due_ns)

    def clear(self, one: _T) -> None:
        """It has no deadline any more. The timer stays: it finds then what is due next."""
        del self._due_ns[one]

    def _fired(self) -> None:
        now_ns = monotonic_ns()
        for _ in range(BATCH):
            one, due_ns = next(iter(self._due_ns.items()), (None, 0))
            if one is None:
                self._armed = False
                return
            if due_ns > now_ns:
                break
            del self._due_ns[one]
            self._passed(one)
        self._timer.at(next(iter(self._due_ns.values()), now_ns))
