"""When requests should start in an open loop: intended start times, computed before any is made.

Pure: a schedule is a function of its parameters alone, so that the same seed offers the same load.
"""

from collections.abc import Iterator

import numpy as np

from loadgen.scenario.choices import Arrivals

_BATCH = 4096


def schedule(arrivals: Arrivals, rate: float, duration_ns: int, seed: int) -> Iterator[int]:
    """Intended starts in ns since the load began, ascending, all before `duration_ns`; rate is per second."""
    match arrivals:
        case Arrivals.CONSTANT:
            yield from _constant(rate, duration_ns)
        case Arrivals.POISSON:
            yield from _poisson(rate, duration_ns, seed)


def _constant(rate: float, duration_ns: int) -> Iterator[int]:
    index = 0
    # Multiplied, not added up: a sum of rounded gaps drifts.
    while (start_ns := round(index * 1e9 / rate)) < duration_ns:
        yield start_ns
        index += 1


def _poisson(rate: float, duration_ns: int, seed: int) -> Iterator[int]:
    random = np.random.default_rng(seed)
    elapsed = 0.0
    while True:
        starts = elapsed + np.cumsum(random.exponential(1e9 / rate, _BATCH))
        elapsed = float(starts[-1])
        for start in starts.tolist():
            if start >= duration_ns:
                return
            yield int(start)
