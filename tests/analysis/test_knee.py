"""The knee: found where it is, wherever it falls, and not where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from numpy.typing import NDArray

from loadgen.analysis.fold import Fold
from loadgen.analysis.knee import Knee, KneeFinder, exhaustion_ns, rate
from loadgen.analysis.window import LASTING, Window
from loadgen.records.events import Gap
from loadgen.records.gaps import covered_ns, gaps_of, hidden
from loadgen.records.types import Interval, Sample
from loadgen.tcp import Failure, Fault, Phase, Side
from tests.made_records import NO_PORT, STEP, S, driven, from_samples, gap, interval, sample, side

MS = 1_000_000
FAST_CONNECT_NS, SLOW_CONNECT_NS = 15_000, 600_000


@dataclass(frozen=True)
class Course:
    """A run by the millisecond: how many connections there have been, and how long connect() takes."""

    opened: NDArray[np.float64]
    connect_ns: NDArray[np.int64]

    @property
    def length_ms(self) -> int:
        return len(self.connect_ns)

    def ports_at(self, t_ns: float) -> float:
        return float(np.interp(t_ns / MS, np.arange(self.length_ms + 1), self.opened))

    def intervals(self, errors: Mapping[int, Mapping[Failure, int]] | None = None) -> list[Interval]:
        """Every 100 ms; `errors` by index."""
        found: list[Interval] = []
        for index in range(self.length_ms // 100):
            connected = round(self.opened[100 * index + 100]) - round(self.opened[100 * index])
            found.append(
                interval(
                    index,
                    connected,
                    errors=(errors or {}).get(index, {}),
                    connect_p50_ns=int(self.connect_ns[100 * index + 50]) if connected else None,
                )
            )
        return found

    def samples(self, every_ns: int = STEP, offset_ns: int = 0, held: float = 1.0) -> list[Sample]:
        """The client's ports held, from before the load to after it; `held` of each connection stays."""
        end_ns = self.length_ms * MS + every_ns
        return [
            sample(t_ns, side(ports_held=round(held * self.ports_at(t_ns))))
            for t_ns in range(offset_ns - every_ns, end_ns + 1, every_ns)
        ]


