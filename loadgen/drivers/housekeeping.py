"""What a load worker does at fixed instants, beside its load: it checks deadlines and reports its counts."""

from collections.abc import Callable
from time import monotonic_ns

from loadgen.drivers.attempt import Client
from loadgen.drivers.channel import SWEEP_NS, Reporter
from loadgen.drivers.plan import Plan


class Housekeeping:
    """A sweep over all attempts every `SWEEP_NS`, which costs less than a timer for each, and a report.

    Reports are due at every multiple of the interval's length. One that comes late covers a longer interval.
    """

    def __init__(
        self, plan: Plan, client: Client, reporter: Reporter, origin_ns: int, *swept: Callable[[], None]
    ) -> None:
        """`swept` are called at each sweep, after the client's own."""
        self._length_ns = plan.interval_ns
        self._client = client
        self._reporter = reporter
        self._origin_ns = origin_ns
        self._swept = swept
        self._taken_ns = self._sweep_ns = origin_ns
        self._report_ns = origin_ns + plan.interval_ns
        self.next_ns = origin_ns
        """When there is something to do again, on CLOCK_MONOTONIC."""

    def do(self, now_ns: int) -> None:
        """Do what is due."""
        if now_ns >= self._report_ns:
            self._report_ns = now_ns + self._length_ns - (now_ns - self._origin_ns) % self._length_ns
            self.report()
        if now_ns >= self._sweep_ns:
            self._sweep_ns = now_ns + SWEEP_NS
            self._reporter.beat(now_ns)
            self._client.sweep()
            for each in self._swept:
                each()
        self.next_ns = min(self._report_ns, self._sweep_ns)

    def report(self, *, last: bool = False) -> None:
        """Report what was counted since the last time; the `last` report is written in any case."""
        self._client.count_established()
        start_ns, self._taken_ns = self._taken_ns, monotonic_ns()
        self._client.estimate_connecting(self._taken_ns - start_ns)
        self._reporter.take(self._taken_ns, last=last)
