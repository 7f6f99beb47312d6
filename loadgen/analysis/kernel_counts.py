"""Intervals made from samples, if a command makes the load: the kernel's counters of both ends. Pure.

Interval by interval these are differences of cumulative counts, so their sums are the counts of the whole.
How connections ended is known for the whole run only (`explanation`).

A program that gives up in SYN-SENT moves no counter of the client's kernel: of its attempts the client's
counters alone would make connections. So there are as many at most as the server's kernel has established,
and those whose last ACK of the handshake a full accept queue may have dropped (ListenOverflows).
"""

from dataclasses import dataclass

from loadgen.records.types import Interval, Sample
from loadgen.records.viewpoints import APART, Scope
from loadgen.tcp import State

OPEN = (State.SYN_SENT, State.ESTABLISHED, State.CLOSE_WAIT)
"""States of a connection that its application has not closed."""


@dataclass(frozen=True, slots=True)
class _Totals:
    """What was counted from the creation of the namespaces to one sample.

    `held` are attempts that neither wait nor failed; `accepted` bounds the connections among them, None if
    the server's kernel is not seen.
    """

    opened: int
    held: int
    accepted: int | None

    @classmethod
    def of(cls, sample: Sample, scope: Scope) -> "_Totals":
        client = sample.viewpoints[scope.leg.opener]
        opened = client.counters.get("ActiveOpens", 0)
        held = opened - client.counters.get("AttemptFails", 0) - client.count(State.SYN_SENT)
        server = sample.viewpoints.get(scope.leg.accepter)
        passive = None if server is None else server.counters.get("PassiveOpens")
        if server is None or passive is None:
            return cls(opened, held, None)
        return cls(opened, held, passive + server.counters.get("ListenOverflows", 0))

    def connected(self, base: "_Totals") -> int:
        """Connections established since another sample."""
        held = self.held - base.held
        if self.accepted is None or base.accepted is None:
            return held
        return min(held, self.accepted - base.accepted)


class KernelCounts:
    """Makes intervals of about `every_ns`, the first from the origin on, counted from the baseline.

    They count the connections of the first leg of the `scope`.
    """

    def __init__(self, every_ns: int, scope: Scope = APART) -> None:
        self._every_ns = every_ns
        self._scope = scope
        self._start_ns = 0
        self._base: _Totals | None = None
        self._opened = 0
        self._connected = 0
        self._last: Sample | None = None

    def add(self, sample: Sample) -> Interval | None:
        """The interval that ends with this sample, if it is long enough for a rate.

        None ends with a sample that repeats the states of an earlier one: with newer counters, those would
        count connections as established that were not.
        """
        if sample.viewpoints[self._scope.leg.opener].states_age_ns:
            return None
        self._last = sample
        if self._base is None:
            self._base = _Totals.of(sample, self._scope)
            self._opened = self._base.opened
        return self._take() if sample.t_ns - self._start_ns > self._every_ns * 3 // 4 else None

    def rest(self) -> Interval | None:
        """The interval from the last one to the last sample, however short; None if there is none."""
        return self._take() if self._last is not None and self._last.t_ns > self._start_ns else None

    def _take(self) -> Interval:
        assert self._last is not None
        assert self._base is not None
        now = _Totals.of(self._last, self._scope)
        # States are read an instant before the counters: a count of both may step back by a few.
        connected = max(now.connected(self._base), self._connected)
        client = self._last.viewpoints[self._scope.leg.opener]
        interval = Interval(
            start_ns=self._start_ns,
            end_ns=self._last.t_ns,
            opened=now.opened - self._opened,
            connected=connected - self._connected,
            in_flight=sum(client.count(state) for state in OPEN),
        )
        self._start_ns = self._last.t_ns
        self._opened, self._connected = now.opened, connected
        return interval
