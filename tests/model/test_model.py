"""The model: cases computed by hand from the kernel facts, and what must hold for any situation."""

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.pace import search_s
from loadgen.model.predict import predict
from loadgen.model.situation import TIME_WAIT_S, Costs, Situation, Walk
from loadgen.model.tuples import distinct_ports
from loadgen.records.prediction import Prediction
from loadgen.tcp import Ending, How
from loadgen.wire.codec import decode, encode

DEFAULT_PORTS = 28_232
CLIENT_FIN = Situation(
    ports=DEFAULT_PORTS,
    paths=1,
    hold_s=TIME_WAIT_S,
    ending=Ending.CLIENT_FIN,
    requests=1,
    duration_s=30.0,
    costs=Costs(connection_s=1 / 16_000, exchange_s=1 / 64_000),
    rate=None,
    connections=64,
    pause_s=0.0,
    tw_buckets=131_072,
)
"""The http10 story: a client closes first, from the default port range, as fast as it can."""


def told(**change: object) -> Prediction:
    return predict(dataclasses.replace(CLIENT_FIN, **change))  # pyright: ignore[reportArgumentType]


# By hand


def test_of_a_command_only_what_holds_at_any_rate_is_predicted() -> None:
    client = told(costs=None)
    assert (client.ceiling_per_s, client.knee_ports) == (told().ceiling_per_s, 14_116)
    assert (client.rate_per_s, client.time_wait_client, client.time_wait_server) == (None, None, 0)
    assert (client.time_to_knee_s, client.time_to_exhaustion_s, client.past_knee_per_s) == (None, None, None)
    server = told(costs=None, ending=Ending.SERVER_FIN)
    assert (server.time_wait_client, server.time_wait_server) == (0, None)
    assert (server.ceiling_per_s, server.knee_ports) == (None, None)
    reset = told(costs=None, ending=Ending.CLIENT_RST)
    assert (reset.time_wait_client, reset.time_wait_server, reset.knee_ports) == (0, 0, None)
    # Beyond the buckets TIME-WAITs are destroyed at once, and the ports never run out (K14).
    assert told(costs=None, tw_buckets=10_000).ceiling_per_s is None
    assert decode(encode(client), Prediction) == client


def test_with_a_range_of_the_sockets_own_nothing_is_searched_for_before_all_is_taken() -> None:
    own, usual = told(walk=Walk.ALL), told()
    assert (own.knee_ports, own.time_to_knee_s, own.past_knee_per_s) == (None, None, None)
    assert own.ceiling_per_s == usual.ceiling_per_s
    assert own.time_to_exhaustion_s is not None
    assert usual.time_to_exhaustion_s is not None
    assert own.time_to_exhaustion_s == pytest.approx(DEFAULT_PORTS / 16_000)
    assert own.time_to_exhaustion_s < usual.time_to_exhaustion_s
    assert told(walk=Walk.ALL, costs=None).knee_ports is None


def test_a_port_that_bind_takes_has_the_same_knee_and_is_said_to_be_bound() -> None:
    early = told(walk=Walk.RANDOM)
    assert early.knee_ports == 14_116
    assert any("past the knee bind() takes" in words for words in early.assumptions)


@pytest.mark.parametrize(
    ("walk", "reached", "opened", "seen"),
    [
        # 500/s for 3 s through 2,000 ports, with a server that closes first.
        (Walk.RANDOM, 2, 1_500, 1_061),
        (Walk.ALL, 1, 1_500, 1_114),
    ],
)
def test_a_servers_time_waits_are_as_many_as_there_are_tuples(
    walk: Walk, reached: int, opened: int, seen: int
) -> None:
    found = told(
        ending=Ending.SERVER_FIN,
        ports=2_000,
        rate=opened / 3,
        arriving=opened / 3,
        duration_s=3.0,
        walk=walk,
        reached=reached,
    )
    assert found.time_wait_server == pytest.approx(seen, rel=0.05)


def test_the_ceiling_is_the_ports_over_the_time_they_are_held() -> None:
    assert told().ceiling_per_s == pytest.approx(463, abs=0.5)  # K2, K7: 28,232 ports / 61 s


