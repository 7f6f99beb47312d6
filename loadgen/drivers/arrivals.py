"""When requests should start in an open loop: intended start times, computed before any is made.

Pure: a schedule is a function of its parameters alone, so that the same seed offers the same load.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np

from loadgen.drivers.plan import Stage
from loadgen.scenario.choices import Arrivals

_BATCH = 4096


def schedule(arrivals: Arrivals, stages: Sequence[Stage], seed: int, burst: int = 1) -> Iterator[int]:
    """Intended starts in ns since the load began, ascending, all within the stages; levels are rates per
    second.

    An arrival is due when the rates have added up to its place: the gap that spans a border is partly of one
    rate and partly of the next, so that no border makes a burst or loses a start. Those of a burst are due
    together, at the place of the first.
    """
    places = _places(arrivals, seed, burst)
    place = next(places)
    begin_ns, passed = 0, 0.0
    for stage in stages:
        end_ns = begin_ns + stage.length_ns
        while stage.level:
            # From the stage's begin, not from the arrival before: a sum of rounded gaps drifts.
            start_ns = begin_ns + max(round((place - passed) * 1e9 / stage.level), 0)
            if start_ns >= end_ns:
                break
            yield start_ns
            place = next(places)
        begin_ns, passed = end_ns, passed + stage.level * stage.length_ns / 1e9


def _places(arrivals: Arrivals, seed: int, burst: int) -> Iterator[float]:
    match arrivals:
        case Arrivals.CONSTANT:
            return map(float, count())
        case Arrivals.POISSON:
            return _random(seed)
        case Arrivals.BURSTS:
            return (float(number - number % burst) for number in count())


def _random(seed: int) -> Iterator[float]:
    """Places of a Poisson process at a rate of 1."""
    random = np.random.default_rng(seed)
    passed = 0.0
    while True:
        places = passed + np.cumsum(random.exponential(1.0, _BATCH))
        passed = float(places[-1])
        yield from places.tolist()
