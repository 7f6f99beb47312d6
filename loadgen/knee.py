"""Where throughput falls: the knee in a run's records, and the moment the ports are gone.

Pure. The knee is found in the rate and in connect()'s own time, so that it can refute the model: ports
are read off only where these have told when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import numpy as np

from loadgen.records import Interval, Sample
from loadgen.tcp import Failure, Phase, Side

LEAST_FALL = 1.5
"""A knee is a fall of the rate to two thirds or less. It may be this shallow: connections that are kept
for many requests lose little by a slow connect()."""
LEAST_SLOWING = 5.0
"""At a knee connect() itself becomes slow (K8), tens of times. It does not where the rate falls because
a server stalls or the machine is shared, or because connections are kept and few are opened."""
MOST_UNSTEADY = 2.0
"""After a knee no rate is this many times another: an interval in which the rate changes again is, and so
is one that begins before the fall."""
LEAST_RATE = 100.0
"""Connections/s below which a rate counts as this: ten an interval or fewer come and go by chance."""
LASTING = 3
"""Intervals that the rate must stay down for: a pause of the machine is no knee."""

EXHAUSTED = frozenset(
    {
        Failure(Phase.CONNECT, "EADDRNOTAVAIL"),
        Failure(Phase.CONNECT, "EADDRINUSE"),
        Failure(Phase.BIND, "EADDRINUSE"),
    }
)
"""How a client finds its ports gone: at connect, or at bind where that takes the port (K10)."""


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
    """Established connections per second over a stretch of intervals; 0 where it has no length."""
    length_ns = sum(one.end_ns - one.start_ns for one in intervals)
    return sum(one.connected for one in intervals) * 1e9 / length_ns if length_ns > 0 else 0.0


def knee(intervals: Sequence[Interval], samples: Sequence[Sample]) -> Knee | None:
    """The deepest lasting fall of the connection rate that connect() explains, None where there is none.

    The interval that holds the knee ran partly at the rate before and partly at the one after, so its
    count tells when within it the rate changed: this is finer than the interval. A knee within the
    very first interval has no rate before it, and is taken for its end or not found.
    """
    index = _fall(intervals, samples)
    if index is None:
        return None
    before = median(map(rate, intervals[max(index - LASTING, 0) : index]))
    after = median(map(rate, intervals[index + 1 : index + 1 + LASTING]))
    mixed = intervals[index]
    length_s = (mixed.end_ns - mixed.start_ns) / 1e9
    fast_s = min(max((mixed.connected - after * length_s) / (before - after), 0.0), length_s)
    time_ns = mixed.start_ns + round(fast_s * 1e9)
    ports = _held(round(before * fast_s), mixed, intervals, samples)
    if ports is None:
        return None
    gone = next((one for one in range(index, len(intervals)) if out_of_ports(intervals[one])), len(intervals))
    return Knee(time_ns, ports, mean_rate(intervals[:index]), mean_rate(intervals[index + 1 : gone]))


def _fall(intervals: Sequence[Interval], samples: Sequence[Sample]) -> int | None:
    """The interval within which the rate falls the most, and stays down; None where it nowhere does."""
    rates = [rate(interval) for interval in intervals]
    deepest: tuple[float, int] | None = None
    for index in range(1, len(intervals) - LASTING):
        later = slice(index + 1, index + 1 + LASTING)
        if any(map(out_of_ports, intervals[index : later.stop])):
            break
        if not falls(intervals[max(index - LASTING, 0) : index], intervals[later], samples):
            continue
        fall = rates[index - 1] / max(LEAST_RATE, *rates[later])
        if deepest is None or fall > deepest[0]:
            deepest = fall, index
    return None if deepest is None else deepest[1]


def falls(before: Sequence[Interval], after: Sequence[Interval], samples: Sequence[Sample]) -> bool:
    """Whether the rate is lower, steadily, in one stretch than in the one before, and connect() is slow."""
    rates = [max(LEAST_RATE, rate(interval)) for interval in after]
    return (
        max(rates) <= MOST_UNSTEADY * min(rates)
        and median(map(rate, before)) >= max(rates) * LEAST_FALL
        and _slows(before, after, samples)
    )


def _slows(before: Sequence[Interval], after: Sequence[Interval], samples: Sequence[Sample]) -> bool:
    """Whether connect() takes much longer in one stretch than in the one before."""
    fast, slow = _connect_ns(before, samples), _connect_ns(after, samples)
    return fast is not None and slow is not None and slow >= LEAST_SLOWING * fast


def _connect_ns(stretch: Sequence[Interval], samples: Sequence[Sample]) -> float | None:
    """How long connect() takes: its median, or where a command drives and nobody timed it, the client's time
    in the kernel for each connection; None where nothing tells."""
    timed = [one.connect_p50_ns for one in stretch if one.connect_p50_ns is not None]
    if timed:
        return median(timed)
    connected = sum(one.connected for one in stretch)
    if not connected or not samples or not stretch[0].by_kernel:
        return None
    times_ns = [sample.t_ns for sample in samples]
    spent_ns = [sample.sides[Side.CLIENT].cpu_system_ns for sample in samples]
    begun, ended = np.interp([stretch[0].start_ns, stretch[-1].end_ns], times_ns, spent_ns).tolist()
    return (ended - begun) / connected


def _held(fast: int, mixed: Interval, intervals: Sequence[Interval], samples: Sequence[Sample]) -> int | None:
    """The client's ports held when `fast` connections of the mixed interval were made.

    They grow from the last sample before the interval to the first one after it, with each connection.
    """
    before = next((sample for sample in reversed(samples) if sample.t_ns <= mixed.start_ns), None)
    after = next((sample for sample in samples if sample.t_ns >= mixed.end_ns), None)
    if before is None or after is None:
        return None
    times_ns = [intervals[0].start_ns, *(one.end_ns for one in intervals)]
    opened = [0, *accumulate(one.connected for one in intervals)]
    first, begun, last = np.interp([before.t_ns, mixed.start_ns, after.t_ns], times_ns, opened).tolist()
    share = (begun + fast - first) / (last - first) if last > first else 0.0
    held = [sample.sides[Side.CLIENT].ports_held for sample in (before, after)]
    return round(held[0] + share * (held[1] - held[0]))


def exhaustion_ns(intervals: Sequence[Interval]) -> int | None:
    """The begin of the first interval in which a connection found no port, None where there is none."""
    return next((interval.start_ns for interval in intervals if out_of_ports(interval)), None)


def out_of_ports(interval: Interval) -> bool:
    """Whether a connection found no port in this interval."""
    return bool(EXHAUSTED & interval.errors.keys())