def test_a_closed_loop_reaches_the_knee_at_half_of_the_ports_and_then_crawls_to_the_end() -> None:
    prediction = told()
    assert prediction.knee_ports == 14_116
    assert prediction.time_to_knee_s == pytest.approx(14_116 / 16_000)
    # K8: connect() takes 1.45 ms more, so 661 a second are left for the other 14,116.
    assert prediction.time_to_exhaustion_s == pytest.approx(0.882 + 14_116 * (1.45e-3 + 1 / 16_000), rel=1e-3)
    assert (prediction.time_wait_client, prediction.time_wait_server) == (DEFAULT_PORTS, 0)


def test_an_open_loop_reaches_both_at_its_rate() -> None:
    prediction = told(rate=500.0, duration_s=60.0)
    assert prediction.time_to_knee_s == pytest.approx(14_116 / 500)
    assert prediction.time_to_exhaustion_s == pytest.approx(DEFAULT_PORTS / 500)
    assert (prediction.rate_per_s, prediction.rate_assumed, prediction.time_wait_client) == (
        500,
        False,
        28_232,
    )


def test_an_open_loop_faster_than_the_knee_allows_crawls_all_the_same() -> None:
    prediction = told(rate=4_000.0)
    assert prediction.time_to_knee_s == pytest.approx(14_116 / 4_000)
    assert prediction.time_to_exhaustion_s == pytest.approx(3.529 + 14_116 * (1.45e-3 + 1 / 16_000), rel=1e-3)


@pytest.mark.parametrize("duration_s", [10.0, 60.0, 180.0, 3600.0])
def test_a_rate_below_the_ceiling_never_exhausts_and_levels_off_at_rate_times_hold(duration_s: float) -> None:
    prediction = told(rate=450.0, duration_s=duration_s)
    assert prediction.time_to_exhaustion_s is None
    assert prediction.time_wait_client == round(450 * min(duration_s, TIME_WAIT_S))


def test_a_rate_that_fills_less_than_half_meets_no_knee() -> None:
    half_rate = 14_116 / TIME_WAIT_S
    assert told(rate=half_rate * 0.999, duration_s=180.0).time_to_knee_s is None
    just_above = told(rate=half_rate * 1.001, duration_s=180.0)
    assert just_above.time_to_knee_s == pytest.approx(TIME_WAIT_S, rel=2e-3)
    assert just_above.time_wait_client == pytest.approx(14_116, rel=2e-3)


def test_what_comes_after_the_end_of_the_run_is_not_predicted() -> None:
    assert told(duration_s=0.5).time_to_knee_s is None
    assert told(duration_s=0.5).time_wait_client == 8_000
    assert told(duration_s=2.0).time_to_knee_s is not None
    assert told(duration_s=2.0).time_to_exhaustion_s is None


def test_a_wide_range_crawls_so_slowly_that_ports_come_back_before_the_last_is_gone() -> None:
    prediction = told(ports=64_512, duration_s=180.0)
    slow = 1 / (1 / 16_000 + search_s(32_256))
    assert prediction.time_to_exhaustion_s is None
    assert prediction.time_wait_client == pytest.approx(
        32_256 + slow * (TIME_WAIT_S - 32_256 / 16_000), abs=1
    )


def test_a_reset_leaves_nothing_and_nothing_runs_out() -> None:
    for ending in (Ending.CLIENT_RST, Ending.SERVER_RST):
        prediction = told(ending=ending, duration_s=180.0)
        assert (prediction.time_wait_client, prediction.time_wait_server) == (0, 0)
        assert prediction.ceiling_per_s is None
        assert prediction.time_to_knee_s is None
        assert prediction.time_to_exhaustion_s is None


