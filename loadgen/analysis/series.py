"""A variant as a series of points: what its intervals counted, and what its samples saw beside them.

Pure. A run may last for a day, so points that hardly differ from their neighbours are merged once there are
many: where something changes, the series stays as fine as the records are.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from loadgen.records.types import Interval, Sample
from loadgen.tcp import NO_PORT

MOST_POINTS = 4_096
"""Points that are kept: seven minutes of intervals, each as it was recorded."""
LEAST_RATE = 10.0
"""Per second. Below this, rates are taken for alike: few events vary by chance."""
LEAST_CHANGE = 0.01
"""In logarithms. What changes less counts as much as this: then shorter points are merged first."""
LASTING = 3
"""Points that a change lasts on either side, at least: a pause of the machine is none."""
STEADY = 0.98
"""The share of half of the ports that is still held after the crossing: they come and go."""
AROUND = 25
"""So many points before and after the crossing of half of the ports are never merged."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One interval, or several that follow each other.

    connected      connections established; `most_per_s`: their rate in the fastest of its intervals
    attempts       calls of connect(); exchanges: responses; late: starts that were late; None if not measured
    in_flight      connections open at its end
    no_port        attempts that failed for want of a port, by errno; `no_port_ns`: when the first of them did
    connecting_ns  time inside connect(), over all load workers; None if not measured
    clocked        calls of connect() that the CPU clock was read around; clocked_cpu_ns: what they used
    connect_ns     how long connect() took: the median, or, if it was not timed, the CPU time in the kernel
                   that the client's processes spent for each connection; None if neither is known
    held           ports that the client held at its end; None if not known
    most_held      the most ports that a sample within it saw in use; 0 if there was none
    most_held_ns   when that sample was taken
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
    clocked: int | None
    clocked_cpu_ns: int | None
    connect_ns: float | None
    held: float | None
    most_held: int
    most_held_ns: int

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
            clocked=_added(self.clocked, later.clocked),
            clocked_cpu_ns=_added(self.clocked_cpu_ns, later.clocked_cpu_ns),
            connect_ns=_mean(self, later),
            held=later.held,
            most_held=max(self.most_held, later.most_held),
            most_held_ns=max(self, later, key=lambda one: one.most_held).most_held_ns,
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
    held_at_ends: Sequence[float | None] = [None] * len(intervals)
    if fresh and intervals:
        # Between two samples ports are taken as connections are opened; if there are none, as time passes.
        opened = np.cumsum([0, *(one.connected for one in intervals)]).astype(np.float64)
        at_ns = [intervals[0].start_ns, *ends_ns]
        ends, sampled = (
            np.interp(times_ns, at_ns, opened) + np.array(times_ns) / 1e12
            for times_ns in (ends_ns, held_at_ns)
        )
        held_at_ends = np.interp(ends, sampled, held).tolist()
    found: list[Point] = []
    for one, held_at_end in zip(intervals, held_at_ends, strict=True):
        first, after = bisect_left(held_at_ns, one.start_ns), bisect_left(held_at_ns, one.end_ns)
        length_ns = one.end_ns - one.start_ns
        most = max(range(first, after), key=held.__getitem__, default=None)
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
                clocked=one.clocked,
                clocked_cpu_ns=one.clocked_cpu_ns,
                connect_ns=_connect_ns(one, spent_at_ns, spent_ns),
                held=held_at_end,
                most_held=0 if most is None else held[most],
                most_held_ns=one.end_ns if most is None else held_at_ns[most],
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


def crossing(series: Sequence[Point], ports: int) -> int | None:
    """The index of the first point at whose end more than half of the ports are held, and stay so."""
    half = ports / 2
    held = [0.0 if one.held is None else one.held for one in series]
    for index, count in enumerate(held):
        if count >= half and all(later >= STEADY * half for later in held[index + 1 : index + 1 + LASTING]):
            return index
    return None


