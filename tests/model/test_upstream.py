"""The prediction of a proxy's connections to the server."""

from typing import Any

import pytest

from loadgen.model.upstream import keeps, predict_legs
from loadgen.records.prediction import Prediction
from tests.made_records import variant

LAB = {"topology": "proxy", "client": {"addresses": 10}, "proxy": {"ports": "40000-40999"}}
LOAD = {"open_loop": {"rate": "100/s", "connections": 2_000}, "duration": "20s"}


def behind(proxy: dict[str, Any], **parts: Any) -> Prediction:
    found = predict_legs(variant(**{"lab": LAB, "load": LOAD, "proxy": proxy, **parts})).upstream
    assert found is not None
    return found


def test_a_proxy_that_closes_first_has_the_time_waits_until_its_ports_are_gone() -> None:
    found = behind({"kind": "nginx", "closer": "proxy"})
    assert found.ports == found.time_wait_client == 1_000
    assert found.time_wait_server == 0
    assert found.time_to_exhaustion_s == pytest.approx(10, rel=0.05)


def test_a_client_that_runs_out_sends_the_proxy_nothing_more() -> None:
    lab = {**LAB, "client": {"ports": "40000-40299"}}
    found = behind({"kind": "nginx", "closer": "proxy"}, lab=lab, connection={"closer": "client"})
    assert (found.time_wait_client, found.time_to_exhaustion_s) == (300, None)


def test_each_address_of_the_proxy_has_the_range() -> None:
    lab = {**LAB, "proxy": {"ports": "40000-40999", "addresses": 2}, "server": {"addresses": 3}}
    found = behind({"kind": "nginx", "closer": "proxy"}, lab=lab)
    assert found.ports == 6_000
    assert (found.time_wait_client, found.time_to_exhaustion_s) == (2_000, None)


def test_the_clients_ports_are_not_the_proxys() -> None:
    found = predict_legs(
        variant(
            lab=LAB, load=LOAD, proxy={"kind": "nginx", "closer": "proxy"}, connection={"closer": "client"}
        )
    )
    assert (found.ports, found.time_to_exhaustion_s) == (282_320, None)
    # Once the proxy has no port it answers with an error, and the client resets those connections.
    assert found.time_wait_client == pytest.approx(1_000, rel=0.05)


def test_a_server_that_closes_first_gives_the_ports_back() -> None:
    found = behind({"kind": "nginx", "closer": "server"})
    assert (found.time_wait_client, found.time_to_exhaustion_s) == (0, None)
    assert found.time_wait_server is not None
    assert 0 < found.time_wait_server <= 500


def test_haproxy_resets_what_the_server_leaves_to_it() -> None:
    found = behind({"kind": "haproxy", "closer": "proxy"})
    assert (found.time_wait_client, found.time_wait_server, found.time_to_exhaustion_s) == (0, 0, None)


def test_connections_in_flight_take_the_ports_of_any_proxy() -> None:
    found = behind({"kind": "haproxy"}, server={"delay": "15s"})
    assert found.time_to_exhaustion_s == pytest.approx(10, rel=0.05)


def test_tw_reuse_on_the_proxy_gives_its_ports_back() -> None:
    lab = {**LAB, "sysctl": {"proxy": {"net.ipv4.tcp_tw_reuse": "1"}}}
    assert behind({"kind": "nginx", "closer": "proxy"}, lab=lab).time_to_exhaustion_s is None


@pytest.mark.parametrize(
    ("proxy", "kept"),
    [
        ({"kind": "nginx", "keep": 8}, True),
        ({"kind": "nginx"}, False),
        ({"kind": "nginx", "keep": 8, "http": "1.0"}, False),
        ({"kind": "nginx", "keep": 8, "connection_header": "default"}, False),
        ({"kind": "haproxy", "keep": 8}, True),
        ({"kind": "haproxy", "keep": 8, "reuse": "safe"}, False),
    ],
)
def test_what_is_kept_takes_no_ports(proxy: dict[str, Any], kept: bool) -> None:
    assert keeps(variant(lab=LAB, load=LOAD, proxy=proxy)) is kept
    if kept:
        assert behind(proxy).time_to_exhaustion_s is None
    elif proxy["kind"] == "nginx":
        assert behind({**proxy, "closer": "proxy"}).time_to_exhaustion_s is not None


def test_of_a_command_only_the_ports_are_known() -> None:
    found = behind({"kind": "command", "command": ["a"]})
    assert (found.ports, found.time_wait_client, found.time_wait_server) == (1_000, None, None)
