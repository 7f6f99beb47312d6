"""What is predicted and foreseen of a load through a NAT with few ports."""

from typing import Any

import pytest

from loadgen.model.foresight import foresee
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from tests.made_records import variant

LAB = {"topology": "nat", "nat": {"ports": "40000-40099"}}


def foreseen(**parts: Any) -> str:
    return "\n".join(one.sentence for one in foresee(variant(**{"lab": LAB, **parts})))


def short(rate: str, **lab: Any) -> dict[str, Any]:
    return {"lab": {**LAB, **lab}, "load": {"open_loop": {"rate": rate}, "duration": "10s"}}


def test_more_connections_at_a_time_than_ports_are_foreseen_as_timeouts() -> None:
    said = foreseen(load={"closed_loop": {"connections": 200}})
    assert "the NAT has 100 ports for 200 connections at a time" in said
    assert "no EADDRNOTAVAIL" in said
    assert "NAT" not in foreseen(load={"closed_loop": {"connections": 100}})
    slow = {"load": {"open_loop": {"rate": "100/s"}}, "server": {"delay": "2s"}}
    assert "the NAT has 100 ports for 200 connections at a time" in foreseen(**slow)


def test_ports_towards_several_addresses_are_there_once_for_each() -> None:
    lab = {**LAB, "server": {"addresses": 2}}
    assert "NAT" not in foreseen(lab=lab, load={"closed_loop": {"connections": 200}})


@pytest.mark.parametrize(("closer", "meets"), [("server", True), ("client", False)])
def test_ports_that_come_back_early_are_foreseen(closer: str, meets: bool) -> None:
    said = foreseen(**short("40/s"), connection={"closer": closer})
    assert "from 2.5 s on each of the NAT's 100 ports has a conntrack entry, which lasts 120 s" in said
    assert "above 0.833 connections/s" in said
    assert ("meets a TIME-WAIT of the server" in said) is meets
    assert "conntrack" not in foreseen(**short("40/s"), connection={"closer": closer, "close": "rst"})


def test_entries_that_end_sooner_or_a_load_that_is_too_short_are_no_matter() -> None:
    timeout = {"nat": {"net.netfilter.nf_conntrack_tcp_timeout_time_wait": "2"}}
    assert "conntrack" not in foreseen(**short("40/s", sysctl=timeout))
    assert "conntrack" not in foreseen(**short("9/s"))


def test_the_servers_time_waits_are_as_many_as_the_nats_ports() -> None:
    through = predict(situation(variant(**short("40/s"))))
    assert (through.rate_per_s, through.time_wait_server) == (40, 100)
    assert predict(situation(variant(load=short("40/s")["load"]))).time_wait_server == 400


def test_of_a_closed_loop_no_rate_is_predicted() -> None:
    found = predict(situation(variant(lab=LAB)))
    assert found.rate_per_s is None
    assert "a closed loop through a proxy or NAT" in found.assumptions[0]
