"""The lack of ports: seen in what connect() said with the ports held, or in the ports alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from loadgen.analysis.load import UnderLoad
from loadgen.analysis.series import Point, points
from loadgen.analysis.shortage import LASTING, Span, shortage, unexplained
from loadgen.tcp import Failure, Fault, Phase, Side
from tests.made_records import NO_PORT, STEP, from_samples, interval, sample, side

PORTS = 1_000


def series(
    held: Sequence[int], failed: Mapping[int, int] | None = None, failure: Failure = NO_PORT, **told: Any
) -> list[Point]:
    """Intervals with so many ports held at their ends; `failed` attempts by index."""
    intervals = [
        interval(index, 10, errors={failure: failed[index]} if failed and index in failed else {}, **told)
        for index in range(len(held))
    ]
    samples = [sample((index + 1) * STEP, side(ports_held=count)) for index, count in enumerate(held)]
    return points(intervals, samples, Side.CLIENT)


def span(first: int, last: int) -> Span:
    return Span(first * STEP, (last + 1) * STEP)


def test_failures_while_the_ports_are_held_are_spans() -> None:
    made = series([500] * 5 + [950] * 15, {6: 1, 7: 5, 8: 5, 12: 9}, late=2)
    # From the first failure on, all points have late starts: the load never catches up.
    result = shortage(made, PORTS)
    assert result is not None
    assert result.spans == (span(6, 8), span(12, 12))
    assert result.spans[0].length_ns == 3 * STEP
    assert (result.first_ns, result.lasting_ns) == (6 * STEP, 6 * STEP)
    assert (result.failed, result.late, result.inferred) == (20, 28, False)
    assert unexplained(made, PORTS) == 0


def test_the_first_failure_has_its_instant() -> None:
    made = series([950] * 10, {6: 1, 7: 5}, no_port_ns=6 * STEP + 17)
    result = shortage(made, PORTS)
    assert result is not None
    assert result.first_ns == 6 * STEP + 17
    assert result.spans == (span(6, 7),)


@pytest.mark.parametrize("held", [0, 500, 890])
def test_the_same_failures_while_ports_are_free_are_none(held: int) -> None:
    """EADDRNOTAVAIL is also the answer if there is no source address."""
    made = series([held] * 20, {6: 1, 7: 5, 8: 5})
    assert shortage(made, PORTS) is None
    assert unexplained(made, PORTS) == 11


def test_of_failures_with_ports_held_and_with_ports_free_each_counts_once() -> None:
    made = series([100] * 10 + [960] * 10, {3: 7, 15: 5})
    result = shortage(made, PORTS)
    assert result is not None
    assert result.failed + unexplained(made, PORTS) == 12
    assert (result.spans, result.failed) == ((span(15, 15),), 5)


def test_a_failure_counts_if_the_ports_are_not_known() -> None:
    made = points([interval(0), interval(1, errors={NO_PORT: 3})], [], Side.CLIENT)
    result = shortage(made, PORTS)
    assert result is not None
    assert (result.spans, result.failed, result.inferred) == ((span(1, 1),), 3, False)
    assert unexplained(made, PORTS) == 0


def test_all_ports_held_show_it_without_a_failure() -> None:
    """As a program's errors are: churn does not see them."""
    held = [500, 900, 990, 1_000, 1_000, 999, 1_000, 900, 800, 700]
    result = shortage(series(held, attempts=None), PORTS)
    assert result is not None
    # All are held at the end of the fourth, and at the begin of the eighth.
    assert result.spans == (span(4, 7),)
    assert result.first_ns == 4 * STEP
    assert (result.lasting_ns, result.failed, result.inferred) == (4 * STEP, 0, True)
    # One that counts its attempts had as many ports as it wanted.
    assert shortage(series(held), PORTS) is None


def test_the_most_of_the_samples_within_an_interval_count() -> None:
    intervals = [interval(index, 10, attempts=None) for index in range(4)]
    samples = [
        sample(t_ns, side(ports_held=1_000 if t_ns == STEP + STEP // 2 else 800))
        for t_ns in range(0, 4 * STEP + 1, STEP // 10)
    ]
    result = shortage(points(intervals, samples, Side.CLIENT), PORTS)
    assert result is not None
    assert (result.first_ns, result.spans[-1].end_ns, result.lasting_ns) == (STEP + STEP // 2, 2 * STEP, None)


@pytest.mark.parametrize(
    ("held", "silent", "said"), [(890, False, False), (950, False, True), (1_000, True, True)]
)
def test_if_a_program_reported_it_nearly_all_ports_are_enough(held: int, silent: bool, said: bool) -> None:
    made = points(
        [from_samples(interval(index, 10)) for index in range(5)],
        [sample((index + 1) * STEP, side(ports_held=held)) for index in range(5)],
        Side.CLIENT,
    )
    assert (shortage(made, PORTS) is not None) is silent
    result = shortage(made, PORTS, reported=True)
    assert (result is not None) is said
    assert result is None or result.inferred


@pytest.mark.parametrize("length", range(1, LASTING + 3))
def test_a_short_one_does_not_last(length: int) -> None:
    made = series([950] * 20, dict.fromkeys([2, *range(8, 8 + length)], 1))
    result = shortage(made, PORTS)
    assert result is not None
    assert result.lasting_ns == (8 * STEP if length >= LASTING else None)
    assert result.first_ns == 2 * STEP


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (NO_PORT, True),
        (Failure(Phase.CONNECT, "EADDRINUSE"), True),
        (Failure(Phase.BIND, "EADDRINUSE"), True),
        (Failure(Phase.BIND, "EADDRNOTAVAIL"), False),
        (Failure(Phase.CONNECT, Fault.TIMEOUT), False),
        (Failure(Phase.BIND, "EMFILE"), False),
    ],
)
def test_only_a_port_that_is_lacking_counts(failure: Failure, counts: bool) -> None:
    assert (shortage(series([950] * 3, {1: 1}, failure), PORTS) is not None) is counts
    assert unexplained(series([10] * 3, {1: 1}, failure), PORTS) == (1 if counts else 0)


def test_without_points_or_without_a_lack_there_is_none() -> None:
    assert shortage([], PORTS) is None
    assert shortage(series([500] * 10), PORTS) is None
    assert unexplained([], PORTS) == 0


def test_a_failure_between_two_samples_is_explained_by_the_samples_around_it() -> None:
    """Connections come and go: the ports are all held now and then, and fewer in between."""
    made = series([1_000, 700, 700, 700] * 5, {2: 1, 6: 1, 10: 1})
    assert unexplained(made, PORTS) == 0
    result = shortage(made, PORTS)
    assert result is not None
    assert result.failed == 3


@pytest.mark.parametrize(("reported", "is_found"), [(True, True), (False, False)])
def test_a_program_that_found_no_port_has_its_end_in_the_point_that_shows_it(
    reported: bool, is_found: bool
) -> None:
    made = series([100, 300, 980], attempts=None)
    load = UnderLoad(made, 2 * STEP + STEP // 5, [], PORTS, 1, no_port_reported=reported)
    assert (load.shortage is not None) is is_found
