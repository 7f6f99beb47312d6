"""The turn, or knee: connect() becomes slow where half of the ports are held, whether or not the rate falls.

It is found wherever it falls, and not found where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from numpy.typing import NDArray

from loadgen.analysis.fold import Fold
from loadgen.analysis.series import LASTING, points
from loadgen.analysis.turn import NEAR, Turn, from_the_start, rate, turn
from loadgen.records.events import Gap
from loadgen.records.gaps import covered_ns, gaps_of, hidden
from loadgen.records.types import Interval, Sample
from loadgen.tcp import Failure, Side
from tests.made_records import NO_PORT, STEP, S, driven, from_samples, gap, interval, sample, side

MS = 1_000_000
FAST_CONNECT_NS, SLOW_CONNECT_NS = 15_000, 600_000
MANY_PORTS = 1_000_000


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

    def range_with_half_at(self, at_ms: int) -> int:
        """The client's ports, if half of them are held then."""
        return round(2 * self.ports_at(at_ms * MS))

    def intervals(self, errors: Mapping[int, Mapping[Failure, int]] | None = None) -> list[Interval]:
        """Every 100 ms; `errors` by index. The median of connect() is that of the interval's connections."""
        found: list[Interval] = []
        for index in range(self.length_ms // 100):
            begun, ended = self.opened[100 * index], self.opened[100 * index + 100]
            connected = round(ended) - round(begun)
            middle = int(np.searchsorted(self.opened, (begun + ended) / 2)) - 1
            found.append(
                interval(
                    index,
                    connected,
                    errors=(errors or {}).get(index, {}),
                    connect_p50_ns=int(self.connect_ns[middle]) if connected else None,
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


def turn_of(intervals: Sequence[Interval], samples: Sequence[Sample], ports: int) -> Turn | None:
    series = points(intervals, samples, Side.CLIENT)
    return turn(series, ports, [False] * len(series))


def falling(
    at_ms: int, before: float = 16_000, after: float = 660, noise: float = 0.0, seed: int = 0
) -> Course:
    """As a client that closes first sees it (K8): fast up to the turn, then a crawl for two seconds."""
    return course([(at_ms, before, FAST_CONNECT_NS), (2_000, after, SLOW_CONNECT_NS)], noise=noise, seed=seed)


def found(run: Course, at_ms: int, samples: Sequence[Sample] | None = None) -> Turn:
    """The turn of a run in which half of the ports are held at an instant."""
    result = turn_of(
        run.intervals(), run.samples() if samples is None else samples, run.range_with_half_at(at_ms)
    )
    assert result is not None
    return result


# Where it is


@pytest.mark.parametrize("at_ms", [*range(800, 901, 5), 310, 350, 399, 2_000])
def test_a_turn_is_found_wherever_in_an_interval_it_falls(at_ms: int) -> None:
    run = falling(at_ms)
    result = found(run, at_ms)
    assert result.fell
    assert result.ports == pytest.approx(run.ports_at(at_ms * MS), rel=0.01)
    assert abs(result.ports - run.ports_at(at_ms * MS)) <= result.ports_error + 1
    assert result.time_ns == pytest.approx(at_ms * MS, abs=2 * MS)
    assert (result.connect_before_ns, result.connect_after_ns) == (FAST_CONNECT_NS, SLOW_CONNECT_NS)
    assert result.rate_before == pytest.approx(16_000, rel=0.01)
    assert result.rate_after == pytest.approx(660, rel=0.05)


@pytest.mark.parametrize("seed", range(30))
def test_noise_moves_it_by_little(seed: int) -> None:
    at_ms = 700 + 7 * seed
    run = falling(at_ms, noise=0.15, seed=seed)
    result = found(run, at_ms)
    assert result.ports == pytest.approx(run.ports_at(at_ms * MS), rel=0.03)
    assert result.rate_before == pytest.approx(16_000, rel=0.2)


@pytest.mark.parametrize("share", [0.44, 0.47, 0.53, 0.56])
def test_it_is_found_near_half_of_the_ports_as_well_as_there(share: float) -> None:
    """The instant is read off the times of connect(): if it is not the one of half, the ports say so."""
    run = falling(1_550, noise=0.1)
    ports = run.ports_at(1_550 * MS)
    result = turn_of(run.intervals(), run.samples(), round(ports / share))
    if share < 0.5:  # half of the ports is reached in the crawl, many intervals later
        ports_then = course([(1_550, 16_000, 0), (20_000, 660, 0)], noise=0.1).opened
        assert ports_then[-1] > ports / share / 2
        assert result is None
    else:
        assert result is not None
        assert result.ports == pytest.approx(ports, rel=0.03)


@pytest.mark.parametrize("offset_ms", [0, 13, 50, 87, 99])
@pytest.mark.parametrize("every_ms", [10, 100, 250])
def test_samples_need_not_be_in_step_with_intervals(offset_ms: int, every_ms: int) -> None:
    run = falling(845, noise=0.1)
    samples = run.samples(every_ms * MS, offset_ms * MS)
    assert found(run, 845, samples).ports == pytest.approx(run.ports_at(845 * MS), rel=0.03)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("after", "fell"), [(770, True), (1_200, False)])
def test_kept_connections_lose_little_and_their_turn_is_found_too(
    seed: int, after: float, fell: bool
) -> None:
    run = course([(3_000, 1_320, 18_000), (3_000, after, 550_000)], noise=0.08, seed=seed)
    result = found(run, 3_000)
    assert result.fell is fell
    assert result.ports == pytest.approx(run.ports_at(3_000 * MS), rel=0.03)
    assert result.rate_after == pytest.approx(after, rel=0.05)


def test_a_rate_that_stays_does_not_hide_the_turn() -> None:
    run = course([(2_030, 4_000, FAST_CONNECT_NS), (2_000, 4_000, 200_000)], noise=0.05)
    result = found(run, 2_030)
    assert not result.fell
    assert result.time_ns == pytest.approx(2_030 * MS, abs=100 * MS)
    assert abs(result.ports - run.ports_at(2_030 * MS)) <= result.ports_error


def test_connect_alone_shows_a_turn_through_pauses_of_the_machine() -> None:
    """In every seventh interval other programs have the cores, and connect() takes a millisecond."""
    run = course([(2_000, 1_000, 30_000), (2_000, 1_000, 130_000)], noise=0.05)
    loads = [
        structs.replace(one, connect_p50_ns=1_000_000 if index % 7 == 3 else one.connect_p50_ns)
        for index, one in enumerate(run.intervals())
    ]
    result = turn_of(loads, run.samples(), run.range_with_half_at(2_000))
    assert result is not None
    assert not result.fell
    assert abs(result.ports - run.ports_at(2_000 * MS)) <= result.ports_error


@pytest.mark.parametrize("after_s", [3, 5, 20])
def test_a_machine_that_is_busy_for_a_time_makes_no_turn(after_s: int) -> None:
    """connect() becomes slow where half of the ports are held, and fast again although they stay held."""
    run = course([(3_000, 1_000, 30_000), (2_500, 1_000, 130_000), (after_s * 1_000, 1_000, 30_000)])
    assert turn_of(run.intervals(), run.samples(), run.range_with_half_at(3_000)) is None
    # Where the rate falls with it, that confirms the search.
    run = course([(3_000, 1_000, 30_000), (2_500, 400, 130_000), (after_s * 1_000, 400, 30_000)])
    assert turn_of(run.intervals(), run.samples(), run.range_with_half_at(3_000)) is not None


@pytest.mark.parametrize("before_s", [4, 8])
def test_a_machine_that_was_busy_before_makes_no_turn(before_s: int) -> None:
    """connect() was as slow long before half of the ports were held, and fast for two seconds before that."""
    run = course([(before_s * 1_000, 1_000, 130_000), (2_100, 1_000, 30_000), (3_000, 1_000, 130_000)])
    assert turn_of(run.intervals(), run.samples(), run.range_with_half_at(before_s * 1_000 + 2_100)) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("busy", [0.3, 0.7])
def test_a_machine_that_is_busy_at_random_makes_no_turn(busy: float, seed: int) -> None:
    """For seconds at a time other programs have the cores, and connect() takes four times as long."""
    random = np.random.default_rng(seed)
    lengths = random.integers(200, 3_000, 12)
    stretches = [(int(length), 1_000.0, 120_000 if random.random() < busy else 30_000) for length in lengths]
    run = course(stretches, noise=0.1, seed=seed)
    found_at = [
        at_ms
        for at_ms in range(1_500, run.length_ms - 1_000, 1_000)
        if turn_of(run.intervals(), run.samples(), run.range_with_half_at(at_ms)) is not None
    ]
    # Where the machine was free all the time before, and busy all the time after, that cannot be told apart.
    slow_ns = run.connect_ns > 60_000
    for at_ms in found_at:
        assert slow_ns[: at_ms - 600].mean() <= 0.3
        assert slow_ns[at_ms + 600 :].mean() >= 0.7


@pytest.mark.parametrize(("cpu_ns", "is_turn"), [(120_000, True), (45_000, True), (30_000, False)])
def test_a_connect_that_waits_and_does_not_search_makes_no_turn(cpu_ns: int, is_turn: bool) -> None:
    """A search for a port uses CPU time. From a busy machine on, connect() takes longer and uses no more."""
    run = course([(2_000, 1_000, 30_000), (2_000, 1_000, 130_000)], noise=0.05)
    loads = [
        structs.replace(
            one, clocked=10, clocked_wall_ns=10, clocked_cpu_ns=10 * (27_000 if index < 20 else cpu_ns)
        )
        for index, one in enumerate(run.intervals())
    ]
    result = turn_of(loads, run.samples(), run.range_with_half_at(2_000))
    assert (result is not None) is is_turn


@pytest.mark.parametrize("share", [0.3, 0.45, 0.49])
def test_a_plateau_below_half_of_the_ports_has_no_turn(share: float) -> None:
    """The ports held stay below half, whatever connect() does meanwhile."""
    run = course([(2_000, 1_000, 30_000), (4_000, 1_000, 130_000)])
    held = [
        sample(t_ns, side(ports_held=round(min(run.ports_at(t_ns), run.ports_at(2_000 * MS)))))
        for t_ns in range(-STEP, run.length_ms * MS + STEP, STEP)
    ]
    ports = round(run.ports_at(2_000 * MS) / share)
    assert turn_of(run.intervals(), held, ports) is None


def test_a_plateau_above_half_of_the_ports_without_a_search_has_no_turn() -> None:
    run = course([(6_000, 1_000, 30_000)], noise=0.1)
    held = [
        sample(t_ns, side(ports_held=round(min(run.ports_at(t_ns), 1_100))))
        for t_ns in range(-STEP, run.length_ms * MS + STEP, STEP)
    ]
    assert turn_of(run.intervals(), held, 2_000) is None


@pytest.mark.parametrize(("grows", "known"), [(True, True), (False, False)])
def test_if_connect_was_not_timed_the_time_in_the_kernel_for_each_connection_shows_it(
    grows: bool, known: bool
) -> None:
    """A command drives. At a knee the client's kernel works all the time for fewer connections; if it works
    less, something else is slow."""
    run = falling(845)
    loads = [from_samples(one) for one in run.intervals()]
    samples: list[Sample] = []
    for one in run.samples():
        spent_ns = one.t_ns if grows else round(30_000 * run.ports_at(one.t_ns))
        client = structs.replace(one.viewpoints[Side.CLIENT], cpu_system_ns=max(spent_ns, 0))
        samples.append(structs.replace(one, viewpoints={**one.viewpoints, Side.CLIENT: client}))
    result = turn_of(loads, samples, run.range_with_half_at(845))
    assert (result is not None) is known
    if result is not None:
        assert result.ports == pytest.approx(run.ports_at(845 * MS), rel=0.01)


@pytest.mark.parametrize("ports", [3_000, 4_000, 8_000, 12_000])
def test_a_narrow_range_has_its_turn_early_or_is_past_half_from_the_start(ports: int) -> None:
    before, after = 16_000, 1 / (1 / 16_000 + ports / 2 * 1.45e-3 / 14_116)
    at_ms = round(ports / 2 / before * 1000)
    run = course([(at_ms, before, FAST_CONNECT_NS), (1_000, after, 200_000)])
    result = turn_of(run.intervals(), run.samples(), ports)
    early = from_the_start(points(run.intervals(), run.samples(), Side.CLIENT), ports)
    assert early is (at_ms <= 90)
    assert early is (result is None)
    if result is not None:
        assert result.ports == pytest.approx(ports / 2, rel=NEAR)


@pytest.mark.parametrize("at_ms", range(5, 100, 15))
def test_one_within_the_first_interval_is_none_or_taken_for_its_end(at_ms: int) -> None:
    """There is no rate to compare with, but if hardly more were opened in it, its own."""
    run = falling(at_ms)
    ports = run.range_with_half_at(at_ms)
    result = turn_of(run.intervals(), run.samples(), ports)
    early = from_the_start(points(run.intervals(), run.samples(), Side.CLIENT), ports)
    assert early is (result is None)
    if result is not None:
        assert result.ports == pytest.approx(ports / 2, rel=NEAR)


@pytest.mark.parametrize("at_ms", [99, *range(110, 300, 15)])
def test_one_interval_before_it_is_enough(at_ms: int) -> None:
    run = falling(at_ms)
    ports = run.range_with_half_at(at_ms)
    result = turn_of(run.intervals(), run.samples(), ports)
    assert result is not None
    assert result.fell
    assert result.ports == pytest.approx(ports / 2, rel=0.03)


def test_one_that_has_its_time_does_not_count_as_from_the_start() -> None:
    run = falling(850)
    series = points(run.intervals(), run.samples(), Side.CLIENT)
    assert not from_the_start(series, run.range_with_half_at(850))
    assert not from_the_start(series, MANY_PORTS)


def test_ports_are_those_sampled_and_not_those_counted() -> None:
    # A server that closes leaves the client none: then the fall is not one of ports.
    run = falling(850)
    ports = run.range_with_half_at(850)
    assert turn_of(run.intervals(), run.samples(held=0.0), ports) is None
    assert turn_of(run.intervals(), run.samples(held=0.5), ports) is None
    half = turn_of(run.intervals(), run.samples(held=0.5), ports // 2)
    assert half is not None
    assert half.ports == pytest.approx(ports / 4, rel=0.01)


@pytest.mark.parametrize("at_ms", [500, 2_500])
def test_of_two_falls_the_one_at_half_of_the_ports_counts(at_ms: int) -> None:
    run = course([(500, 16_000, 15_000), (2_000, 4_000, 100_000), (1_000, 300, 900_000)])
    assert found(run, at_ms).time_ns == pytest.approx(at_ms * MS, abs=3 * MS)


def test_an_exhaustion_after_it_does_not_hide_it_but_one_right_upon_it_does() -> None:
    run = falling(850)
    ports = run.range_with_half_at(850)
    late = run.intervals({8 + LASTING + 1: {NO_PORT: 1}})
    soon = run.intervals({8 + LASTING: {NO_PORT: 1}})
    assert turn_of(late, run.samples(), ports) is not None
    assert turn_of(soon, run.samples(), ports) is None


def test_the_rate_after_it_ends_where_no_port_is_left() -> None:
    run = course([(850, 16_000, FAST_CONNECT_NS), (1_000, 660, SLOW_CONNECT_NS), (3_000, 0, SLOW_CONNECT_NS)])
    gone = {index: {NO_PORT: 50} for index in range(19, 48)}
    result = turn_of(run.intervals(gone), run.samples(), run.range_with_half_at(850))
    assert result is not None
    assert result.rate_after == pytest.approx(660, rel=0.1)


# Where there is none


STEADY, SLOWER = (2_000, 16_000, 15_000), (1_000, 7_000, 30_000)


@pytest.mark.parametrize(
    ("rates", "half_ms"),
    [
        ([STEADY], 1_000),
        ([(100, 16_000, 15_000)], 50),
        ([(700, 16_000, 15_000), (100, 200, 600_000), (1_000, 16_000, 15_000)], 700),
        ([(700, 16_000, 15_000), (250, 200, 600_000), (1_000, 16_000, 15_000)], 700),
        ([(500, 500, 15_000), (300, 4_000, 15_000), (1_500, 16_000, 15_000)], 800),
        ([(1_000, 16_000, 15_000), SLOWER], 1_000),
        ([(1_000, 16_000, 15_000), (1_000, 300, 15_000)], 1_000),
        ([(1_000, 16_000, 15_000), (1_000, 0, 15_000)], 1_000),
        ([(100, 640, 15_000), (4_000, 0, 15_000)], 50),
        ([*[(100, 640, 15_000), (900, 0, 15_000)] * 4], 1_050),
        ([(100, 16_000, 15_000), (100, 300, 600_000)], 100),
        ([(700, 16_000, 15_000), (200, 300, 600_000)], 700),
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
        "a crawl too short, and too early",
        "a crawl too short",
    ],
)
def test_no_turn_is_seen_in(rates: list[tuple[int, float, int]], half_ms: int) -> None:
    """Half of the ports is held where it would be most likely."""
    run = course(rates, noise=0.1)
    assert turn_of(run.intervals(), run.samples(), run.range_with_half_at(half_ms)) is None


@pytest.mark.parametrize("half_ms", range(200, 2_600, 100))
def test_a_slow_connect_is_no_turn_away_from_half_of_the_ports(half_ms: int) -> None:
    run = course([(1_300, 4_000, FAST_CONNECT_NS), (1_500, 3_000, SLOW_CONNECT_NS)], noise=0.05)
    result = turn_of(run.intervals(), run.samples(), run.range_with_half_at(half_ms))
    if abs(half_ms - 1_300) >= 800:
        assert result is None
    if abs(half_ms - 1_300) <= 400:
        assert result is not None
    assert result is None or result.time_ns == pytest.approx(1_300 * MS, abs=100 * MS)


def test_ports_that_are_given_back_at_once_are_no_crossing() -> None:
    run = falling(850)
    samples = [
        sample(t_ns, side(ports_held=9_000 if t_ns == 9 * STEP else 100)) for t_ns in range(0, 3 * S, STEP)
    ]
    assert turn_of(run.intervals(), samples, 16_000) is None


def test_without_samples_around_it_nothing_is_claimed() -> None:
    run = falling(850)
    ports = run.range_with_half_at(850)
    for samples in ([], run.samples()[:3]):
        assert turn_of(run.intervals(), samples, ports) is None


def test_without_intervals_there_is_none() -> None:
    assert turn_of([], [], 28_232) is None
    assert turn_of([], falling(850).samples(), 28_232) is None


@given(
    st.sampled_from([3.0, 30.0, 300.0, 3_000.0, 30_000.0]),
    st.sampled_from([0.15, 0.3, 0.5]),
    st.integers(0, 2**32 - 1),
    st.integers(10, 90),
)
def test_noise_alone_is_no_turn(per_s: float, noise: float, seed: int, half: int) -> None:
    random = np.random.default_rng(seed)
    means = per_s / 10 * random.uniform(1 - noise, 1 + noise, 100)
    counts: list[int] = random.poisson(means).tolist()
    connects: list[int] = random.lognormal(np.log(15_000), 0.3, 100).astype(int).tolist()
    intervals = [
        interval(index, count, connect_p50_ns=connect if count else None)
        for index, (count, connect) in enumerate(zip(counts, connects, strict=True))
    ]
    samples = [sample(index * STEP, side(ports_held=index)) for index in range(101)]
    assert turn_of(intervals, samples, 2 * half) is None


@given(
    st.lists(
        st.builds(
            interval,
            st.integers(0, 20),
            st.integers(0, 3000),
            connect_p50_ns=st.none() | st.integers(0, 10**9),
        ),
        max_size=12,
    )
)
def test_whatever_the_intervals_it_answers(intervals: list[Interval]) -> None:
    ordered = sorted(intervals, key=lambda one: one.start_ns)
    samples = [sample(t_ns, side(ports_held=t_ns // MS)) for t_ns in range(0, 3 * S, STEP)]
    result = turn_of(ordered, samples, 1_600)
    assert result is None or result.connect_after_ns > result.connect_before_ns


# Rates


def test_a_rate_is_per_second_of_the_points_own_length() -> None:
    assert rate(points([driven(0, S // 4, connected=100)], [], Side.CLIENT)) == 400
    assert rate(points([driven(S, S, connected=100)], [], Side.CLIENT)) == 0
    assert rate([]) == 0


# Gaps


def with_gaps(run: Course, at_ms: int, *gaps: Gap) -> Turn | None:
    fold = Fold(run.range_with_half_at(at_ms))
    for record in (*run.intervals(), *run.samples(), *gaps):
        fold.add(record)
    return fold.under_load().turn


@pytest.mark.parametrize("what", ["load worker", "server", "sampler"])
def test_a_turn_is_found_between_gaps_and_never_in_one_or_across_it(what: str) -> None:
    run = falling(2_000)
    alone = found(run, 2_000)
    for begin_ms, end_ms in ((300, 1_100), (2_900, 3_500)):
        beside = with_gaps(run, 2_000, gap(what, begin_ms * MS, end_ms * MS))
        assert beside is not None
        assert (beside.time_ns, beside.ports) == (alone.time_ns, alone.ports)
    for begin_ms, end_ms in ((1_500, 2_500), (1_950, 2_200), (1_930, 1_940), (2_000, 2_600), (1_200, 3_000)):
        assert with_gaps(run, 2_000, gap(what, begin_ms * MS, end_ms * MS)) is None


@pytest.mark.parametrize("begin_ms", range(1_000, 3_000, 50))
def test_wherever_a_gap_is_the_turn_is_where_it_was_or_there_is_none(begin_ms: int) -> None:
    run = falling(2_030, noise=0.1)
    alone = found(run, 2_030)
    beside = with_gaps(run, 2_030, gap("load worker", begin_ms * MS, (begin_ms + 400) * MS))
    far = begin_ms + 400 <= 1_900 or begin_ms >= 2_200  # no point beside that of the turn is touched
    assert far is (beside is not None)
    if beside is not None:
        assert beside.time_ns == pytest.approx(alone.time_ns, abs=10 * MS)
        assert beside.ports == pytest.approx(alone.ports, rel=0.01)


spans = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=8)


@given(spans)
def test_what_gaps_hide_is_what_looking_at_each_instant_gives(lengths: list[tuple[int, int]]) -> None:
    events = [gap("server", begin, begin + length) for begin, length in lengths]
    gaps = gaps_of(events)
    units = [any(one.touches(at, at + 1) for one in gaps) for at in range(40)]
    assert covered_ns(gaps, 5, 35) == sum(units[5:35])
    intervals = [driven(at, at + 3) for at in range(0, 40, 3)]
    assert hidden(intervals, gaps) == [any(units[one.start_ns : one.end_ns]) for one in intervals]
