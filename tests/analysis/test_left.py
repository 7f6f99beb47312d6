"""What the load's end leaves: TIME-WAITs of connections that were open at its last sample, and no others."""

from collections.abc import Mapping

import pytest

from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.findings.left import ENOUGH, left_by_the_end
from loadgen.analysis.findings.left import opened as open_at_the_end
from loadgen.analysis.fold import Fold
from loadgen.records.viewpoints import APART
from loadgen.tcp import State
from tests.made_records import STEP, S, ended, interval, opened, sample, side

LOADED = 10
"""Samples of the load, which lasts for a second."""


def folded(
    last: Mapping[State, int],
    after: Mapping[State, int],
    *,
    before: Mapping[State, int] | None = None,
    samples: int = LOADED,
) -> Fold:
    """A load of so many samples whose client has `before` in each but the last, `last` in that one, and
    `after` once the load has ended."""
    fold = Fold(28_232)
    fold.add(opened(APART))
    for index in range(samples):
        states = last if index == samples - 1 else before or {}
        fold.add(sample(S - (samples - index) * STEP, side(states)))
    fold.add(interval(0, 100))
    for record in ended(S):
        fold.add(record)
    fold.add(sample(S + STEP, side(after)))
    return fold


def found(fold: Fold) -> Finding | None:
    return next(left_by_the_end(fold), None)


OPEN = [state for state in State if state not in (State.LISTEN, State.TIME_WAIT)]


@pytest.mark.parametrize("state", OPEN)
def test_connections_that_were_open_are_what_the_end_leaves(state: State) -> None:
    fold = folded({state: 100}, {State.TIME_WAIT: 100})
    assert open_at_the_end(fold, "client") == 100
    finding = found(fold)
    assert finding is not None
    assert finding.sentence == "the load's end leaves 100 TIME-WAITs at the client"
    assert finding.numbers == {"during": 0, "after": 100}
    assert finding.start_ns == S


@pytest.mark.parametrize("last", [{}, {State.LISTEN: 100}, {State.TIME_WAIT: 20}])
def test_time_waits_after_a_load_that_had_nothing_open_are_not_of_its_end(last: Mapping[State, int]) -> None:
    fold = folded(last, {State.TIME_WAIT: 100})
    assert open_at_the_end(fold, "client") == 0
    assert found(fold) is None


def test_what_was_open_in_an_earlier_sample_does_not_count() -> None:
    fold = folded({}, {State.TIME_WAIT: 100}, before={State.ESTABLISHED: 100})
    assert open_at_the_end(fold, "client") == 0
    assert found(fold) is None


def test_what_is_open_after_the_load_does_not_count() -> None:
    fold = folded({}, {State.TIME_WAIT: 100, State.ESTABLISHED: 100})
    assert open_at_the_end(fold, "client") == 0
    assert found(fold) is None


@pytest.mark.parametrize(
    ("states", "is_found"),
    [({State.ESTABLISHED: 30, State.CLOSE_WAIT: 10}, True), ({State.ESTABLISHED: 39}, False)],
)
def test_half_of_them_must_have_been_open(states: Mapping[State, int], is_found: bool) -> None:
    # 80 of 100 came after the load.
    fold = folded({State.TIME_WAIT: 20, **states}, {State.TIME_WAIT: 100})
    assert (found(fold) is not None) is is_found


@pytest.mark.parametrize(("during", "is_found"), [(50, True), (51, False)])
def test_half_of_them_must_have_come_after_the_load(during: int, is_found: bool) -> None:
    fold = folded({State.TIME_WAIT: during, State.ESTABLISHED: 50}, {State.TIME_WAIT: 100})
    finding = found(fold)
    assert (finding is not None) is is_found
    assert finding is None or finding.share == 0.5


@pytest.mark.parametrize(("samples", "is_found"), [(ENOUGH, True), (ENOUGH - 1, False)])
def test_of_few_samples_it_is_not_known_what_the_load_left(samples: int, is_found: bool) -> None:
    fold = folded({State.ESTABLISHED: 100}, {State.TIME_WAIT: 100}, samples=samples)
    assert (found(fold) is not None) is is_found


def test_without_a_sample_of_the_load_nothing_was_open() -> None:
    fold = Fold(28_232)
    for record in (
        opened(APART),
        interval(0, 100),
        *ended(S),
        sample(S + STEP, side({State.ESTABLISHED: 9})),
    ):
        fold.add(record)
    assert open_at_the_end(fold, "client") == 0
