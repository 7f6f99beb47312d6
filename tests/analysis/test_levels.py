"""The levels of a rate: one if it differs by chance alone, and as many as there are otherwise."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analysis.levels import LEAST_LENGTH, Bin, Level, levels
from tests.made_records import STEP, S


def binned(counts: Sequence[int]) -> list[Bin]:
    return [Bin(index * STEP, (index + 1) * STEP, count) for index, count in enumerate(counts)]


def counted(stretches: Sequence[tuple[int, float]], noise: float, seed: int) -> list[Bin]:
    """Stretches of (intervals, connections/s); each interval is off by `noise`, and by chance."""
    random = np.random.default_rng(seed)
    means = np.concatenate([np.full(count, per_s / 10) for count, per_s in stretches])
    means *= np.exp(random.normal(0, noise, len(means))) if noise else 1
    counts: list[int] = random.poisson(means).tolist()
    return binned(counts)


def check_whole(found: Sequence[Level], bins: Sequence[Bin]) -> None:
    """Levels follow each other from the first interval to the last, and hold what these held."""
    assert (found[0].start_ns, found[-1].end_ns) == (bins[0].start_ns, bins[-1].end_ns)
    assert [one.end_ns for one in found[:-1]] == [one.start_ns for one in found[1:]]
    total = sum(one.rate * one.length_ns for one in found) / 1e9
    assert total == pytest.approx(sum(one.count for one in bins))


def test_noise_is_one_level() -> None:
    random = np.random.default_rng(0)
    split: list[tuple[float, float, int]] = []
    for seed in range(400):
        per_s, noise = (
            float(random.choice([5, 50, 500, 5_000, 50_000])),
            float(random.choice([0, 0.05, 0.15])),
        )
        if len(levels(counted([(int(random.integers(5, 200)), per_s)], noise, seed))) > 1:
            split.append((per_s, noise, seed))
    assert split == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("before", "after"), [(16_000, 660), (1_320, 770), (1_000, 3_000), (500, 0)])
def test_a_change_makes_two(before: float, after: float, seed: int) -> None:
    bins = counted([(40, before), (30, after)], 0.05, seed)
    found = levels(bins)
    check_whole(found, bins)
    assert len(found) == 2
    assert found[0].end_ns == pytest.approx(4 * S, abs=STEP)
    assert found[0].rate == pytest.approx(before, rel=0.1)
    assert found[1].rate == pytest.approx(after, rel=0.1, abs=20)


@pytest.mark.parametrize("seed", range(10))
def test_three_stretches_are_three(seed: int) -> None:
    bins = counted([(40, 10_000), (20, 500), (40, 5_000)], 0.1, seed)
    found = levels(bins)
    assert [one.rate for one in found] == pytest.approx([10_000, 500, 5_000], rel=0.15)
    check_whole(found, bins)


def test_a_pause_is_no_level() -> None:
    for length in range(1, LEAST_LENGTH):
        counts = [100] * 50
        counts[20 : 20 + length] = [0] * length
        assert len(levels(binned(counts))) == 1


def test_a_small_step_is_none() -> None:
    assert len(levels(binned([1_000] * 50 + [900] * 50))) == 1
    assert len(levels(binned([1_000] * 50 + [800] * 50))) == 2


def test_most_intervals_lie_within_the_bounds_of_their_level() -> None:
    bins = counted([(100, 5_000)], 0.1, 0)
    (level,) = levels(bins)
    within = [level.low <= one.count * 10 <= level.high for one in bins]
    assert sum(within) == pytest.approx(80, abs=2)
    assert level.low < level.rate < level.high


def test_rates_count_and_not_lengths() -> None:
    lengths = [STEP, 3 * STEP, STEP // 2, 2 * STEP] * 10
    ends = np.cumsum([0, *lengths]).tolist()
    bins = [Bin(begin, end, (end - begin) * 1_000 // S) for begin, end in itertools.pairwise(ends)]
    (level,) = levels(bins)
    assert level.rate == pytest.approx(1_000, rel=0.01)


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_whatever_the_counts_levels_are_whole(counts: list[int]) -> None:
    bins = binned(counts)
    found = levels(bins)
    if not bins:
        assert found == []
    else:
        check_whole(found, bins)
        assert all(one.low <= one.high for one in found)
        assert len(found) <= max(len(bins) // LEAST_LENGTH, 1)