@pytest.mark.parametrize("duration_s", [30.0, 180.0])
def test_a_server_that_closes_leaves_nothing_on_the_client_and_half_of_the_ports_on_itself(
    duration_s: float,
) -> None:
    prediction = told(ending=Ending.SERVER_FIN, duration_s=duration_s)
    assert (prediction.time_wait_client, prediction.time_wait_server) == (0, 14_116)
    assert (prediction.ceiling_per_s, prediction.time_to_knee_s, prediction.time_to_exhaustion_s) == (
        None,
    ) * 3


def test_a_slow_server_that_closes_holds_each_connection_until_it_expires() -> None:
    # 10/s for 61 s: fewer than one walk over the ports, so none is met twice.
    assert told(ending=Ending.SERVER_FIN, rate=10.0, duration_s=180.0).time_wait_server == 610


def test_the_bucket_limit_bounds_the_population_and_raises_the_apparent_capacity() -> None:
    prediction = told(tw_buckets=20_000)  # K14: the excess is destroyed, its port free
    assert prediction.time_wait_client == 20_000
    assert prediction.time_to_knee_s is not None
    assert prediction.time_to_exhaustion_s is None
    assert prediction.ceiling_per_s is None
    assert told(tw_buckets=10_000).time_to_knee_s is None
    assert told(tw_buckets=10_000).time_wait_client == 10_000
    assert told(tw_buckets=3_000, ending=Ending.SERVER_FIN).time_wait_server == 3_000


def test_addresses_multiply_the_ports_and_each_scan_stays_that_of_one_range() -> None:
    one, four = told(duration_s=60.0), told(ports=4 * DEFAULT_PORTS, paths=4, duration_s=60.0)
    assert one.ceiling_per_s is not None
    assert one.time_to_knee_s is not None
    assert one.time_to_exhaustion_s is not None
    assert four.ceiling_per_s == pytest.approx(4 * one.ceiling_per_s)
    assert four.time_to_knee_s == pytest.approx(4 * one.time_to_knee_s)
    assert four.time_to_exhaustion_s is None  # 56,464 more at 661/s
    assert four.time_wait_client == pytest.approx(4 * 14_116 + 661 * (60 - 4 * 0.882), rel=1e-3)


def test_reuse_gives_ports_back_after_its_delay() -> None:
    # K12: a port is taken over after a second, so 5,000/s hold 5,000 of 28,232: no knee, no end.
    prediction = told(rate=5_000.0, hold_s=1.0, duration_s=180.0)
    assert prediction.ceiling_per_s == DEFAULT_PORTS
    assert (prediction.time_to_knee_s, prediction.time_to_exhaustion_s) == (None, None)
    assert prediction.time_wait_client == 14_116  # one parity: each TIME-WAIT is replaced by the next
    assert any("K12" in text for text in prediction.assumptions)


def test_kept_connections_count_as_connections_not_as_requests() -> None:
    prediction = told(requests=100, duration_s=20.0)
    cost_s = 1 / 16_000 + 99 / 64_000
    assert prediction.rate_per_s == pytest.approx(1 / cost_s)
    assert prediction.time_wait_client == pytest.approx(20 / cost_s, abs=1)


def test_a_closed_loop_that_rests_is_bound_by_its_connections() -> None:
    prediction = told(pause_s=1.0)
    assert prediction.rate_per_s == pytest.approx(64, rel=1e-3)
    # It follows from the scenario alone, while the generator is idle for most of the time.
    assert not prediction.rate_assumed
    assert told(pause_s=1.0, connections=15_000).rate_assumed


# Connections in flight hold ports, too


HELD = dataclasses.replace(CLIENT_FIN, ports=10_000, ending=Ending.SERVER_FIN, duration_s=3.0, pause_s=1.0)
"""Connections that live for a second, of a client with 10,000 ports."""


def of_held(**change: object) -> Prediction:
    return predict(dataclasses.replace(HELD, **change))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("in_place", [False, True])
def test_fewer_in_flight_than_half_of_the_ports_meet_no_knee_where_the_server_closes(in_place: bool) -> None:
    prediction = of_held(connections=4_000, in_place=in_place, duration_s=10.0)
    assert (prediction.knee_ports, prediction.past_knee_per_s, prediction.time_to_knee_s) == (None,) * 3
    assert prediction.time_wait_server == pytest.approx(5_000, rel=0.05)


