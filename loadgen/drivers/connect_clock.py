"""The two clocks around a call of connect(): how long it took, and how much CPU time the thread used in it.

Both are needed to tell work from waiting. A call that searches for a port uses the CPU all the while; one
that is held up, because another process has the core, takes as long and uses little (K8).
"""

from time import monotonic_ns, thread_time_ns

from loadgen.drivers.tally import Tally

EVERY_NS = 1_000_000
"""The CPU clock is read around one call in this time: below 1,000/s around nearly every one, at 25,000/s
around one in 25. Its readings are system calls: a pair takes 1.0 to 1.4 us, which is 0.14 % of a core at
1,000 pairs a second, and 0.7 to 1.0 us of that are in the CPU time that it reports. Every other call takes
0.11 us longer than with one clock alone, 0.3 % of what a connection takes at 26,000/s. Which call is next
does not depend on how long it will take."""


class ConnectClock:
    """Clocks the calls of one thread, one at a time. What it reads is added to the tally."""

    __slots__ = ("_begun_cpu_ns", "_next_ns", "_tally")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._next_ns = 0
        self._begun_cpu_ns: int | None = None

    def called(self) -> int:
        """connect() is about to be called: the instant."""
        now_ns = monotonic_ns()
        if now_ns < self._next_ns:
            return now_ns
        self._next_ns = now_ns + EVERY_NS
        # The CPU clock outside of the other: what its readings take is not in the wall-clock time.
        self._begun_cpu_ns = thread_time_ns()
        return monotonic_ns()

    def returned(self, begun_ns: int) -> None:
        """The call that began at this instant is over, well or not."""
        took_ns = monotonic_ns() - begun_ns
        tally = self._tally
        tally.connecting_ns += took_ns
        if self._begun_cpu_ns is not None:
            tally.clocked += 1
            tally.clocked_wall_ns += took_ns
            tally.clocked_cpu_ns += thread_time_ns() - self._begun_cpu_ns
            self._begun_cpu_ns = None
