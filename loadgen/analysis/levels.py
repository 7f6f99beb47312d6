"""The levels of a rate: the stretches over which it stayed the same, found where it changed.

Pure and deterministic. A level is a stretch of intervals whose rates differ by chance alone; a change is
where two levels meet. The segmentation is the optimal one for the sum of squared errors of the logarithm of
the rate, with a penalty for each change (optimal partitioning; Jackson et al., 2005; Killick et al., 2012).
Errors are measured in units of the noise, which is read off neighbouring intervals and is never taken for
less than what counting alone brings (Poisson).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_LENGTH = 3
"""Intervals that a level has at least: a pause of the machine is none."""
PENALTY = 4.0
"""The penalty of a change, in units of the noise's variance times the logarithm of the number of intervals.
2 would be that of the Bayesian criterion; noise in neighbouring intervals is not independent, so it is
doubled."""
LEAST_NOISE = 0.03
"""The least standard deviation of the logarithm of a rate: rates of a real run differ by some per cent."""
DOUBT = 2.0
"""By how much noise that was read off n differences is raised: by this over the root of n. It is about two
standard errors of their median."""
LEAST_STEP = 0.15
"""The least relative difference of neighbouring levels. What is smaller decides nothing."""
FLOOR_COUNT = 1.0
"""Added to each count: the logarithm of nothing is none."""

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """So many events from one instant to another."""

    start_ns: int
    end_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch over which the rate stayed the same.

    rate   the mean, per second
    low    and `high`: between them were most of its intervals (80 %)
    """

    start_ns: int
    end_ns: int
    rate: float
    low: float
    high: float

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


def levels(bins: Sequence[Bin]) -> list[Level]:
    """The levels of a rate, in their order: one if the bins are too few to show a change."""
    if not bins:
        return []
    counts = np.array([one.count for one in bins], dtype=np.float64)
    lengths_s = np.array([max(one.end_ns - one.start_ns, 1) for one in bins], dtype=np.float64) / 1e9
    logs = np.log((counts + FLOOR_COUNT) / lengths_s)
    weights = 1 / np.maximum(_noise(logs) ** 2, LEAST_NOISE**2) * np.ones(len(bins))
    weights = 1 / (1 / weights + 1 / (counts + FLOOR_COUNT))
    ends = _segment(logs, weights, PENALTY * np.log(max(len(bins), 2)))
    return _joined(bins, ends)


def _noise(logs: Vector) -> float:
    """The standard deviation of an interval, by the differences of neighbours, few of which are changes.

    Few neighbours may be alike by chance: the fewer there are, the more it may be too little.
    """
    if len(logs) < 2:
        return 0.0
    differences = np.abs(np.diff(logs))
    return float(np.median(differences)) * 1.4826 / np.sqrt(2) * (1 + DOUBT / np.sqrt(len(differences)))


def _segment(values: Vector, weights: Vector, penalty: float) -> list[int]:
    """The ends of the segments of the optimal partition, the last one included."""
    count = len(values)
    if count < 2 * LEAST_LENGTH:
        return [count]
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    first = np.concatenate([[0.0], np.cumsum(weights * values)])
    second = np.concatenate([[0.0], np.cumsum(weights * values**2)])
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    origin = np.zeros(count + 1, dtype=np.int64)
    for end in range(LEAST_LENGTH, count + 1):
        begins = np.arange(0, end - LEAST_LENGTH + 1)
        within = mass[end] - mass[begins]
        cost = second[end] - second[begins] - (first[end] - first[begins]) ** 2 / within
        total = best[begins] + cost + penalty
        chosen = int(np.argmin(total))
        best[end], origin[end] = total[chosen], begins[chosen]
    ends: list[int] = []
    end = count
    while end > 0:
        ends.append(end)
        end = int(origin[end])
    return ends[::-1]


def _joined(bins: Sequence[Bin], ends: Sequence[int]) -> list[Level]:
    """The levels of these segments; neighbours that hardly differ are one."""
    begins = [0, *ends[:-1]]
    segments = list(zip(begins, ends, strict=True))
    found = [_level(bins[begin:end]) for begin, end in segments]
    while len(found) > 1:
        steps = [
            abs(after.rate - before.rate) / max(after.rate, before.rate, 1e-9)
            for before, after in itertools.pairwise(found)
        ]
        least = int(np.argmin(steps))
        if steps[least] >= LEAST_STEP:
            break
        segments[least : least + 2] = [(segments[least][0], segments[least + 1][1])]
        begin, end = segments[least]
        found[least : least + 2] = [_level(bins[begin:end])]
    return found


def _level(bins: Sequence[Bin]) -> Level:
    rates = [one.count * 1e9 / max(one.end_ns - one.start_ns, 1) for one in bins]
    length_ns = sum(one.end_ns - one.start_ns for one in bins)
    low, high = np.quantile(rates, [0.1, 0.9]).tolist()
    mean = sum(one.count for one in bins) * 1e9 / max(length_ns, 1)
    return Level(bins[0].start_ns, bins[-1].end_ns, mean, low, high)