@pytest.mark.parametrize("ending", [Ending.CLIENT_RST, Ending.SERVER_FIN])
def test_more_in_flight_than_half_of_the_ports_are_past_the_knee_where_ports_come_back_at_once(
    ending: Ending,
) -> None:
    scan_s = search_s(5_000)
    prediction = of_held(connections=9_000, in_place=True, ending=ending)
    assert prediction.knee_ports == 5_000
    assert prediction.time_to_knee_s == pytest.approx(5_000 / 16_000)
    # 4,000 of 9,000 are beyond the first parity: so many of those that take their places search.
    assert prediction.past_knee_per_s == pytest.approx(1 / (1 / 16_000 + scan_s * 4 / 9))
    assert prediction.time_to_exhaustion_s is None
    left = 0 if ending.how is How.RST else pytest.approx(9_000, rel=0.01)
    assert (prediction.time_wait_client, prediction.time_wait_server) == (0, left)
    assert any("9,000 connections in flight" in text for text in prediction.assumptions)


def test_connections_that_wait_to_be_opened_hold_no_port() -> None:
    prediction = of_held(connections=9_000, pause_s=0.0)
    assert (prediction.knee_ports, prediction.time_wait_server) == (None, 5_000)
    assert any("the others wait" in text for text in prediction.assumptions)
    # Searching slows the opening down, so fewer live at a time: 5,000 a life without a search, the rest with.
    slowed = of_held(connections=9_000)
    scan_s = search_s(5_000)
    assert slowed.past_knee_per_s == pytest.approx((1 + 5_000 * scan_s) / (1 / 16_000 + scan_s), rel=1e-3)


def test_an_open_loop_holds_its_rate_times_the_life_of_a_connection() -> None:
    assert of_held(rate=4_900.0, connections=20_000).knee_ports is None
    prediction = of_held(rate=5_500.0, connections=20_000)
    assert prediction.time_to_knee_s == pytest.approx(5_000 / 5_500)
    assert prediction.past_knee_per_s == pytest.approx(5_500)  # the few that search are no hindrance
    assert 5_500 <= (prediction.time_wait_server or 0) <= 10_000
    capped = of_held(rate=5_500.0, connections=3_000)
    assert capped.knee_ports is None


def test_more_connections_than_ports_run_out_at_once() -> None:
    prediction = of_held(ports=100, connections=200, in_place=True)
    assert prediction.time_to_exhaustion_s == pytest.approx(50 / 16_000 + 50 * (1 / 16_000 + search_s(50)))
    assert prediction.time_wait_server == 100
    assert of_held(ports=100, connections=100, in_place=True).time_to_exhaustion_s is None


def test_where_the_client_closes_those_in_flight_bring_the_knee_nearer() -> None:
    # 9,000 are opened at once: half of the ports are gone before the first of them ends.
    many = of_held(ending=Ending.CLIENT_FIN, connections=9_000)
    assert many.time_to_knee_s == pytest.approx(5_000 / 16_000)
    # 2,000 are opened in each of two rounds; the third takes the half and goes beyond.
    few = of_held(ending=Ending.CLIENT_FIN, connections=2_000)
    assert few.time_to_knee_s == pytest.approx(2 + 1_000 / 16_000, rel=1e-3)
    assert few.time_wait_client == pytest.approx(6_000, rel=0.01)
    # A port is held for the life of its connection and for TIME-WAIT.
    assert few.ceiling_per_s == pytest.approx(10_000 / (TIME_WAIT_S + 1))


def test_an_open_loop_beyond_the_generator_says_that_its_rate_is_assumed() -> None:
    prediction = told(rate=50_000.0)
    assert (prediction.rate_per_s, prediction.rate_assumed) == (16_000, True)
    assert "16,000 connections/s" in prediction.assumptions[0]
    assert told(rate=1_000.0, pause_s=1.0).rate_per_s == pytest.approx(64, rel=1e-3)


