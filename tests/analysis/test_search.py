"""The search for ports: connect() is slow, takes most of the time, and ports are held; all three at once."""

from collections.abc import Mapping, Sequence

import pytest

from loadgen.analysis.search import Search, search
from loadgen.analysis.series import points
from loadgen.records.types import Interval
from loadgen.tcp import Failure, Side
from tests.made_records import NO_PORT, STEP, S, from_samples, interval, sample, side

PORTS = 28_232
FAST_NS, SLOW_NS = 30_000, 1_800_000


def searching(
    intervals: Sequence[Interval], held: int = 20_000, hidden: Sequence[int] = (), workers: int = 1
) -> Search | None:
    samples = [sample(index * STEP, side(ports_held=held)) for index in range(len(intervals) + 1)]
    series = points(intervals, samples, Side.CLIENT)
    return search(series, [index in hidden for index in range(len(series))], PORTS, workers)


def slowed(
    calls_ns: int = SLOW_NS, late: int = 0, errors: Mapping[Failure, int] | None = None, length: int = 20
) -> list[Interval]:
    """Two seconds of fast connect(), then intervals in which a call takes `calls_ns` and starts are late."""
    fast = [interval(index, 100, connecting_ns=100 * FAST_NS) for index in range(20)]
    return fast + [
        interval(20 + index, 50, late=late, connecting_ns=50 * calls_ns, errors=errors or {})
        for index in range(length)
    ]


def test_it_is_found_with_its_begin_its_share_and_its_calls() -> None:
    result = searching(slowed(late=50), held=14_116)
    assert result == Search(2 * S, pytest.approx(0.9), SLOW_NS, FAST_NS, 14_116, 1_000)


def test_two_workers_have_twice_the_time() -> None:
    assert searching(slowed(), workers=2) is None
    result = searching(slowed(2 * SLOW_NS), workers=2)
    assert result is not None
    assert result.share == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("calls_ns", "held"),
    [
        (900_000, 14_116),  # slow, but less than half of the time
        (SLOW_NS, 100),  # a client with its ports free does not search
    ],
)
def test_what_has_other_causes_is_no_search(calls_ns: int, held: int) -> None:
    assert searching(slowed(calls_ns, late=50), held) is None


def test_many_fast_calls_are_no_search() -> None:
    busy = [interval(index, 2_000, connecting_ns=2_000 * 45_000) for index in range(40)]
    assert searching(busy) is None


def test_a_connect_that_was_slow_before_is_no_search() -> None:
    before = [interval(index, 20, connecting_ns=20 * 500_000) for index in range(20)]
    assert searching([*before, *slowed()[20:]]) is None


def test_what_does_not_last_or_was_not_seen_is_none() -> None:
    assert searching(slowed(length=2)) is None
    assert searching(slowed(length=3)) is not None
    assert searching(slowed(length=3), hidden=[21]) is None
    assert searching([from_samples(one) for one in slowed()]) is None
    assert searching([]) is None


def test_it_explains_only_what_came_with_it_and_after_it() -> None:
    def late(index: int) -> int:
        return 10 if 3 <= index < 9 or index >= 19 else 0

    intervals = [
        interval(index, 100, late=late(index), connecting_ns=90 * STEP // 100 if 20 <= index < 30 else 1)
        for index in range(40)
    ]
    result = searching(intervals)
    assert result is not None
    # The six of an earlier trouble are not among them.
    assert (result.since_ns, result.late) == (2 * S, 210)


def test_starts_that_were_late_without_a_port_are_not_late_because_of_it() -> None:
    slow = [
        interval(index, 50, late=10, connecting_ns=50 * SLOW_NS, errors={NO_PORT: 5} if index >= 10 else {})
        for index in range(20)
    ]
    result = searching(slow, held=PORTS - 100)
    assert result is not None
    assert (result.since_ns, result.late, result.before_ns) == (0, 100, None)
