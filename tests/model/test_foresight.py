"""Where settings meet: what is said of it before the run, and the prediction that follows."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.course import Decides, course
from loadgen.model.foresight import foresee
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.records.prediction import Prediction
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending
from tests.made_records import variant

OPEN = {"open_loop": {"rate": "500/s"}, "duration": "6s"}
CLOSED = {"closed_loop": {"connections": 100}, "duration": "6s"}


def foreseen(of: Variant) -> str:
    return "\n".join(one.sentence for one in foresee(of))


def predicted(of: Variant) -> Prediction:
    return predict(situation(of))


def test_settings_that_do_not_meet_need_no_words() -> None:
    assert foresee(variant()) == ()
    assert course(variant()).decides is Decides.CONNECTION


# server.delay against load.timeouts.response


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("requests", [1, 10])
@pytest.mark.parametrize("load", [OPEN, CLOSED])
def test_a_response_later_than_its_timeout_never_comes(
    closer: str, requests: int, load: dict[str, Any]
) -> None:
    late = variant(
        server={"delay": "3s"},
        connection={"closer": closer, "requests": requests},
        load={**load, "timeouts": {"response": "2s"}},
    )
    said = foreseen(late)
    assert said.startswith(
        "every request will time out: server.delay is 3 s and load.timeouts.response 2 s\n"
    )
    assert "ends by the client's reset" in said
    found = predicted(late)
    assert (found.time_wait_client, found.time_wait_server, found.time_wait_at_end) == (0, 0, 0)
    # An attempt for each request; in a closed loop one after the other.
    assert found.rate_per_s == pytest.approx(500 if load is OPEN else 100 / 2, rel=0.02)
    assert found.in_flight == pytest.approx(1_000 if load is OPEN else 100, rel=0.02)


def test_a_response_about_as_late_as_its_timeout_may_come() -> None:
    near = variant(server={"delay": "2s"}, load={**OPEN, "timeouts": {"response": "2s"}})
    assert "most requests will time out, and some will not" in foreseen(near)
    nearer = variant(server={"delay": "1990ms"}, load={**OPEN, "timeouts": {"response": "2s"}})
    assert "requests that take a little longer time out" in foreseen(nearer)
    assert predicted(nearer).time_wait_server == pytest.approx(3_000, rel=0.1)


# server.idle_timeout against the client's pause


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize(("close", "left"), [("fin", True), ("rst", False)])
def test_a_server_that_is_idle_for_shorter_than_the_client_pauses_closes_first(
    closer: str, close: str, left: bool
) -> None:
    idle = variant(
        server={"idle_timeout": "500ms"},
        connection={"requests": 5, "closer": closer, "close": close, "think": "1s"},
        load=CLOSED,
    )
    assert "the server closes each connection first, after one request" in foreseen(idle)
    assert ("holds the TIME-WAITs" in foreseen(idle)) is left
    found = situation(idle)
    assert (found.ending, found.requests) == (Ending.of(Ending.SERVER_FIN.side, found.ending.how), 1)
    assert found.pause_s == pytest.approx(0.5)
    # Twelve rounds of 100; the last is open when the load ends, and is closed by the scenario's closer.
    prediction = predict(found)
    of_client = 100 if closer == "client" and left else 0
    assert prediction.time_wait_client == of_client
    assert prediction.time_wait_server == (1_200 - of_client if left else 0)


def test_a_pause_as_short_as_the_idle_timeout_closes_nothing() -> None:
    same = variant(
        server={"idle_timeout": "1s"},
        connection={"requests": 5, "closer": "client", "think": "1s"},
        load=CLOSED,
    )
    assert course(same).decides is Decides.CONNECTION
    assert "a request can meet the server's close" in foreseen(same)


def test_in_an_open_loop_the_pause_is_that_between_arrivals() -> None:
    rare = variant(
        server={"idle_timeout": "100ms"},
        connection={"requests": 50, "closer": "client"},
        load={"open_loop": {"rate": "2/s"}, "duration": "10s"},
    )
    assert "the next request comes 500 ms later" in foreseen(rare)
    assert situation(rare).ending is Ending.SERVER_FIN
    assert predicted(rare).rate_per_s == pytest.approx(2)
    often = variant(
        server={"idle_timeout": "100ms"},
        connection={"requests": 50, "closer": "client"},
        load={"open_loop": {"rate": "20/s"}, "duration": "10s"},
    )
    assert course(often).decides is Decides.CONNECTION


# rate x response time against connections and ports


@pytest.mark.parametrize(("delay", "needed"), [("1ms", 2), ("100ms", 200), ("1s", 2_000), ("5s", 10_000)])
@pytest.mark.parametrize("requests", [100, 1_000])
def test_response_time_decides_how_many_connections_an_open_loop_needs(
    delay: str, needed: int, requests: int
) -> None:
    kept = variant(
        server={"delay": delay},
        connection={"requests": requests, "closer": "client"},
        load={
            "open_loop": {"rate": "2000/s", "connections": 15_000},
            "duration": "9s",
            "timeouts": {"response": "30s"},
        },
    )
    assert f"need {needed:,} connections at a time" in foreseen(kept)
    found = predicted(kept)
    assert found.in_flight == pytest.approx(needed, abs=20)
    assert found.time_wait_at_end == pytest.approx(needed, abs=20)
    ended = 2_000 * 9 // requests if delay == "1ms" else 0
    assert (found.time_wait_client or 0) >= needed
    if needed >= 2_000:
        assert found.time_wait_client == pytest.approx(needed + ended, rel=0.01)
        assert f"the client closes the {needed:,} connections" in foreseen(kept)


def needing(connections: int, ports: str, **connection: Any) -> Variant:
    return variant(
        lab={"client": {"ports": ports}},
        server={"delay": "1s"},
        connection=connection,
        load={"open_loop": {"rate": "3000/s", "connections": connections}, "duration": "5s"},
    )


@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("requests", [1, 50])
def test_more_connections_than_allowed_are_dropped_and_more_than_ports_find_none(
    closer: str, requests: int
) -> None:
    asked = {"closer": closer, "requests": requests}
    assert "about 67% of the requests are dropped" in foreseen(needing(1_000, "30000-39999", **asked))
    gone = needing(10_000, "32768-34767", **asked)
    assert "the client has 2,000 ports" in foreseen(gone)
    exhausted = predicted(gone).time_to_exhaustion_s
    assert exhausted is not None
    assert exhausted == pytest.approx(2 / 3, rel=0.2)
    half = needing(10_000, "32768-36767", **asked)
    assert "more than half of the client's 4,000 ports: connect() is slow from 0.7 s on" in foreseen(half)


# The accept queue


def queued(backlog: int, connections: int = 1_000, workers: int = 1, **sysctls: int) -> Variant:
    server = {name.replace("__", "."): str(value) for name, value in sysctls.items()}
    return variant(
        lab={"sysctl": {"server": server}} if server else {},
        server={"backlog": backlog, "workers": workers},
        load={"closed_loop": {"connections": connections}},
    )


def test_a_short_accept_queue_is_foreseen_and_named_in_the_prediction() -> None:
    assert "the accept queue takes 17 (server.backlog is 16)" in foreseen(queued(16))
    assert any("which takes 17 of 1,000" in text for text in predicted(queued(16)).assumptions)
    assert "accept queue" not in foreseen(queued(4_096))
    assert "takes 68 (server.backlog" in foreseen(queued(16, workers=4))
    assert "(net.core.somaxconn is 8)" in foreseen(queued(16, net__core__somaxconn=8))
    assert "by a reset" in foreseen(queued(16, net__ipv4__tcp_abort_on_overflow=1))
    assert "SYN queue is as short" in foreseen(queued(16, net__ipv4__tcp_syncookies=0))


# Slow connect() and a rate that falls are two predictions


def test_connect_becomes_slow_where_the_rate_does_not_fall() -> None:
    reused = {"net.ipv4.tcp_tw_reuse": "1"}
    lab: dict[str, Any] = {"client": {"ports": "32768-36767"}, "sysctl": {"client": reused}}
    connection = {"requests": 1, "closer": "client"}
    load = {"open_loop": {"rate": "1000/s"}, "duration": "8s"}
    found = predicted(variant(lab=lab, connection=connection, load=load))
    # 1,000 TIME-WAITs are younger than a second, and half of the ports are 2,000.
    assert (found.time_to_knee_s, found.time_to_exhaustion_s, found.rate_falls) == (None, None, False)
    lab["sysctl"] = {"client": {**reused, "net.ipv4.tcp_timestamps": "0"}}
    unstamped = variant(lab=lab, connection=connection, load=load)
    assert "net.ipv4.tcp_tw_reuse has no effect" in foreseen(unstamped)
    found = predicted(unstamped)
    assert (found.knee_ports, found.time_to_knee_s, found.rate_falls) == (2_000, 2.0, False)
    assert found.time_to_exhaustion_s == pytest.approx(4)
    fast = predicted(variant(connection=connection, load={"duration": "30s"}))
    assert fast.rate_falls


def test_past_the_knee_from_the_start_the_rate_is_the_one_past_it() -> None:
    crowded = variant(
        lab={"client": {"ports": "32768-36767"}},
        connection={"closer": "server"},
        load={"closed_loop": {"connections": 3_000}, "duration": "6s"},
    )
    found = predicted(crowded)
    assert found.past_from_start
    assert found.rate_per_s == found.past_knee_per_s
    assert not found.rate_falls
    assert "connect() is slow from the start" in foreseen(crowded)


def test_a_pause_of_one_request_has_no_effect() -> None:
    assert "connection.think has no effect" in foreseen(variant(connection={"think": "1s", "requests": 1}))


# Any settings

durations = st.sampled_from(["1ms", "50ms", "500ms", "510ms", "1s", "2s", "60s"])
connections = st.sampled_from([1, 17, 64, 1_000, 15_000])
open_loops = st.builds(
    lambda rate, most, arrivals: {"open_loop": {"rate": rate, "connections": most, "arrivals": arrivals}},
    st.sampled_from(["0.01/s", "2/s", "500/s", "100000/s"]),
    connections,
    st.sampled_from(["constant", "poisson"]),
)
closed_loops = st.builds(lambda number: {"closed_loop": {"connections": number}}, connections)


@given(
    loop=open_loops | closed_loops,
    closer=st.sampled_from(["client", "server"]),
    close=st.sampled_from(["fin", "rst"]),
    requests=st.sampled_from([1, 2, 1_000_000]),
    delay=durations,
    think=durations,
    idle=durations,
    response=durations,
    duration=durations.filter(lambda text: text not in ("1ms", "50ms")),
    backlog=st.sampled_from([1, 16, 4_096]),
    ports=st.sampled_from(["32768-33767", "32768-60999"]),
)
def test_any_settings_have_a_prediction_and_words_that_name_keys_of_a_scenario(
    loop: dict[str, Any], closer: str, close: str, requests: int, ports: str, **times: Any
) -> None:
    asked = variant(
        lab={"client": {"ports": ports}},
        server={"delay": times["delay"], "idle_timeout": times["idle"], "backlog": times["backlog"]},
        connection={"closer": closer, "close": close, "requests": requests, "think": times["think"]},
        load={**loop, "duration": times["duration"], "timeouts": {"response": times["response"]}},
    )
    found = predicted(asked)
    assert found.rate_per_s is not None
    assert 0 < found.rate_per_s < math.inf
    for number in (found.time_wait_client, found.time_wait_server, found.time_wait_at_end):
        assert number is not None
        assert 0 <= number <= found.ports
    for one in foresee(asked):
        assert one.sentence[0].islower() or one.sentence[0].isdigit()
        for path in one.settings:
            place: Any = asked
            for key in path.partition(".sysctl.")[0].split("."):
                place = getattr(place, key)


def test_a_port_that_bind_takes_for_all_destinations_is_foreseen() -> None:
    lab = {"client": {"ports": "40000-40999", "bind": "early"}, "server": {"addresses": 2}}
    said = foreseen(variant(lab=lab, server={"ports": 2}))
    assert "bind() takes a port for all 4 destinations: the client has 1,000 ports" in said
    assert "with bind: late 4,000" in said
    assert foreseen(variant(lab={"client": {"bind": "early"}})) == ""


def test_a_family_that_the_client_has_not_is_foreseen() -> None:
    disabled = {"client": {"net.ipv6.conf.all.disable_ipv6": "1"}}
    assert "no IPv6 address" in foreseen(variant(lab={"family": "ipv6", "sysctl": disabled}))
    assert foreseen(variant(lab={"sysctl": disabled})) == ""