@pytest.mark.parametrize(
    ("opened", "ports", "seen"),
    [(2_688, 12_000, 2_383), (55_282, 12_000, 6_000), (1, 28_232, 1), (0, 28_232, 0)],
)
def test_distinct_ports_are_those_seen(opened: int, ports: int, seen: int) -> None:
    assert distinct_ports(opened, ports) == pytest.approx(seen, abs=1)


# The population against a simulation, past the time that TIME-WAIT lasts


def simulated_peak(situation: Situation, rate: float) -> float:
    """The largest population by stepping through time: ports of the first parity are taken fast while
    there are any, those of the second after a scan, and each comes back after `hold_s`."""
    step_s = 0.02
    half = situation.ports / 2
    scan_s = search_s(half / situation.paths)
    slow = min(rate, 1 / (situation.costs.connection_s + scan_s))
    held = [0.0, 0.0]
    taken: list[tuple[float, float]] = []
    hold = round(situation.hold_s / step_s)
    peak = 0.0
    for step in range(round(situation.duration_s / step_s)):
        if step >= hold:
            held = [held[parity] - taken[step - hold][parity] for parity in (0, 1)]
        fast = min(rate * step_s, half - held[0])
        # The time that the fast ones left over goes to slow ones.
        rest = min((step_s - fast / rate) * slow, half - held[1])
        held = [held[0] + fast, held[1] + rest]
        taken.append((fast, rest))
        peak = max(peak, sum(held))
    return peak


@pytest.mark.parametrize("ports", [2_000, 28_232, 64_512])
@pytest.mark.parametrize("rate", [20.0, 235.0, 400.0, 470.0, 700.0, 2_000.0, 16_000.0])
def test_a_long_run_peaks_where_a_simulation_does(ports: int, rate: float) -> None:
    situation = dataclasses.replace(CLIENT_FIN, ports=ports, rate=rate, duration_s=180.0)
    assert predict(situation).time_wait_client == pytest.approx(simulated_peak(situation, rate), rel=0.01)


def simulated_places(ports: int, in_flight: int, opened: int) -> tuple[int, float]:
    """How many different ports `opened` connections take, and how many ports each of them looks at, where
    as many stay in flight: connect()'s own walk (`__inet_hash_connect()` in net/ipv4/inet_hashtables.c)."""
    rng = random.Random(1)
    held: list[int] = []
    used = bytearray(ports)
    seen: set[int] = set()
    offset = looked = 0
    for _ in range(opened):
        if len(held) == in_flight:
            for _ in range(20):  # io_uring ends and opens them by so many
                used[held.pop(rng.randrange(len(held)))] = 0
        first = offset % ports & ~1
        places = ((step, (first + parity + step) % ports) for parity in (0, 1) for step in range(0, ports, 2))
        look, (step, port) = next((look, place) for look, place in enumerate(places, 1) if not used[place[1]])
        looked += look
        used[port] = 1
        held.append(port)
        seen.add(port)
        offset += max(step, 2 * rng.randrange(8)) + 2
    return len(seen), looked / opened


@pytest.mark.parametrize("in_flight", [100, 300, 450, 550, 700, 900])
def test_connections_in_flight_take_the_ports_and_the_time_that_a_simulation_does(in_flight: int) -> None:
    situation = dataclasses.replace(HELD, ports=1_000, connections=in_flight, in_place=True, pause_s=0.0)
    prediction = predict(situation)
    rate = prediction.past_knee_per_s or prediction.rate_per_s
    assert rate is not None
    opened = 3_000
    found = predict(dataclasses.replace(situation, duration_s=opened / rate)).time_wait_server
    distinct, looked = simulated_places(situation.ports, in_flight, opened)
    assert found == pytest.approx(distinct, rel=0.05)
    assert rate == pytest.approx(1 / (1 / 16_000 + looked * search_s(500) / 500), rel=0.1)


# For any situation


