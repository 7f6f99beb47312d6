"""How long connect() takes: of one connection in a while, alone in the kernel, the clocks read around it."""

from time import monotonic_ns, thread_time_ns

from loadgen.drivers.tally import Tally
from loadgen.uring.ring import Ring

EVERY_NS = 10_000_000
"""One is timed so often; at a low rate that is every one. It costs two turns more, which made a difference at
one connection in 64."""
SETTLED_NS = 5_000
"""A call that finds nothing to do is back after 1 to 2 us."""
SETTLE_MOST = 64
"""At most so many calls, for a machine on which none is back so soon."""
SETTLE_NS = 10_000_000
"""How long that may take: past the knee a connect() takes 2 ms (K8). After that the next turn tries again."""


def settle(ring: Ring) -> bool:
    """Let the ring do what is due on all slots, 20 things at a time; whether that is done."""
    until_ns = monotonic_ns() + SETTLE_NS
    for _ in range(SETTLE_MOST):
        begun_ns = monotonic_ns()
        if begun_ns >= until_ns:
            return False
        ring.enter()
        if monotonic_ns() - begun_ns < SETTLED_NS:
            break
    return True


class TimedConnects:
    """Which connections are timed, and how long they took."""

    def __init__(self, ring: Ring, tally: Tally) -> None:
        self._ring = ring
        self._tally = tally
        self._next_ns = 0
        self._prepared: list[int] = []
        self._took_ns: list[int] = []
        """How long the calls took since the last estimate, with whatever result."""
        self._usual_ns = 0.0

    def due(self, now_ns: int) -> bool:
        """Whether one of the connections that begin now is to be timed."""
        if now_ns < self._next_ns:
            return False
        self._next_ns = now_ns + EVERY_NS
        return True

    def prepared(self, slot: int) -> None:
        """The slot's socket is ready to connect."""
        self._prepared.append(slot)

    def next(self) -> int | None:
        """A slot whose socket is ready, once, and once the ring has nothing else to do; None else."""
        return self._prepared.pop() if self._prepared and settle(self._ring) else None

    def abandon(self) -> list[int]:
        """The slots whose sockets are ready; they are not connected any more."""
        taken, self._prepared = self._prepared, []
        return taken

    def enter(self) -> tuple[int, int]:
        """Make the call of connect() that was pushed: when it began and when it was back."""
        begun_cpu_ns, begun_ns = thread_time_ns(), monotonic_ns()
        self._ring.enter()
        now_ns, tally = monotonic_ns(), self._tally
        tally.clocked += 1
        tally.clocked_wall_ns += now_ns - begun_ns
        tally.clocked_cpu_ns += thread_time_ns() - begun_cpu_ns
        self._took_ns.append(now_ns - begun_ns)
        return begun_ns, now_ns

    def estimate_ns(self, calls: int) -> int:
        """The time inside so many calls, by those that were timed since the last estimate, or else before."""
        if self._took_ns:
            self._usual_ns = sum(self._took_ns) / len(self._took_ns)
            self._took_ns.clear()
        return round(self._usual_ns * calls)
