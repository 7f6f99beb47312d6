"""A NAT with few ports between client and server: a real run, in IPv4 and in IPv6."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.runs.ordinary import variants_of

PORTS = 20
SCENARIO = f"""
title: NAT
lab: {{topology: nat, nat: {{ports: 40000-{40000 + PORTS - 1}}}}}
variants:
  held:
    load:
      driver: protocol
      closed_loop: {{connections: {2 * PORTS}}}
      duration: 2s
      timeouts: {{connect: 1500ms}}
    server: {{delay: 1500ms}}
  six:
    lab: {{family: ipv6}}
    load: {{driver: protocol, duration: 1s, closed_loop: {{connections: 4}}, timeouts: {{connect: 20s}}}}
"""


@pytest.fixture(scope="module")
def summary() -> Mapping[str, Any]:
    return variants_of(SCENARIO)


def test_connections_beyond_its_ports_get_no_answer_and_no_errno(summary: Mapping[str, Any]) -> None:
    found = summary["held"]
    metrics = found["metrics"]
    assert metrics["nat.ports"] == metrics["nat.conntrack.entries.max"] == PORTS
    assert metrics["nat.conntrack.insert_failed"] >= metrics["errors.TIMEOUT"] > 0
    assert metrics["nat.conntrack.drop"] == metrics["nat.conntrack.insert_failed"]
    assert "errors.EADDRNOTAVAIL" not in metrics
    assert metrics["nat.conntrack.established.max"] > 0
    assert all(line["exact"] for line in found["audit"])
    (gone,) = [one for one in found["findings"] if one["kind"] == "nat_ports_gone"]
    assert "no port left" in gone["sentence"]
    (failures,) = [one for one in found["findings"] if one["kind"] == "failures"]
    assert "the NAT's ports" in failures["sentence"]


def test_a_port_in_conntracks_time_wait_is_given_again(summary: Mapping[str, Any]) -> None:
    metrics = summary["six"]["metrics"]
    assert metrics["connected"] > PORTS
    assert metrics["errors.total"] == metrics["nat.conntrack.insert_failed"] == 0
    assert metrics["nat.conntrack.time_wait.max"] > 0
    assert metrics["server.time_wait.max"] <= PORTS
    assert all(line["exact"] for line in summary["six"]["audit"])
