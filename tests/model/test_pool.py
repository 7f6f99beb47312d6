"""What the client's pool makes of bursts, foreseen: the connections that are short, and their pace."""

from typing import Any

import pytest

from loadgen.model.course import Decides, course, surplus
from loadgen.model.foresight import foresee
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending
from tests.made_records import variant


def pooled(burst: int, idle: int, requests: int = 1_000, closer: str = "client", **server: Any) -> Variant:
    loop = {"rate": "200/s", "arrivals": "bursts", "burst": burst}
    return variant(
        server=server,
        connection={"requests": requests, "closer": closer},
        load={"open_loop": loop, "pool": {"idle": idle}, "duration": "5s"},
    )


@pytest.mark.parametrize(("burst", "idle", "short"), [(10, 2, 8), (10, 9, 1), (10, 10, 0), (10, 20, 0)])
@pytest.mark.parametrize("closer", ["client", "server"])
def test_so_many_of_a_burst_are_short_as_find_no_place(
    burst: int, idle: int, short: int, closer: str
) -> None:
    asked = pooled(burst, idle, closer=closer)
    assert surplus(asked) == short
    said = "\n".join(one.sentence for one in foresee(asked))
    found = predict(situation(asked))
    if short:
        assert f"{short} of 10 connections are short" in said
        assert found.rate_per_s == pytest.approx(200 * short / burst)
        # The client closes them, whoever closes the others, and keeps their TIME-WAITs.
        assert course(asked).ending is Ending.CLIENT_FIN
        assert found.time_wait_client == pytest.approx(1_000 * short / burst, rel=0.02)
    else:
        assert "none is closed for want of one" in said
        assert course(asked).decides is Decides.CONNECTION
        # Each of the ten makes a request of each burst, and is open when the load ends.
        assert (found.time_wait_at_end, found.in_flight) == (10, 10)


def test_a_connection_makes_no_more_requests_than_it_may() -> None:
    assert course(pooled(10, 9, requests=3)).requests == 3
    assert course(pooled(10, 9)).requests == 10


def test_the_client_closes_what_its_pool_has_no_place_for_whatever_serves() -> None:
    asked = variant(
        server={"kind": "command", "command": ["nginx"]},
        connection={"requests": 1_000, "closer": "client"},
        load={"open_loop": {"rate": "120/s", "arrivals": "bursts", "burst": 12}, "pool": {"idle": 4}},
    )
    assert course(asked).decides is Decides.POOL
    assert predict(situation(asked)).rate_per_s == pytest.approx(80)


def test_a_burst_opens_no_more_than_the_loop_may_have_open() -> None:
    loop = {"rate": "100/s", "arrivals": "bursts", "burst": 50, "connections": 20}
    asked = variant(
        connection={"requests": 100, "closer": "client"},
        load={"open_loop": loop, "pool": {"idle": 2}, "duration": "5s"},
    )
    assert surplus(asked) == 18
    # Two bursts a second, and 18 short connections of each.
    assert predict(situation(asked)).rate_per_s == pytest.approx(36)


def test_what_the_pool_keeps_the_server_may_close_before_the_next_burst() -> None:
    found = course(pooled(10, 2, idle_timeout="20ms"))
    assert (found.decides, found.requests) == (Decides.POOL, 1)
    assert course(pooled(10, 10, idle_timeout="20ms")).decides is Decides.IDLE_TIMEOUT
    assert course(pooled(10, 10, idle_timeout="200ms")).decides is Decides.CONNECTION


def test_random_arrivals_overlap_by_chance() -> None:
    asked = variant(
        connection={"requests": 9},
        load={"open_loop": {"rate": "9/s", "arrivals": "poisson"}, "pool": {"idle": 2}},
    )
    assert surplus(asked) == 0
    assert "is not foreseen" in "\n".join(one.sentence for one in foresee(asked))


def test_a_burst_beyond_the_connections_that_may_be_open_is_dropped_in_part() -> None:
    loop = {"rate": "100/s", "arrivals": "bursts", "burst": 100, "connections": 60}
    said = "\n".join(one.sentence for one in foresee(variant(load={"open_loop": loop})))
    assert "the 100 requests of a burst need 100 connections at a time" in said
    assert "allows 60, and about 40% of the requests are dropped" in said


def test_without_bursts_nothing_is_said_of_one() -> None:
    asked = variant(server={"delay": "1ms"}, load={"open_loop": {"rate": "200/s"}})
    assert not [one.sentence for one in foresee(asked) if "burst" in one.sentence]
