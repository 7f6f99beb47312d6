"""A NAT with few ports between client and server: a real run, in IPv4 and in IPv6."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.command import churn

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
def summary() -> dict[str, Any]:
    """A run by an ordinary user, who may make all of it in a namespace."""
    # pytest's own directory bars an ordinary user.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "x.yaml").write_text(SCENARIO)
        arguments = ("run", folder / "x.yaml", "--json", "--no-figures")
        done = churn(*arguments, runs=folder / "runs", ordinary=True)
    assert done.code == 0, done.said
    return json.loads(done.stdout)["variants"]


def test_connections_beyond_its_ports_get_no_answer_and_no_errno(summary: dict[str, Any]) -> None:
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


def test_a_port_in_conntracks_time_wait_is_given_again(summary: dict[str, Any]) -> None:
    metrics = summary["six"]["metrics"]
    assert metrics["connected"] > PORTS
    assert metrics["errors.total"] == metrics["nat.conntrack.insert_failed"] == 0
    assert metrics["nat.conntrack.time_wait.max"] > 0
    assert metrics["server.time_wait.max"] <= PORTS
    assert all(line["exact"] for line in summary["six"]["audit"])