situations = st.builds(
    Situation,
    ports=st.integers(2, 2_000_000),
    paths=st.integers(1, 2),
    hold_s=st.sampled_from([TIME_WAIT_S, 1.0, 0.001]),
    ending=st.sampled_from(Ending),
    requests=st.integers(1, 1_000_000),
    duration_s=st.floats(0.1, 3600),
    costs=st.builds(
        Costs, connection_s=st.floats(1 / 100_000, 1 / 100), exchange_s=st.floats(1 / 500_000, 1 / 100)
    ),
    rate=st.none() | st.floats(1e-8, 1e6),
    connections=st.integers(1, 60_000),
    pause_s=st.just(0.0) | st.floats(1e-9, 1e6),
    tw_buckets=st.integers(0, 1_000_000),
    workers=st.integers(1, 4),
    in_place=st.booleans(),
)


@given(situations)
def test_a_prediction_is_finite_and_within_its_bounds(situation: Situation) -> None:
    prediction = predict(situation)
    for field in dataclasses.fields(prediction):
        value = getattr(prediction, field.name)
        if isinstance(value, int | float):
            assert math.isfinite(value)
            assert value >= 0
    held = prediction.time_wait_client + prediction.time_wait_server
    assert held <= min(situation.ports, situation.tw_buckets)
    assert 0 in (prediction.time_wait_client, prediction.time_wait_server)
    for time_s in (prediction.time_to_knee_s, prediction.time_to_exhaustion_s):
        assert time_s is None or time_s <= situation.duration_s
    if prediction.time_to_exhaustion_s is not None:
        assert prediction.time_to_knee_s is not None
        assert prediction.time_to_knee_s <= prediction.time_to_exhaustion_s
        leaves = situation.ending.how is How.FIN
        assert held == (min(situation.ports, situation.tw_buckets) if leaves else 0)


@given(situations)
def test_a_prediction_survives_json(situation: Situation) -> None:
    prediction = predict(situation)
    assert decode(encode(prediction), Prediction) == prediction


def later(first: float | None, second: float | None) -> bool:
    """Whether the second comes no sooner, never being the latest."""
    return second is None or (first is not None and second >= first * (1 - 1e-9))


@given(situations, st.integers(0, 1_000_000))
def test_more_ports_never_run_out_sooner(situation: Situation, more: int) -> None:
    first = predict(situation)
    second = predict(dataclasses.replace(situation, ports=situation.ports + more))
    assert later(first.time_to_knee_s, second.time_to_knee_s)
    assert later(first.time_to_exhaustion_s, second.time_to_exhaustion_s)
    if first.ceiling_per_s is not None and second.ceiling_per_s is not None:
        assert second.ceiling_per_s >= first.ceiling_per_s


@given(situations, st.floats(1, 1000))
def test_a_higher_rate_never_runs_out_later_nor_leaves_less(situation: Situation, factor: float) -> None:
    rate = situation.rate or 1.0
    slow = predict(dataclasses.replace(situation, rate=rate, in_place=False))
    fast = predict(dataclasses.replace(situation, rate=rate * factor, in_place=False))
    assert later(fast.time_to_knee_s, slow.time_to_knee_s)
    assert later(fast.time_to_exhaustion_s, slow.time_to_exhaustion_s)
    assert fast.time_wait_client >= slow.time_wait_client - 1
    assert fast.time_wait_server >= slow.time_wait_server


@given(situations, st.floats(1, 100))
def test_a_longer_run_never_leaves_less(situation: Situation, factor: float) -> None:
    short = predict(situation)
    long = predict(dataclasses.replace(situation, duration_s=situation.duration_s * factor))
    assert long.time_wait_client >= short.time_wait_client
    assert long.time_wait_server >= short.time_wait_server
    assert later(long.time_to_exhaustion_s, short.time_to_exhaustion_s)


@given(st.floats(0, 1e7), st.floats(0, 1e7), st.integers(2, 2_000_000))
def test_distinct_ports_grow_to_half_of_the_range_and_never_beyond_what_was_opened(
    opened: float, more: float, ports: int
) -> None:
    found = distinct_ports(opened, ports)
    assert 0 <= found <= min(opened, ports / 2) + 0.5
    assert distinct_ports(opened + more, ports) >= found
