"""Aggregation: whatever workers say and whenever, one stream comes out, without a gap and without a loss."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.records.aggregation import Aggregation, Taken, merged
from loadgen.records.latency import Counts, Tag
from loadgen.records.types import COUNTS, TIMES
from loadgen.tcp import Ending
from tests.made_records import NO_PORT, TIMEOUT, driven

MS = 1_000_000
LENGTH = 100 * MS


def taken(start_ms: float, end_ms: float, connected: int = 0, **told: Any) -> Taken:
    return Taken(driven(round(start_ms * MS), round(end_ms * MS), connected=connected, **told))


def edges(stream: Sequence[Taken]) -> list[tuple[float, float]]:
    return [(one.interval.start_ns / MS, one.interval.end_ns / MS) for one in stream]


def connected(stream: Sequence[Taken]) -> list[int]:
    return [one.interval.connected for one in stream]


def latencies(tag: Tag, *values_ns: int) -> Counts:
    return Counts.of(tag, np.array(values_ns, dtype=np.int64))


def test_of_one_worker_the_stream_is_its_own() -> None:
    said = [
        taken(0, 100.2, 5, connect_p50_ns=7, connecting_ns=3),
        taken(100.2, 251, 4),
        taken(251, 300, 4, in_flight=2),
        taken(300, 303, 1),
    ]
    gathering = Aggregation(1, LENGTH)
    stream = [found for one in said for found in gathering.add(0, one)]
    # At once, and not merely the same: percentiles are not computed anew.
    assert all(found is one for found, one in zip(stream, said, strict=True))
    assert list(gathering.leave(0)) == []


def test_an_interval_waits_for_all() -> None:
    gathering = Aggregation(3, LENGTH)
    assert list(gathering.add(0, taken(0, 99.8, 1))) == []
    assert list(gathering.add(0, taken(99.8, 200, 2))) == []
    assert list(gathering.add(2, taken(0, 100.1, 10))) == []
    (first,) = gathering.add(1, taken(0, 100.7, 100))
    assert first.interval.connected == 111
    # It ends where theirs do, on average: the rates of workers that share evenly are exact then.
    assert first.interval.end_ns == 100_200_000


def test_the_first_instant_without_a_port_is_the_first_of_any_worker() -> None:
    said = [taken(0, 100, errors={NO_PORT: 1}, no_port_ns=at_ns) for at_ns in (70 * MS, 30 * MS)]
    assert merged(0, LENGTH, 0, [*said, taken(0, 100)]).interval.no_port_ns == 30 * MS
    assert merged(0, MS, 0, [taken(0, 1), taken(0, 1)]).interval.no_port_ns is None


def test_a_worker_that_is_held_up_makes_the_interval_as_long_as_its_own() -> None:
    gathering = Aggregation(2, LENGTH)
    stream = [*gathering.add(0, taken(0, 100, 5)), *gathering.add(0, taken(100, 200, 5))]
    stream += gathering.add(1, taken(0, 249, 11))
    stream += [*gathering.add(1, taken(249, 300, 4)), *gathering.add(0, taken(200, 300, 5))]
    assert edges(stream) == [(0, 224.5), (224.5, 300)]
    assert connected(stream) == [21, 9]


def test_a_worker_that_dies_is_waited_for_no_more() -> None:
    gathering = Aggregation(2, LENGTH)
    assert list(gathering.add(1, taken(0, 100, 7, in_flight=4))) == []
    (first,) = gathering.add(0, taken(0, 100, 1, in_flight=3))
    assert first.interval.in_flight == 7
    assert list(gathering.add(0, taken(100, 200, 2, in_flight=3))) == []
    assert list(gathering.add(0, taken(200, 300, 3, in_flight=3))) == []
    rest = list(gathering.leave(1))
    assert edges(rest) == [(100, 200), (200, 300)]
    assert connected(rest) == [2, 3]
    # Its connections are gone with it.
    assert [one.interval.in_flight for one in rest] == [3, 3]
    assert list(gathering.add(0, taken(300, 400, 4))) == [taken(300, 400, 4)]


def test_what_a_dead_worker_said_last_counts() -> None:
    gathering = Aggregation(2, LENGTH)
    assert list(gathering.add(1, taken(0, 100, 7))) == []
    assert list(gathering.leave(1)) == []
    (first,) = gathering.add(0, taken(0, 100, 1))
    assert first.interval.connected == 8


def test_workers_may_end_at_different_times() -> None:
    gathering = Aggregation(2, LENGTH)
    stream = [*gathering.add(0, taken(0, 100, 1)), *gathering.add(1, taken(0, 100, 1))]
    # The first has a last bit, and is over; the second goes on.
    stream += [*gathering.add(0, taken(100, 103, 10)), *gathering.leave(0)]
    stream += gathering.add(1, taken(100, 200, 100))
    stream += [*gathering.add(1, taken(200, 207, 1000)), *gathering.leave(1)]
    assert edges(stream) == [(0, 100), (100, 200), (200, 207)]
    assert connected(stream) == [2, 110, 1000]


def test_all_that_is_counted_adds_up_and_percentiles_are_of_all_latencies_together() -> None:
    one = Taken(
        driven(
            0,
            LENGTH,
            **dict(zip(COUNTS, range(1, len(COUNTS) + 1), strict=True)),
            in_flight=3,
            closes=dict(zip(Ending, (1, 2, 3, 4, 5), strict=True)),
            errors={NO_PORT: 1},
            connect_p50_ns=10,
            connect_p99_ns=10,
            connecting_ns=70,
            clocked_wall_ns=50,
            clocked_cpu_ns=30,
        ),
        [latencies(Tag.CONNECT, *[10] * 90), latencies(Tag.RESPONSE, 500)],
    )
    other = Taken(
        replace(one.interval, errors={NO_PORT: 2, TIMEOUT: 5}, connect_p50_ns=1000, connect_p99_ns=1000),
        [latencies(Tag.CONNECT, *[1000] * 10)],
    )
    gathering = Aggregation(2, LENGTH)
    assert list(gathering.add(0, one)) == []
    (both,) = gathering.add(1, other)
    interval = both.interval
    assert [getattr(interval, name) for name in COUNTS] == [2 * count for count in range(1, len(COUNTS) + 1)]
    assert interval.closes == dict(zip(Ending, (2, 4, 6, 8, 10), strict=True))
    assert interval.in_flight == 6
    assert [getattr(interval, name) for name in TIMES] == [140, 100, 60]
    assert interval.errors == {NO_PORT: 3, TIMEOUT: 5}
    # A mean of the workers' medians would be 505: nobody's.
    assert (interval.connect_p50_ns, interval.connect_p99_ns) == (10, 1000)
    assert (interval.response_p50_ns, interval.response_p99_ns) == (500, 500)
    assert [sum(counts.counts) for counts in both.latencies] == [100, 1]


@pytest.mark.parametrize("name", [*COUNTS, *TIMES, "closes", "errors"])
def test_what_one_worker_did_not_measure_is_not_known_of_all(name: str) -> None:
    gathering = Aggregation(2, LENGTH)
    both = taken(0, 100, **dict.fromkeys(TIMES, 5))
    assert list(gathering.add(0, both)) == []
    (found,) = gathering.add(1, Taken(replace(both.interval, **{name: None})))
    assert getattr(found.interval, name) is None
    assert found.interval.from_samples == (name == "attempts")


@st.composite
def streams(draw: st.DrawFn) -> list[list[Taken]]:
    """What workers say: intervals that end near multiples, some of them missed, and a last bit."""
    workers: list[list[Taken]] = []
    for _ in range(draw(st.integers(1, 4))):
        ends = sorted(draw(st.sets(st.integers(1, 12))))
        times = [0, *(end * LENGTH + draw(st.integers(-MS, 45 * MS)) for end in ends)]
        times.append(times[-1] + draw(st.integers(0, 60 * MS)))
        said: list[Taken] = []
        for start_ns, end_ns in pairwise(times):
            values = draw(st.lists(st.integers(1, 10**9), max_size=3))
            counts = [latencies(Tag.CONNECT, *values)] if values else []
            said.append(Taken(driven(start_ns, end_ns, connected=len(values)), counts))
        workers.append(said)
    return workers


@given(streams(), st.randoms(use_true_random=False))
def test_nothing_is_lost_and_no_gap_is_left_in_whatever_order_it_is_said(
    workers: list[list[Taken]], random: Any
) -> None:
    gathering = Aggregation(len(workers), LENGTH)
    stream: list[Taken] = []
    left = {number: list(said) for number, said in enumerate(workers)}
    while left:
        number = random.choice(sorted(left))
        if left[number]:
            stream += gathering.add(number, left[number].pop(0))
        else:
            del left[number]
            stream += gathering.leave(number)
    starts = [start for start, _ in edges(stream)]
    ends = [end for _, end in edges(stream)]
    assert starts == [0, *ends[:-1]]
    assert ends == sorted(ends)
    assert sum(connected(stream)) == sum(sum(connected(said)) for said in workers)
    assert values(stream) == sum((values(said) for said in workers), Counter())


def values(stream: Sequence[Taken]) -> Counter[int]:
    found: Counter[int] = Counter()
    for one in stream:
        for counts in one.latencies:
            found.update(dict(zip(counts.values_ns, counts.counts, strict=True)))
    return found


def test_intervals_that_are_merged_one_after_another_lose_nothing() -> None:
    first = taken(0, 100, 3, in_flight=4, errors={NO_PORT: 1}, connecting_ns=5)
    second = taken(100, 900, 5, in_flight=2, errors={NO_PORT: 2, TIMEOUT: 1}, connecting_ns=6)
    parts = [
        Taken(first.interval, [latencies(Tag.CONNECT, 10, 20, 30)]),
        Taken(second.interval, [latencies(Tag.CONNECT, 20, 40)]),
    ]
    both = merged(0, 900 * MS, 2, parts)
    assert (both.interval.start_ns, both.interval.end_ns) == (0, 900 * MS)
    assert (both.interval.connected, both.interval.in_flight, both.interval.connecting_ns) == (8, 2, 11)
    assert both.interval.errors == {NO_PORT: 3, TIMEOUT: 1}
    (counts,) = both.latencies
    assert dict(zip(counts.values_ns, counts.counts, strict=True)) == {10: 1, 20: 2, 30: 1, 40: 1}
