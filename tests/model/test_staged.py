"""The prediction of loads in stages: cases computed by hand."""

from dataclasses import replace

import pytest

from loadgen.model.predict import predict
from loadgen.model.situation import Costs, Situation
from loadgen.records.prediction import Prediction
from loadgen.tcp import Ending
from loadgen.wire.codec import decode, encode

FAST = Situation(
    ports=1000,
    paths=1,
    hold_s=61.0,
    ending=Ending.CLIENT_FIN,
    requests=1,
    duration_s=1.0,
    costs=Costs(connection_s=1 / 20_000, exchange_s=1 / 100_000),
    rate=200.0,
    connections=10_000,
    pause_s=0.0,
    tw_buckets=131_072,
    arriving=200.0,
)


def told(*stages: tuple[float, float], **change: object) -> Prediction:
    most, length_s = max(level for level, _ in stages), sum(length for _, length in stages)
    change = {"rate": most, "arriving": most, **change}
    return predict(replace(FAST, stages=stages, duration_s=length_s, **change))  # pyright: ignore[reportArgumentType]


def test_ports_run_out_in_a_stage_and_are_back_a_time_wait_later() -> None:
    found = told((200, 8), (0, 63), (200, 3))
    assert found.time_to_knee_s == pytest.approx(2.5, abs=0.05)
    assert found.time_to_exhaustion_s == pytest.approx(5.0, abs=0.05)
    first, pause, again = found.stages
    assert (first.ports_gone_s, first.ports_back_s) == (pytest.approx(5.0, abs=0.05), None)
    # 1,000 of the 1,600 that were wanted.
    assert first.rate_per_s == pytest.approx(125, rel=0.01)
    assert (pause.rate_per_s, pause.ports_gone_s, pause.time_wait) == (0, None, 0)
    assert again.ports_gone_s is None
    assert again.rate_per_s == pytest.approx(200, rel=0.01)
    assert (found.time_wait_client, found.time_wait_server) == (1000, 0)
    assert decode(encode(found), Prediction) == found


def test_a_pause_shorter_than_time_wait_gives_no_port_back() -> None:
    found = told((200, 6), (0, 10), (200, 2))
    assert found.stages[2].ports_gone_s == pytest.approx(16, abs=0.05)
    assert found.stages[2].rate_per_s == pytest.approx(0, abs=0.01)


def test_ports_come_back_within_a_stage() -> None:
    found = told((200, 5), (0, 50), (100, 12))
    last = found.stages[2]
    assert last.ports_gone_s == pytest.approx(55, abs=0.1)
    assert last.ports_back_s == pytest.approx(61, abs=0.1)


def test_the_population_follows_the_rates() -> None:
    found = told((10, 70), (40, 30), (0, 61.5), ports=28_232)
    assert [one.time_wait for one in found.stages] == pytest.approx([610, 310 + 1200, 0], abs=5)
    assert found.time_wait_client == pytest.approx(1510, abs=5)
    assert (found.time_to_knee_s, found.time_to_exhaustion_s) == (None, None)
    assert [one.begin_s for one in found.stages] == pytest.approx([0, 70, 100])


def test_equal_stages_are_as_one_load() -> None:
    whole = predict(replace(FAST, rate=30.0, arriving=30.0, duration_s=130.0, ports=5000))
    parts = told((30, 65), (30, 65), ports=5000)
    assert parts.time_wait_client == pytest.approx(whole.time_wait_client, abs=3)
    assert parts.rate_per_s == whole.rate_per_s


def test_a_server_that_closes_first_has_them_and_no_port_runs_out() -> None:
    found = told((50, 10), (0, 5), ending=Ending.SERVER_FIN)
    assert (found.time_wait_client, found.time_to_exhaustion_s) == (0, None)
    assert 0 < (found.time_wait_server or 0) <= 500
    reset = told((50, 10), (0, 5), ending=Ending.CLIENT_RST)
    assert (reset.time_wait_client, reset.time_wait_server) == (0, 0)
    assert [one.time_wait for one in reset.stages] == [0, 0]


def test_the_rate_of_a_closed_loop_in_stages_is_assumed() -> None:
    found = told((8, 1), (0, 1), rate=None, arriving=None, connections=8, ports=28_232)
    assert found.rate_assumed
    assert found.stages[0].rate_per_s > 1000
    assert found.stages[1].rate_per_s == 0
