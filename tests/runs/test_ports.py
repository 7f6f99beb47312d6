"""Who takes a client's port, and a source address that is missing: a real run by an ordinary user."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.peers import need
from tests.runs.ordinary import variants_of

SCENARIO = """
title: ports
lab: {client: {ports: 40000-40099}}
server: {ports: 2}
connection: {closer: client}
load: {duration: 1s, closed_loop: {connections: 4}}
variants:
  early: {lab: {client: {bind: early}}}
  shared:
    lab:
      topology: loopback
      client: {local_port_range: 40000-40009}
      sysctl: {client: {net.ipv4.tcp_tw_reuse: 0}}
  proxy: {lab: {topology: proxy, proxy: {ports: 40000-40049}}, proxy: {kind: nginx, closer: proxy}}
  elsewhere:
    load:
      driver: command
      command:
        - "{python}"
        - -c
        - "import socket; socket.create_connection(('{host}', {port}), source_address=('198.18.77.1', 0))"
      expect_status: 1
    server: {ports: 1}
"""


@pytest.fixture(scope="module")
def summary() -> Mapping[str, Any]:
    need("nginx")
    # 106: the machine held a process up.
    return variants_of(SCENARIO, codes=(0, 106))


def finding(of: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    (one,) = [each for each in of["findings"] if each["kind"] == kind]
    return one


def test_a_port_that_bind_takes_is_there_once_for_all_destinations(summary: Mapping[str, Any]) -> None:
    found = summary["early"]
    metrics = found["metrics"]
    assert metrics["connected"] == metrics["client.ports"] == metrics["client.ports_held.max"] == 100
    assert metrics["errors.EADDRINUSE"] == metrics["errors.total"] > 0
    assert "which bind() takes for all destinations" in finding(found, "ports_gone")["sentence"]
    (caveat,) = [one for one in found["caveats"] if one["kind"] == "bound_early"]
    assert "not 200 towards 2 destinations" in caveat["cause"]
    assert "IP_BIND_ADDRESS_NO_PORT" in caveat["remedy"]
    assert not caveat.get("invalidates")
    assert all(line["exact"] for line in found["audit"])


def test_a_range_of_the_sockets_own_towards_two_ports_on_loopback(summary: Mapping[str, Any]) -> None:
    """The two sides share a namespace: only the server's ports show whose a socket is."""
    found = summary["shared"]
    metrics = found["metrics"]
    assert metrics["connected"] == metrics["client.ports"] == metrics["client.time_wait.max"] == 20
    assert metrics["server.time_wait.max"] == 0
    assert metrics["errors.EADDRNOTAVAIL"] == metrics["errors.total"] > 0
    assert not [one for one in found["findings"] if one["kind"] == "connect_slow"]
    assert all(line["exact"] for line in found["audit"])


def test_ports_of_the_server_are_destinations_of_a_proxy(summary: Mapping[str, Any]) -> None:
    behind = summary["proxy"]["metrics"]
    # The client knows the proxy by one port, and the proxy the server by two.
    assert behind["client.ports"] == 100
    assert behind["proxy.upstream.time_wait.max"] == 100


def test_an_address_that_the_client_has_not_is_no_lack_of_ports(summary: Mapping[str, Any]) -> None:
    found = summary["elsewhere"]
    why = finding(found, "address_refused")
    assert "reports EADDRNOTAVAIL with at most 0 of 100 ports held" in why["sentence"]
    assert "no such source address" in why["sentence"]
    assert found["verdict"] == f"No connection was tried: {why['sentence']}"
    assert not [one for one in found["findings"] if one["kind"] == "ports_gone"]
