"""A variant as a series of points: what its intervals counted, and what its samples saw beside them.

Pure. A run may last for a day, so points that hardly differ from their neighbours are merged once there are
many: where something changes, the series stays as fine as the records are.
"""

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from loadgen.records.types import Interval, Sample
from loadgen.tcp import NO_PORT

MOST_POINTS = 4_096
"""Points that are kept: seven minutes of intervals, each as it was recorded."""
LEAST_RATE = 10.0
"""Per second. Below this, rates are taken for alike: few events vary by chance."""


@dataclass(frozen=True, slots=True)
class Point:
    """One interval, or several that follow each other.

    connected      connections established; `most_per_s`: their rate in the fastest of its intervals
    attempts       calls of connect(); exchanges: responses; late: starts that were late; None if not measured
    in_flight      connections open at its end
    no_port        attempts that failed for want of a port, by errno; `no_port_ns`: when the first of them did
    connecting_ns  time inside connect(), over all load workers; None if not measured
    connect_ns     how long connect() took: the median, or, if it was not timed, the CPU time in the kernel
                   that the client's processes spent for each connection; None if neither is known
    held           ports that the client held at its end; None if not known
    most_held      the most ports that a sample within it saw in use; 0 if there was none
    """

    start_ns: int
    end_ns: int
    connected: int
    most_per_s: float
    attempts: int | None
    exchanges: int | None
    late: int
    in_flight: int
    no_port: int
    no_port_ns: int | None
    connecting_ns: int | None
    connect_ns: float | None
    held: float | None
    most_held: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def per_s(self) -> float:
        """Connections established per second."""
        return self.connected * 1e9 / self.length_ns if self.length_ns > 0 else 0.0

    def __add__(self, later: "Point") -> "Point":
        """This point and the one that follows it, as one."""
        return Point(
            start_ns=self.start_ns,
            end_ns=later.end_ns,
            connected=self.connected + later.connected,
            most_per_s=max(self.most_per_s, later.most_per_s),
            attempts=_added(self.attempts, later.attempts),
            exchanges=_added(self.exchanges, later.exchanges),
            late=self.late + later.late,
            in_flight=later.in_flight,
            no_port=self.no_port + later.no_port,
            no_port_ns=later.no_port_ns if self.no_port_ns is None else self.no_port_ns,
            connecting_ns=_added(self.connecting_ns, later.connecting_ns),
            connect_ns=_mean(self, later),
            held=later.held,
            most_held=max(self.most_held, later.most_held),
        )


def _added(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _mean(one: Point, other: Point) -> float | None:
    """The mean time of connect(), by the connections of each."""
    if one.connect_ns is None or other.connect_ns is None:
        return other.connect_ns if one.connect_ns is None else one.connect_ns
    weights = max(one.connected, 1), max(other.connected, 1)
    return (one.connect_ns * weights[0] + other.connect_ns * weights[1]) / sum(weights)


def points(intervals: Sequence[Interval], samples: Sequence[Sample], opener: str) -> list[Point]:
    """A point for each interval. `opener` is the viewpoint that the connections are opened from."""
    fresh = [
        (sample.t_ns, seen.ports_held)
        for sample in samples
        if not (seen := sample.viewpoints[opener]).states_age_ns and seen.ports_held is not None
    ]
    held_at_ns, held = [t_ns for t_ns, _ in fresh], [count for _, count in fresh]
    spent = [
        (sample.t_ns, spent_ns)
        for sample in samples
        if (spent_ns := sample.viewpoints[opener].cpu_system_ns) is not None
    ]
    spent_at_ns, spent_ns = [t_ns for t_ns, _ in spent], [value for _, value in spent]
    ends_ns = [one.end_ns for one in intervals]
    held_at_ends = np.interp(ends_ns, held_at_ns, held).tolist() if fresh else [None] * len(intervals)
    found: list[Point] = []
    for one, held_at_end in zip(intervals, held_at_ends, strict=True):
        first, after = bisect_left(held_at_ns, one.start_ns), bisect_left(held_at_ns, one.end_ns)
        length_ns = one.end_ns - one.start_ns
        found.append(
            Point(
                start_ns=one.start_ns,
                end_ns=one.end_ns,
                connected=one.connected,
                most_per_s=one.connected * 1e9 / length_ns if length_ns > 0 else 0.0,
                attempts=one.attempts,
                exchanges=one.exchanges,
                late=one.late or 0,
                in_flight=one.in_flight,
                no_port_ns=one.no_port_ns,
                no_port=sum(count for failure, count in (one.errors or {}).items() if failure in NO_PORT),
                connecting_ns=one.connecting_ns,
                connect_ns=_connect_ns(one, spent_at_ns, spent_ns),
                held=held_at_end,
                most_held=max(held[first:after], default=0),
            )
        )
    return found


def _connect_ns(one: Interval, at_ns: Sequence[int], spent_ns: Sequence[int]) -> float | None:
    if one.timed is not None or one.connect_p50_ns is not None:
        return one.connect_p50_ns
    if not one.connected or not at_ns:
        return None
    begun, ended = np.interp([one.start_ns, one.end_ns], at_ns, spent_ns).tolist()
    return (ended - begun) / one.connected


def thinned(series: Sequence[Point], most: int) -> list[Point]:
    """The series with at most so many points: neighbours that differ least are merged, long ones last."""
    kept = list(series)
    while len(kept) > most:
        costs = [_difference(one, other) for one, other in itertools.pairwise(kept)]
        order = sorted(range(len(costs)), key=costs.__getitem__)
        taken: set[int] = set()
        surplus = len(kept) - most
        for place in order[: max(len(order) // 2, 1)]:
            if len(taken) == surplus:
                break
            if place - 1 not in taken and place + 1 not in taken:
                taken.add(place)
        merged: list[Point] = []
        place = 0
        while place < len(kept):
            if place in taken:
                merged.append(kept[place] + kept[place + 1])
                place += 2
            else:
                merged.append(kept[place])
                place += 1
        kept = merged
    return kept


def _difference(one: Point, other: Point) -> float:
    """How much is lost if these two are one: how different they are, and how long they would be."""
    rates = abs(log(max(one.per_s, LEAST_RATE)) - log(max(other.per_s, LEAST_RATE)))
    connects = abs(log(max(one.connect_ns or 1.0, 1.0)) - log(max(other.connect_ns or 1.0, 1.0)))
    ports = 1.0 if bool(one.no_port) != bool(other.no_port) else 0.0
    return (rates + connects + ports + 0.01) * (one.length_ns + other.length_ns)


class Series:
    """The points of a variant, as its records come. What is kept does not grow with the run."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self.samples: list[Sample] = []
        self._settled: list[Point] = []

    @property
    def full(self) -> bool:
        return len(self.intervals) > MOST_POINTS or len(self.samples) > MOST_POINTS

    def points(self, opener: str) -> list[Point]:
        """All points so far."""
        return [*self._settled, *points(self.intervals, self.samples, opener)]

    def settle(self, opener: str) -> None:
        """Turn the older half of the intervals into points; drop every second of the older samples."""
        middle = len(self.samples) // 2
        until_ns = self.samples[middle].t_ns if self.samples else 0
        count = bisect_left(self.intervals, until_ns, key=lambda one: one.end_ns)
        older = points(self.intervals[:count], self.samples, opener)
        self._settled = thinned([*self._settled, *older], MOST_POINTS)
        self.intervals = self.intervals[count:]
        # The first two, the baseline and that of the load's begin, are what totals and means start from.
        self.samples = [*self.samples[:2], *self.samples[2:middle:2], *self.samples[middle:]]
