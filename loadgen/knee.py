"""Where throughput falls: the knee in a run's records, and the moment the ports are gone.

Pure. The knee is found in the rate alone, so that it can refute the model: ports are read off only
where the rate has told when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loadgen.records import Interval, Sample
from loadgen.tcp import Failure, Phase, Side

LEAST_FALL = 3.0
"""A knee is a fall of the rate to a third or less: noise on a shared machine stays well below."""
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
    """The instant at which the rate fell, the client's ports held then, and the rates on both sides of it."""

    time_ns: int
    ports: int
    rate_before: float
    rate_after: float


def rate(interval: Interval) -> float:
    """Established connections per second."""
    length_ns = interval.end_ns - interval.start_ns
    return interval.connected * 1e9 / length_ns if length_ns > 0 else 0.0


def knee(intervals: Sequence[Interval], samples: Sequence[Sample]) -> Knee | None:
    """The deepest lasting fall of the connection rate, None where there is none.

    The interval that holds the knee ran partly at the rate before and partly at the one after, so its
    count tells when within it the rate changed: this is finer than the interval.
    """
    rates = [rate(interval) for interval in intervals]
    best: tuple[float, int] | None = None
    for index in range(1, len(intervals) - LASTING):
        after = rates[index + 1 : index + 1 + LASTING]
        if any(EXHAUSTED & later.errors.keys() for later in intervals[index : index + 1 + LASTING]):
            break
        fall = rates[index - 1] / max(median(after), 1.0)
        if max(after) * LEAST_FALL <= rates[index - 1] and (best is None or fall > best[0]):
            best = fall, index
    if best is None:
        return None
    index = best[1]
    before, after = rates[index - 1], median(rates[index + 1 : index + 1 + LASTING])
    mixed = intervals[index]
    length_s = (mixed.end_ns - mixed.start_ns) / 1e9
    fast_s = min(max((mixed.connected - after * length_s) / (before - after), 0.0), length_s)
    time_ns = mixed.start_ns + round(fast_s * 1e9)
    held = _held_at(mixed.start_ns, before, samples)
    return None if held is None else Knee(time_ns, round(held + before * fast_s), before, after)


def _held_at(time_ns: int, rate_before: float, samples: Sequence[Sample]) -> float | None:
    """The client's ports held at an instant: the nearest sample before the fall, carried on at the rate."""
    nearest = min(samples, key=lambda sample: abs(sample.t_ns - time_ns), default=None)
    if nearest is None or Side.CLIENT not in nearest.sides:
        return None
    return nearest.sides[Side.CLIENT].ports_held + rate_before * (time_ns - nearest.t_ns) / 1e9


def exhaustion_ns(intervals: Sequence[Interval]) -> int | None:
    """The begin of the first interval in which a connection found no port, None where there is none."""
    return next((interval.start_ns for interval in intervals if EXHAUSTED & interval.errors.keys()), None)
