"""Schedules: exact where they are constant, statistical where they are random, always repeatable."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.drivers.arrivals import schedule
from loadgen.drivers.plan import Stage
from loadgen.scenario.choices import Arrivals

SECOND_NS = 1_000_000_000

BOTH = pytest.mark.parametrize("arrivals", Arrivals)


def starts(arrivals: Arrivals, rate: float, duration_ns: int, seed: int = 1) -> list[int]:
    return list(schedule(arrivals, [Stage(rate, duration_ns)], seed))


def gaps(seed: int, rate: float = 1000.0, seconds: int = 20) -> NDArray[np.int64]:
    return np.diff(np.array([0, *starts(Arrivals.POISSON, rate, seconds * SECOND_NS, seed)]))


@pytest.mark.parametrize("rate", [0.5, 1, 3, 7.7, 999.9, 12_345])
@pytest.mark.parametrize("seconds", [1, 4, 10])
def test_constant_is_rate_times_duration_without_drift(rate: float, seconds: int) -> None:
    found = starts(Arrivals.CONSTANT, rate, seconds * SECOND_NS)
    # The one at 0 counts, the one at the end does not: where they do not meet, the last gap is begun.
    assert len(found) == int(np.ceil(rate * seconds))
    # Each within a nanosecond of its own place, however many came before.
    assert max(abs(start - index / rate * 1e9) for index, start in enumerate(found)) <= 1


@BOTH
@pytest.mark.parametrize("rate", [0.1, 10, 50_000])
def test_starts_ascend_within_the_duration(arrivals: Arrivals, rate: float) -> None:
    found = starts(arrivals, rate, SECOND_NS)
    assert all(0 <= start < SECOND_NS for start in found)
    assert all(earlier <= later for earlier, later in pairwise(found))
    assert all(isinstance(start, int) for start in found)


@BOTH
def test_no_time_no_arrivals(arrivals: Arrivals) -> None:
    assert starts(arrivals, 1e6, 0) == []


@BOTH
def test_a_longer_load_begins_like_a_shorter_one(arrivals: Arrivals) -> None:
    shorter, longer = (starts(arrivals, 9000, seconds * SECOND_NS) for seconds in (1, 2))
    assert longer[: len(shorter)] == shorter
    assert len(longer) > len(shorter)


def test_the_seed_alone_decides_about_poisson() -> None:
    assert np.array_equal(gaps(seed=5), gaps(seed=5))
    assert not np.array_equal(gaps(seed=5)[:10], gaps(seed=6)[:10])


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_are_exponential(seed: int) -> None:
    """Five standard errors on every side: a right schedule fails once in two million."""
    rate, found = 1000.0, gaps(seed)
    mean_ns, count = 1e9 / rate, len(found)
    tolerance = 5 / np.sqrt(count)
    assert found.mean() == pytest.approx(mean_ns, rel=tolerance)
    # Exponential: the deviation equals the mean, and exp(-x) of the gaps are longer than x means.
    assert found.std() / found.mean() == pytest.approx(1, abs=2 * tolerance)
    for means in (0.1, 1.0, 3.0):
        assert (found > means * mean_ns).mean() == pytest.approx(np.exp(-means), abs=tolerance)


@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_do_not_depend_on_each_other(seed: int) -> None:
    found = gaps(seed).astype(float)
    assert np.corrcoef(found[:-1], found[1:])[0, 1] == pytest.approx(0, abs=5 / np.sqrt(len(found)))


def test_poisson_counts_scatter_as_they_should() -> None:
    """The number that arrives in a fixed time is Poisson: its variance is its mean."""
    counts = np.array([len(starts(Arrivals.POISSON, 100, SECOND_NS, seed)) for seed in range(400)])
    assert counts.mean() == pytest.approx(100, abs=5 * 10 / np.sqrt(400))
    assert counts.var() / counts.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 400))


# Stages


def staged(arrivals: Arrivals, *stages: tuple[float, float], seed: int = 1) -> list[int]:
    """Starts over stages of a rate and a length in seconds."""
    return list(schedule(arrivals, [Stage(rate, round(length * SECOND_NS)) for rate, length in stages], seed))


@BOTH
def test_a_border_between_equal_rates_changes_nothing(arrivals: Arrivals) -> None:
    whole = starts(arrivals, 333.3, 3 * SECOND_NS)
    parts = staged(arrivals, (333.3, 0.7), (333.3, 1.3), (333.3, 1.0))
    assert len(parts) == len(whole)
    assert max(abs(one - other) for one, other in zip(parts, whole, strict=True)) <= 1


def test_each_stage_has_its_rate_and_a_gap_over_a_border_is_of_both() -> None:
    found = staged(Arrivals.CONSTANT, (100, 1), (10, 1), (1000, 0.5))
    assert [
        sum(low <= start < high for start in found)
        for low, high in pairwise((0, 10**9, 2 * 10**9, 25 * 10**8))
    ] == [100, 10, 500]
    # Half of a gap of the first rate is left at this border: half of one of the second follows.
    found = staged(Arrivals.CONSTANT, (10, 0.15), (1, 3))
    assert found == [0, 100_000_000, 650_000_000, 1_650_000_000, 2_650_000_000]
    assert all(gap > 0 for gap in np.diff(found))


@BOTH
def test_a_stage_of_no_rate_delays_what_follows_and_loses_none_of_it(arrivals: Arrivals) -> None:
    with_pause = staged(arrivals, (200, 1.25), (0, 60), (200, 2))
    without = staged(arrivals, (200, 1.25), (200, 2))
    border = round(1.25e9)
    moved = [start + (60 * SECOND_NS if start >= border else 0) for start in without]
    assert len(with_pause) == len(moved)
    assert max(abs(one - other) for one, other in zip(with_pause, moved, strict=True)) <= 1
    assert not [start for start in with_pause if border <= start < border + 60 * SECOND_NS]


def test_a_load_that_begins_without_a_rate_makes_no_burst_when_it_gets_one() -> None:
    found = staged(Arrivals.CONSTANT, (0, 5), (4, 1))
    assert found == [5_000_000_000, 5_250_000_000, 5_500_000_000, 5_750_000_000]
    assert staged(Arrivals.CONSTANT, (0, 5)) == []


@pytest.mark.parametrize("seed", range(3))
def test_poisson_arrivals_have_the_rate_of_each_stage(seed: int) -> None:
    found = np.array(staged(Arrivals.POISSON, (1000, 5), (100, 20), (4000, 2), seed=seed))
    for low, high, expected in ((0, 5, 5000), (5, 25, 2000), (25, 27, 8000)):
        number = int(((found >= low * SECOND_NS) & (found < high * SECOND_NS)).sum())
        assert number == pytest.approx(expected, abs=5 * np.sqrt(expected))
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("burst", [2, 7, 50])
def test_a_burst_arrives_at_one_instant_and_the_rate_is_the_mean(burst: int) -> None:
    found = list(schedule(Arrivals.BURSTS, [Stage(100, 14 * SECOND_NS)], 1, burst))
    assert len(found) == 1_400
    instants = [index * burst / 100 * 1e9 for index in range(1_400 // burst)]
    expected = [instant for instant in instants for _ in range(burst)]
    assert max(abs(one - other) for one, other in zip(found, expected, strict=True)) <= 1