def course(rates: Sequence[tuple[int, float, int]], noise: float = 0.0, seed: int = 0) -> Course:
    """Stretches of (ms, connections/s, connect() in ns); each 100 ms is off by up to `noise`."""
    per_ms = np.concatenate([np.full(ms, per_s / 1000) for ms, per_s, _ in rates])
    random = np.random.default_rng(seed)
    blocks = 1 + random.uniform(-noise, noise, len(per_ms) // 100 + 1)
    per_ms = per_ms * np.repeat(blocks, 100)[: len(per_ms)]
    connect = np.concatenate([np.full(ms, ns) for ms, _, ns in rates])
    return Course(np.concatenate([[0.0], np.cumsum(per_ms)]), connect)


def knee(intervals: Sequence[Interval], samples: Sequence[Sample]) -> Knee | None:
    finder, window = KneeFinder(), Window.of(intervals, samples)
    for index in range(len(intervals)):
        finder.judge(window, index)
    return finder.knee()


def falling(
    at_ms: int, before: float = 16_000, after: float = 660, noise: float = 0.0, seed: int = 0
) -> Course:
    """As a client that closes first sees it (K8): fast up to the knee, then a crawl for two seconds."""
    return course([(at_ms, before, FAST_CONNECT_NS), (2_000, after, SLOW_CONNECT_NS)], noise=noise, seed=seed)


def found(run: Course, samples: Sequence[Sample] | None = None) -> Knee:
    result = knee(run.intervals(), run.samples() if samples is None else samples)
    assert result is not None
    return result


# Where it is


@pytest.mark.parametrize("at_ms", [*range(800, 901, 5), 101, 150, 200, 299, 2_000])
def test_a_knee_is_found_wherever_in_an_interval_it_falls(at_ms: int) -> None:
    run = falling(at_ms)
    result = found(run)
    assert result.ports == pytest.approx(run.ports_at(at_ms * MS), rel=0.01)
    assert result.time_ns == pytest.approx(at_ms * MS, abs=2 * MS)
    assert result.rate_before == pytest.approx(16_000, rel=0.01)
    assert result.rate_after == pytest.approx(660, rel=0.05)


@pytest.mark.parametrize("seed", range(30))
def test_noise_moves_it_by_little(seed: int) -> None:
    at_ms = 700 + 7 * seed
    run = falling(at_ms, noise=0.15, seed=seed)
    result = found(run)
    assert result.ports == pytest.approx(run.ports_at(at_ms * MS), rel=0.02)
    assert result.rate_before == pytest.approx(16_000, rel=0.2)


@pytest.mark.parametrize("offset_ms", [0, 13, 50, 87, 99])
@pytest.mark.parametrize("every_ms", [10, 100, 250])
def test_samples_need_not_be_in_step_with_intervals(offset_ms: int, every_ms: int) -> None:
    run = falling(845, noise=0.1)
    samples = run.samples(every_ms * MS, offset_ms * MS)
    assert found(run, samples).ports == pytest.approx(run.ports_at(845 * MS), rel=0.02)


@pytest.mark.parametrize("seed", range(10))
def test_kept_connections_lose_little_and_their_knee_is_found_too(seed: int) -> None:
    run = course([(3_000, 1_320, 18_000), (3_000, 770, 550_000)], noise=0.08, seed=seed)
    result = found(run)
    assert result.ports == pytest.approx(run.ports_at(3_000 * MS), rel=0.03)
    assert result.rate_after == pytest.approx(770, rel=0.05)


@pytest.mark.parametrize(("grows", "known"), [(True, True), (False, False)])
def test_where_nobody_timed_connect_the_kernels_time_for_each_connection_tells(
    grows: bool, known: bool
) -> None:
    """A command drives. At a knee the client's kernel works all the time for fewer connections; where it
    works less, somebody else is slow."""
    run = falling(845)
    loads = [from_samples(one) for one in run.intervals()]
    samples: list[Sample] = []
    for one in run.samples():
        spent_ns = one.t_ns if grows else round(30_000 * run.ports_at(one.t_ns))
        client = structs.replace(one.viewpoints[Side.CLIENT], cpu_system_ns=max(spent_ns, 0))
        samples.append(structs.replace(one, viewpoints={**one.viewpoints, Side.CLIENT: client}))
    result = knee(loads, samples)
    assert (result is not None) is known
    if result is not None:
        assert result.ports == pytest.approx(run.ports_at(845 * MS), rel=0.01)


@pytest.mark.parametrize("ports", [3_000, 4_000, 8_000])
def test_a_narrow_range_has_its_knee_early(ports: int) -> None:
    before, after = 16_000, 1 / (1 / 16_000 + ports / 2 * 1.45e-3 / 14_116)
    at_ms = round(ports / 2 / before * 1000)
    run = course([(at_ms, before, FAST_CONNECT_NS), (1_000, after, 200_000)])
    result = knee(run.intervals(), run.samples())
    if at_ms > 100:
        assert result is not None
        assert result.ports == pytest.approx(ports / 2, rel=0.02)


@pytest.mark.parametrize("at_ms", range(5, 100, 5))
def test_one_within_the_first_interval_is_not_found_or_taken_for_its_end(at_ms: int) -> None:
    run = falling(at_ms)
    result = knee(run.intervals(), run.samples())
    if result is not None:
        assert result.time_ns == pytest.approx(STEP, abs=MS)
        assert 0 <= result.ports - run.ports_at(at_ms * MS) <= 660 * 0.1 + 1


def test_ports_are_those_sampled_and_not_those_counted() -> None:
    # A server that closes leaves the client none: then the fall is not one of ports, and shows as such.
    run = falling(850)
    assert found(run, run.samples(held=0.0)).ports == 0
    assert found(run, run.samples(held=0.5)).ports == pytest.approx(run.ports_at(850 * MS) / 2, rel=0.01)


def test_the_deepest_of_two_falls_counts() -> None:
    run = course([(500, 16_000, 15_000), (1_000, 4_000, 100_000), (1_000, 300, 900_000)])
    assert found(run).time_ns == pytest.approx(1_500 * MS, abs=3 * MS)


def test_an_exhaustion_after_it_does_not_hide_it_but_one_right_upon_it_does() -> None:
    run = falling(850)
    late = run.intervals({8 + LASTING + 1: {NO_PORT: 1}})
    soon = run.intervals({8 + LASTING: {NO_PORT: 1}})
    assert knee(late, run.samples()) is not None
    assert knee(soon, run.samples()) is None


# Where there is none


@pytest.mark.parametrize(
    "rates",
    [
        [(2_000, 16_000, 15_000)],
        [(100, 16_000, 15_000)],
        [(700, 16_000, 15_000), (100, 200, 600_000), (1_000, 16_000, 15_000)],
        [(700, 16_000, 15_000), (250, 200, 600_000), (1_000, 16_000, 15_000)],
        [(500, 500, 15_000), (300, 4_000, 15_000), (1_500, 16_000, 15_000)],
        [(1_000, 16_000, 15_000), (1_000, 7_000, 30_000)],
        [(1_000, 16_000, 15_000), (1_000, 300, 15_000)],
        [(1_000, 16_000, 15_000), (1_000, 0, 15_000)],
        [(100, 640, 15_000), (4_000, 0, 15_000)],
        [*[(100, 640, 15_000), (900, 0, 15_000)] * 4],
        [(100, 16_000, 15_000), (100, 300, 600_000)],
    ],
    ids=[
        "steady",
        "too short",
        "one slow interval",
        "a pause of 250 ms",
        "a slow ramp up",
        "a fall that connect() hardly feels",
        "a server that slows down",
        "a server that stops",
        "connections kept through the run",
        "connections kept in step",
        "a crawl too short",
    ],
)
def test_no_knee_is_seen_in(rates: list[tuple[int, float, int]]) -> None:
    run = course(rates, noise=0.1)
    assert knee(run.intervals(), run.samples()) is None


def test_without_samples_around_it_nothing_is_claimed() -> None:
    run = falling(850)
    for samples in ([], run.samples()[:3], [one for one in run.samples() if one.t_ns > S]):
        assert knee(run.intervals(), samples) is None


def test_without_intervals_there_is_none() -> None:
    assert knee([], []) is None
    assert knee([], falling(850).samples()) is None


@given(
    st.sampled_from([3.0, 30.0, 300.0, 3_000.0, 30_000.0]),
    st.sampled_from([0.15, 0.3, 0.5]),
    st.integers(0, 2**32 - 1),
)
def test_noise_alone_is_no_knee(per_s: float, noise: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    means = per_s / 10 * random.uniform(1 - noise, 1 + noise, 100)
    counts: list[int] = random.poisson(means).tolist()
    connects: list[int] = random.lognormal(np.log(15_000), 0.3, 100).astype(int).tolist()
    intervals = [
        interval(index, count, connect_p50_ns=connect if count else None)
        for index, (count, connect) in enumerate(zip(counts, connects, strict=True))
    ]
    assert knee(intervals, [sample(-STEP), sample(11 * S)]) is None


@given(st.lists(st.builds(interval, st.integers(0, 20), st.integers(0, 3000)), max_size=12))
def test_whatever_the_intervals_it_answers(intervals: list[Interval]) -> None:
    ordered = sorted(intervals, key=lambda one: one.start_ns)
    samples = [sample(t_ns, side(ports_held=t_ns // MS)) for t_ns in range(0, 3 * S, STEP)]
    result = knee(ordered, samples)
    assert result is None or result.rate_before > result.rate_after


# Exhaustion and rates


def test_exhaustion_begins_with_the_first_interval_that_found_no_port() -> None:
    run = falling(850)
    assert exhaustion_ns(run.intervals()) is None
    assert exhaustion_ns(run.intervals({12: {NO_PORT: 1}, 13: {NO_PORT: 9}})) == 12 * STEP


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
def test_only_a_port_that_is_lacking_exhausts(failure: Failure, counts: bool) -> None:
    assert (exhaustion_ns([interval(0, errors={failure: 1})]) is not None) == counts


def test_a_rate_is_per_second_of_the_intervals_own_length() -> None:
    assert rate(driven(0, S // 4, connected=100)) == 400
    assert rate(driven(S, S, connected=100)) == 0


# Gaps


def with_gaps(run: Course, *gaps: Gap) -> Knee | None:
    fold = Fold(28_232)
    for record in (*run.intervals(), *run.samples(), *gaps):
        fold.add(record)
    return fold.knee()


@pytest.mark.parametrize("what", ["load worker", "server", "sampler"])
def test_a_knee_is_found_between_gaps_and_never_in_one_or_across_it(what: str) -> None:
    run = falling(2_000)
    alone = found(run)
    for begin_ms, end_ms in ((300, 1_100), (2_900, 3_500)):
        beside = with_gaps(run, gap(what, begin_ms * MS, end_ms * MS))
        assert beside is not None
        assert (beside.time_ns, beside.ports) == (alone.time_ns, alone.ports)
    for begin_ms, end_ms in ((1_500, 2_500), (1_950, 2_200), (2_000, 2_600)):
        assert with_gaps(run, gap(what, begin_ms * MS, end_ms * MS)) is None


def test_of_two_knees_apart_the_deeper_one_is_found() -> None:
    run = course(
        [
            (1_500, 16_000, FAST_CONNECT_NS),
            (1_500, 8_000, SLOW_CONNECT_NS),
            (1_500, 16_000, FAST_CONNECT_NS),
            (1_500, 660, SLOW_CONNECT_NS),
        ]
    )
    deeper = with_gaps(run, gap("load worker", 2_700 * MS, 3_200 * MS))
    assert deeper is not None
    assert deeper.time_ns == pytest.approx(4_500 * MS, abs=2 * MS)


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=8)


@given(spans)
def test_what_gaps_hide_is_what_looking_at_each_instant_gives(lengths: list[tuple[int, int]]) -> None:
    events = [gap("server", begin, begin + length) for begin, length in lengths]
    gaps = gaps_of(events)
    units = [any(one.touches(at, at + 1) for one in gaps) for at in range(40)]
    assert covered_ns(gaps, 5, 35) == sum(units[5:35])
    intervals = [driven(at, at + 3) for at in range(0, 40, 3)]
    assert hidden(intervals, gaps) == [any(units[one.start_ns : one.end_ns]) for one in intervals]
