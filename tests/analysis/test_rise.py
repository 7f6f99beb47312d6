"""How a count of sockets that stay rises: made counts of each form, with what passes beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analysis.rise import LASTING_NS, Form, rise

S = 1_000_000_000
STEP = S // 10
LENGTH = 120
TIMES = [index * STEP for index in range(LENGTH)]
INDEX = np.arange(LENGTH)

seeds = st.integers(0, 2**32 - 1)


def passing(seed: int, most: int) -> np.ndarray:
    """Sockets that are on their way through a state as a sample is taken."""
    return np.random.default_rng(seed).integers(0, most + 1, LENGTH)


def of(counts: np.ndarray) -> Form | None:
    found = rise(TIMES, [int(count) for count in counts])
    return None if found is None else found.form


@given(seed=seeds, per_step=st.integers(1, 200), start=st.integers(0, 60), noise=st.integers(0, 10))
def test_a_leak_is_a_line_whatever_passes_beside_it(seed: int, per_step: int, start: int, noise: int) -> None:
    leaked = np.maximum(INDEX - start, 0) * per_step
    found = rise(TIMES, [int(count) for count in leaked + passing(seed, noise * per_step // 4)])
    assert found is not None
    assert found.form is Form.LINE
    assert found.per_s == pytest.approx(10 * per_step, rel=0.25)
    assert abs(found.start_ns - start * STEP) <= 8 * STEP
    assert found.sockets >= leaked[LENGTH - 1 - LASTING_NS // STEP]


@given(seed=seeds, mean=st.floats(0.2, 5))
def test_a_leak_at_random_instants_is_a_line(seed: int, mean: float) -> None:
    assert of(np.cumsum(np.random.default_rng(seed).poisson(mean, LENGTH))) is Form.LINE


@given(
    seed=seeds,
    moments=st.lists(st.integers(0, 9), min_size=2, max_size=8, unique=True),
    size=st.integers(20, 500),
    length=st.integers(1, 2),
)
def test_bursts_that_stay_are_stairs(seed: int, moments: list[int], size: int, length: int) -> None:
    """Each takes one sample or two, and lies a second from the others."""
    steps = sum(np.clip(INDEX - 10 * moment - 3, 0, length) * (size // length) for moment in moments)
    found = rise(TIMES, [int(count) for count in steps + passing(seed, size // 10)])
    assert found is not None
    assert (found.form, found.moments) == (Form.STAIRS, len(moments))
    assert abs(found.start_ns - (10 * min(moments) + 3) * STEP) <= 2 * STEP


@given(seed=seeds, level=st.integers(20, 1000), start=st.integers(0, 60), length=st.integers(1, 10))
def test_what_rises_once_is_a_level(seed: int, level: int, start: int, length: int) -> None:
    # Half of what a sample rises by, at the slowest: more could hide a part of the rise, and leave two.
    counts = np.clip((INDEX - start) * level // length, 0, level) + passing(seed, level // 20)
    found = rise(TIMES, [int(count) for count in counts])
    assert found is not None
    assert (found.form, found.moments) == (Form.LEVEL, 1)
    assert level <= found.sockets <= 1.1 * level


@given(seed=seeds, most=st.integers(0, 1000))
def test_what_passes_does_not_stay(seed: int, most: int) -> None:
    assert of(passing(seed, most)) is None


@given(seed=seeds, mean=st.integers(50, 1000))
def test_a_steady_turnover_is_a_level_at_most(seed: int, mean: int) -> None:
    assert of(np.random.default_rng(seed).poisson(mean, LENGTH)) in (None, Form.LEVEL)


@given(period=st.integers(2, 40), per_step=st.integers(1, 100))
def test_what_is_closed_at_times_is_no_leak(period: int, per_step: int) -> None:
    """A program that closes all of them now and then, the last time a second or more before the end."""
    counts = INDEX % period * per_step
    counts[-LASTING_NS // STEP :] = 0
    assert of(counts) is None


@pytest.mark.parametrize("length", [0, 1, 7])
def test_few_counts_have_no_form(length: int) -> None:
    assert rise(TIMES[:length], [100] * length) is None


def test_counts_of_less_than_a_second_have_no_form() -> None:
    assert rise([index * STEP // 10 for index in range(50)], list(range(50))) is None


def test_samples_that_were_thinned_out_show_the_same() -> None:
    counts = 20 * (INDEX // 30)
    kept = [0, *(index for index in range(1, LENGTH) if index % 7 == 0 or counts[index] != counts[index - 1])]
    found = rise([TIMES[index] for index in kept], [int(counts[index]) for index in kept])
    assert found is not None
    assert (found.form, found.moments) == (Form.STAIRS, 3)
