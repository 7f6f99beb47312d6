"""Intervals made from samples, if a command makes the load: the kernel's counters of both ends. Pure.

Interval by interval these are differences of cumulative counts, so their sums are the counts of the whole.
How connections ended is known for the whole run only (`explanation`).
"""

from dataclasses import dataclass

from loadgen.records.types import Interval, Sample
from loadgen.records.viewpoints import APART, Scope
from loadgen.tcp import State

OPEN = (State.SYN_SENT, State.ESTABLISHED, State.CLOSE_WAIT)
"""States of a connection that its application has not closed."""


@dataclass(frozen=True, slots=True)
class _Totals:
    """What was counted from the creation of the namespaces to one sample."""

    opened: int
    connected: int

    @classmethod
    def of(cls, sample: Sample, before: "_Totals | None", scope: Scope) -> "_Totals":
        client = sample.viewpoints[scope.leg.opener]
        opened = client.counters.get("ActiveOpens", 0)
        connected = opened - client.counters.get("AttemptFails", 0) - client.count(State.SYN_SENT)
        # States are read an instant before the counters: a count of both may step back by a few.
        return cls(opened, max(connected, before.connected) if before else connected)


class KernelCounts:
    """Makes intervals of about `every_ns`, the first from the origin on, counted from the baseline.

    They count the connections of the first leg of the `scope`.
    """

    def __init__(self, every_ns: int, scope: Scope = APART) -> None:
        self._every_ns = every_ns
        self._scope = scope
        self._start_ns = 0
        self._taken: _Totals | None = None
        self._last: Sample | None = None

    def add(self, sample: Sample) -> Interval | None:
        """The interval that ends with this sample, if it is long enough for a rate.

        None ends with a sample that repeats the states of an earlier one: with newer counters, those would
        count connections as established that were not.
        """
        if sample.viewpoints[self._scope.leg.opener].states_age_ns:
            return None
        self._last = sample
        if self._taken is None:
            self._taken = _Totals.of(sample, None, self._scope)
        return self._take() if sample.t_ns - self._start_ns > self._every_ns * 3 // 4 else None

    def rest(self) -> Interval | None:
        """The interval from the last one to the last sample, however short; None if there is none."""
        return self._take() if self._last is not None and self._last.t_ns > self._start_ns else None

    def _take(self) -> Interval:
        assert self._last is not None
        assert self._taken is not None
        before, now = self._taken, _Totals.of(self._last, self._taken, self._scope)
        client = self._last.viewpoints[self._scope.leg.opener]
        interval = Interval(
            start_ns=self._start_ns,
            end_ns=self._last.t_ns,
            opened=now.opened - before.opened,
            connected=now.connected - before.connected,
            in_flight=sum(client.count(state) for state in OPEN),
        )
        self._start_ns, self._taken = self._last.t_ns, now
        return interval