def thinned(series: Sequence[Point], most: int, fine: Sequence[tuple[int, int]] = ()) -> list[Point]:
    """The series with at most so many points: neighbours that differ least are merged, long ones last.

    Points that meet within a span of `fine` stay apart, even if there are more of them.
    """
    kept = list(series)
    while len(kept) > most:
        costs = _costs(kept)
        for begin_ns, end_ns in fine:
            first = bisect_left(kept, begin_ns, key=lambda one: one.end_ns)
            after = bisect_right(kept, end_ns, key=lambda one: one.end_ns)
            costs[first:after] = np.inf
        order = [place for place in np.argsort(costs, kind="stable").tolist() if np.isfinite(costs[place])]
        taken: set[int] = set()
        for place in order[: max(len(order) // 2, 1)]:
            if len(taken) == len(kept) - most:
                break
            if place - 1 not in taken and place + 1 not in taken:
                taken.add(place)
        if not taken:
            break
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


def _costs(series: Sequence[Point]) -> Vector:
    """How much is lost if a point and the next are one, of each but the last: how long they would be, and how
    much changes there or near it. A change that lasts needs `LASTING` points on each side to be found."""
    rates = np.log([max(one.per_s, LEAST_RATE) for one in series])
    known, connects = 1.0, np.zeros(len(series))
    for index, one in enumerate(series):
        known = one.connect_ns or known
        connects[index] = log(max(known, 1.0))
    lacking = np.array([one.no_port > 0 for one in series], dtype=np.float64)
    changes = _steps(rates) + _steps(connects) + np.abs(np.diff(lacking))
    near = sliding_window_view(np.pad(changes, LASTING), 2 * LASTING + 1).max(axis=1)
    lengths = np.array([one.length_ns for one in series], dtype=np.float64)
    return (near**2 + LEAST_CHANGE**2) * (lengths[:-1] + lengths[1:])


def _steps(values: Vector) -> Vector:
    """By how much the median of some values differs from that of the next ones. One alone counts little."""
    medians = np.median(sliding_window_view(np.pad(values, LASTING - 1, mode="edge"), LASTING), axis=1)
    return np.abs(medians[LASTING:] - medians[:-LASTING])


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

    def settle(self, opener: str, ports: int, load_end_ns: int | None) -> None:
        """Turn older intervals into points; drop every second of the older samples if there are many.

        What is found at an instant stays as it was recorded: the crossing of half of the ports, and the end
        of the load, if it is known.
        """
        middle = len(self.samples) // 2 if len(self.samples) > MOST_POINTS else 0
        count = len(self.intervals) // 2 if len(self.intervals) > MOST_POINTS else 0
        if middle:
            until_ns = self.samples[middle].t_ns
            count = max(count, bisect_left(self.intervals, until_ns, key=lambda one: one.end_ns))
        # The last interval is kept: it shows that there was a load.
        count = min(count, max(len(self.intervals) - 1, 0))
        settled = [*self._settled, *points(self.intervals[:count], self.samples, opener)]
        self._settled = thinned(settled, MOST_POINTS, _fine(settled, ports, load_end_ns))
        self.intervals = self.intervals[count:]
        if middle:
            # The first two, the baseline and that of the load's begin, are what totals and means start from.
            self.samples = [*self.samples[:2], *self.samples[2:middle:2], *self.samples[middle:]]


def _fine(series: Sequence[Point], ports: int, load_end_ns: int | None) -> list[tuple[int, int]]:
    """The spans in which no points are merged."""
    found: list[tuple[int, int]] = []
    middle = crossing(series, ports)
    if middle is not None:
        near = series[max(middle - AROUND, 0) : middle + AROUND + 1]
        found.append((near[0].start_ns, near[-1].end_ns))
    if load_end_ns is not None:
        within = [one for one in series if one.start_ns <= load_end_ns < one.end_ns]
        found += [(one.start_ns, one.end_ns) for one in within]
    return found
