"""Sets of columns that can add up to a total: the same as by solving for each set alone."""

from itertools import combinations

import numpy as np
import pytest

from loadgen.analysis.span import Span

ROWS, BASE, OTHERS = 9, 3, 7


@pytest.mark.parametrize("size", range(4))
@pytest.mark.parametrize("seed", range(6))
def test_what_is_reached_is_what_can_be_solved(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    base = random.integers(0, 2, (ROWS, BASE)).astype(float)
    others = random.integers(-1, 3, (ROWS, OTHERS)).astype(float)
    others[:, 1] = others[:, 0]  # Some are alike, and one is a sum of the base's.
    others[:, 2] = base.sum(axis=1)
    sets = list(combinations(range(OTHERS), size))
    made = random.integers(1, 10_000, BASE)
    more = random.integers(1, 50, size)
    total = base @ made + others[:, list(sets[len(sets) // 2])] @ more
    found = Span(base, others, total).reaches(sets, size)

    def solved(chosen: tuple[int, ...]) -> bool:
        matrix = np.hstack([base, others[:, list(chosen)]])
        counts, *_ = np.linalg.lstsq(matrix, total, rcond=None)
        return bool(np.allclose(matrix @ counts, total, rtol=0, atol=1e-3))

    assert found == [solved(chosen) for chosen in sets]
    assert any(found)
    assert size == 0 or not all(found)


def test_without_a_base_or_a_set_there_is_nothing_to_reach() -> None:
    none = np.zeros((ROWS, 0))
    assert Span(none, none, np.zeros(ROWS)).reaches([()], 0) == [True]
    assert Span(none, none, np.ones(ROWS)).reaches([()], 0) == [False]
    assert Span(none, none, np.ones(ROWS)).reaches([], 1) == []
    assert Span(np.zeros((0, 2)), np.zeros((0, 1)), np.zeros(0)).reaches([(0,)], 1) == [True]
