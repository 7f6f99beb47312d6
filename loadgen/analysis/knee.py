"""Where throughput falls: the knee in a run's records, and the moment the ports are gone.

Pure. The knee is found in the rate and in the time of connect() alone, so that it can refute the model: the
ports are looked up for the instant that was found. Intervals are judged one by one: a run may be long.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import numpy as np

from loadgen.analysis.window import LASTING, Window
from loadgen.records.types import Interval
from loadgen.tcp import NO_PORT

LEAST_FALL = 1.5
"""A knee is a fall of the rate to two thirds or less. It may be as small as that: connections that are kept
for many requests lose little by a slow connect()."""
LEAST_SLOWING = 5.0
"""At a knee connect() itself becomes slower (K8), tens of times. It does not if the rate falls because a
server stalls or the machine is shared, or because connections are kept and few are opened."""
MOST_UNSTEADY = 2.0
"""After a knee, the rates differ by less than this factor. They do not if the rate changes again, or if the
first interval begins before the fall."""
LEAST_RATE = 100.0
"""Connections/s; a lower rate counts as this one: ten an interval or fewer vary by chance."""


@dataclass(frozen=True, slots=True)
class Knee:
    """The instant at which the rate fell, the client's ports held then, and the mean rates before it and
    after it, until the ports are gone."""

    time_ns: int
    ports: int
    rate_before: float
    rate_after: float


def rate(interval: Interval) -> float:
    """Established connections per second."""
    length_ns = interval.end_ns - interval.start_ns
    return interval.connected * 1e9 / length_ns if length_ns > 0 else 0.0


def mean_rate(intervals: Sequence[Interval]) -> float:
    """Established connections per second over a stretch of intervals; 0 if it has no length."""
    return Stretch(sum(one.connected for one in intervals), sum(map(_length_ns, intervals))).rate


@dataclass(frozen=True, slots=True)
class Stretch:
    """How many connections were established in how long a time."""

    connected: int = 0
    length_ns: int = 0

    def __add__(self, one: Interval) -> "Stretch":
        return Stretch(self.connected + one.connected, self.length_ns + _length_ns(one))

    def __sub__(self, other: "Stretch") -> "Stretch":
        return Stretch(self.connected - other.connected, self.length_ns - other.length_ns)

    @property
    def rate(self) -> float:
        """Established connections per second; 0 if it has no length."""
        return self.connected * 1e9 / self.length_ns if self.length_ns > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Fall:
    """A lasting fall of the rate: the factor, the instant and the ports held, None if those are not known;
    and the sum of all intervals before the one with the fall, and up to it."""

    factor: float
    time_ns: int
    ports: int | None
    before: Stretch
    upto: Stretch


class KneeFinder:
    """Finds the deepest lasting fall of the connection rate that connect() explains.

    It is given each interval under load in turn. The interval with the knee ran partly at the rate before and
    partly at the rate after, so its count shows when within it the rate changed. A knee within the first
    interval has no rate before it, and is placed at the end of that interval or not found. None is found
    across a gap: the parts between gaps are judged one by one.
    """

    def __init__(self) -> None:
        self._part = _Part()
        self._found: list[Knee] = []
        self._before: Sequence[Interval] = ()
        """The last intervals before the gap that the present part follows."""
        self._turns_ns: list[tuple[int, int]] = []
        self._turn_ns: tuple[int, int] | None = None

    def judge(self, window: Window, index: int) -> None:
        """Take in the next interval: the one at this index of the window."""
        if window.blind[index]:
            self._end_part(window, index)
            return
        self._part.judge(window, index)
        if self._before and self._part.count <= LASTING:
            after = window.intervals[index - self._part.count + 1 : index + 1]
            falling = falls(self._before, after, window)
            self._turn_ns = (self._before[-1].end_ns, after[0].start_ns) if falling else None

    def knee(self) -> Knee | None:
        """The deepest knee so far, None if there is none."""
        last = self._part.knee()
        found = [*self._found, *([last] if last else [])]
        return max(found, key=lambda one: one.rate_before / max(one.rate_after, LEAST_RATE), default=None)

    @property
    def turns_ns(self) -> list[tuple[int, int]]:
        """Spans of gaps across which the rate falls as it does at a knee."""
        return [*self._turns_ns, *([self._turn_ns] if self._turn_ns else [])]

    def _end_part(self, window: Window, index: int) -> None:
        """End the present part at the beginning of a gap."""
        if not self._part.count:
            return
        if (knee := self._part.knee()) is not None:
            self._found.append(knee)
        self._turns_ns, self._turn_ns = self.turns_ns, None
        self._before = window.intervals[max(index - min(self._part.count, LASTING), 0) : index]
        self._part = _Part()


class _Part:
    """A part of the load between two gaps, and the deepest knee in it."""

    def __init__(self) -> None:
        self.count = 0
        self._total = Stretch()
        self._gone: Stretch | None = None
        self._over = False
        self._deepest: _Fall | None = None

    def judge(self, window: Window, index: int) -> None:
        one = window.intervals[index]
        if self.count and self._gone is None and out_of_ports(one):
            self._gone = self._total
        if self.count and not self._over:
            self._look(window, index)
        self._total += one
        self.count += 1

    def knee(self) -> Knee | None:
        fall = self._deepest
        if fall is None or fall.ports is None:
            return None
        after = (self._gone or self._total) - fall.upto
        return Knee(fall.time_ns, fall.ports, fall.before.rate, after.rate)

    def _look(self, window: Window, index: int) -> None:
        """Whether the rate falls within this interval, deeper than before, and stays down."""
        ahead = slice(index + 1, index + 1 + LASTING)
        mixed, later = window.intervals[index], window.intervals[ahead]
        if len(later) < LASTING or any(window.blind[ahead]):
            return
        if any(map(out_of_ports, (mixed, *later))):
            self._over = True
            return
        earlier = window.intervals[index - min(self.count, LASTING) : index]
        before, after = [rate(one) for one in earlier], [rate(one) for one in later]
        factor = before[-1] / max(LEAST_RATE, *after)
        if (self._deepest is None or factor > self._deepest.factor) and falls(earlier, later, window):
            fast, slow, length_s = median(before), median(after), _length_ns(mixed) / 1e9
            fast_s = min(max((mixed.connected - slow * length_s) / (fast - slow), 0.0), length_s)
            time_ns = mixed.start_ns + round(fast_s * 1e9)
            ports = _held(round(fast * fast_s), mixed, window)
            self._deepest = _Fall(factor, time_ns, ports, self._total, self._total + mixed)


def falls(before: Sequence[Interval], after: Sequence[Interval], window: Window) -> bool:
    """Whether the rate is lower, steadily, in one stretch than in the one before, and connect() is slow."""
    rates = [max(LEAST_RATE, rate(interval)) for interval in after]
    return (
        max(rates) <= MOST_UNSTEADY * min(rates)
        and median(map(rate, before)) >= max(rates) * LEAST_FALL
        and _slows(before, after, window)
    )


def _slows(before: Sequence[Interval], after: Sequence[Interval], window: Window) -> bool:
    """Whether connect() takes much longer in one stretch than in the one before."""
    fast, slow = _connect_ns(before, window), _connect_ns(after, window)
    return fast is not None and slow is not None and slow >= LEAST_SLOWING * fast


def _connect_ns(stretch: Sequence[Interval], window: Window) -> float | None:
    """How long connect() takes: the median; or, if a command makes the load, the client's time in the kernel
    for each connection, for connect() is not timed then; None if neither is known."""
    timed = [one.connect_p50_ns for one in stretch if one.connect_p50_ns is not None]
    if timed:
        return median(timed)
    connected = sum(one.connected for one in stretch)
    if not connected or not window.samples or stretch[0].timed is not None:
        return None
    begin_ns, end_ns = stretch[0].start_ns, stretch[-1].end_ns
    # The samples from the last one before the stretch to the first one after it.
    first = max(bisect_right(window.times_ns, begin_ns) - 1, 0)
    around = slice(first, max(bisect_left(window.times_ns, end_ns) + 1, first + 1))
    spent_ns = [sample.viewpoints[window.opener].cpu_system_ns or 0 for sample in window.samples[around]]
    begun, ended = np.interp([begin_ns, end_ns], window.times_ns[around], spent_ns).tolist()
    return (ended - begun) / connected


def _held(fast: int, mixed: Interval, window: Window) -> int | None:
    """The client's ports held when `fast` connections of the mixed interval were made.

    They grow from the last sample before the interval to the first one after it, with each connection.
    """
    before, after = window.sample_before(mixed.start_ns), window.sample_after(mixed.end_ns)
    if before is None or after is None:
        return None
    times_ns = [window.intervals[0].start_ns, *(one.end_ns for one in window.intervals)]
    opened = [0, *accumulate(one.connected for one in window.intervals)]
    first, begun, last = np.interp([before.t_ns, mixed.start_ns, after.t_ns], times_ns, opened).tolist()
    share = (begun + fast - first) / (last - first) if last > first else 0.0
    held = [sample.viewpoints[window.opener].ports_held or 0 for sample in (before, after)]
    return round(held[0] + share * (held[1] - held[0]))


def _length_ns(interval: Interval) -> int:
    return interval.end_ns - interval.start_ns


def exhaustion_ns(intervals: Sequence[Interval]) -> int | None:
    """The instant of the first failure for want of a port, None if there is none.

    Records of an earlier churn lack it: then it is the begin of the interval.
    """
    for one in intervals:
        if out_of_ports(one):
            return one.start_ns if one.no_port_ns is None else one.no_port_ns
    return None


def out_of_ports(interval: Interval) -> bool:
    """Whether a connection found no port in this interval."""
    return bool(interval.errors and NO_PORT & interval.errors.keys())
