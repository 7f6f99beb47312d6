"""Open loop over slots: arrivals at a rate, whatever becomes of the earlier ones."""

from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.admission import Admission
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.tally import Tally
from loadgen.drivers.uring.load import FOREVER_NS, MOST_STARTS, ClosedUringLoad, UringLoad
from loadgen.drivers.uring.slots import Slots

PUNCTUAL_BUDGET_NS = 1_000_000
"""How long connections may be opened in one turn: the next arrival must not wait."""
PUNCTUAL_STARTS = 8
"""Connections opened in one turn, at most: the last of them starts as much too late as the others took."""


class OpenUringLoad(UringLoad):
    """Arrivals at a rate, as `Admission` has them."""

    def __init__(self, plan: Plan, loop: OpenLoop, tally: Tally, slots: int) -> None:
        super().__init__(plan, tally, PUNCTUAL_BUDGET_NS)
        self._admission = Admission(plan, loop, tally, self, self._exchange)
        self._short = slots < loop.connections
        """The ring has fewer slots, for want of descriptors: an arrival that finds none is refused."""
        self._free: list[int] = list(range(slots))[::-1]

    def begin(self, origin_ns: int) -> None:
        self._admission.begin(origin_ns)

    def due(self, now_ns: int) -> None:
        self._admission.admit_due(now_ns)
        self._open_waiting(PUNCTUAL_STARTS)

    def _open_waiting(self, most: int) -> None:
        waiting = self._admission.waiting
        count = min(len(waiting), len(self._free), self._starts, most)
        if count:
            intended_ns: NDArray[np.int64] = np.array([waiting.popleft() for _ in range(count)])
            self.client.open(np.array([self._free.pop() for _ in range(count)]), intended_ns)
        if self._short and waiting and not self._free:
            now_ns = monotonic_ns()
            self.client.refuse(len(waiting), (now_ns - intended_ns for intended_ns in waiting))
            waiting.clear()

    def wait_limit(self, now_ns: int) -> tuple[int, int]:
        if self._admission.waiting and self._free:
            return 0, 0
        due_ns = self._admission.due_ns
        return 1, max(due_ns - now_ns, 0) if due_ns is not None else FOREVER_NS

    def ready(self, slots: Slots) -> None:
        self._rest(slots)

    def free(self, slots: Slots) -> None:
        self._free.extend(slots.tolist())

    def end(self) -> None:
        self.due(monotonic_ns())
        self._open_waiting(MOST_STARTS)
        self._admission.end()
        super().end()

    def _exchange(self, slot: int, intended_ns: int) -> None:
        self.client.exchange(np.array([slot]), intended_ns)


def load_of(plan: Plan, tally: Tally, slots: int) -> UringLoad:
    match plan.loop:
        case ClosedLoop():
            return ClosedUringLoad(plan, plan.loop, tally, slots)
        case OpenLoop():
            return OpenUringLoad(plan, plan.loop, tally, slots)
