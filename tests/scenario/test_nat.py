"""A NAT that other settings do not allow: each an error with a place and a remedy."""

from pathlib import Path

import pytest

from loadgen.scenario.choices import Topology
from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError
from loadgen.text.units import PortRange


def test_a_nat_has_the_ports_that_programs_may_use_unless_it_is_given_others(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nlab: {topology: nat}\n")
    lab = load_scenario(path).variants[0].lab
    assert (lab.topology, lab.nat.ports) == (Topology.NAT, PortRange(1024, 65535))


@pytest.mark.parametrize(
    ("lab", "rest", "key", "line", "message", "hint"),
    [
        ("nat: {ports: 40000-40099}", "", "lab.nat", 2, "topology pair has no NAT", "topology: nat"),
        (
            "topology: loopback, nat: {ports: 40000-40099}",
            "",
            "lab.nat",
            2,
            "topology loopback has no NAT",
            "topology: nat",
        ),
        (
            "sysctl: {nat: {net.netfilter.nf_conntrack_tcp_timeout_time_wait: 5}}",
            "",
            "lab.sysctl.nat",
            2,
            "has no NAT",
            "remove the key",
        ),
        (
            "topology: nat, sysctl: {nat: {net.ipv4.ip_forward: 0}}",
            "",
            "lab.sysctl.nat.net.ipv4.ip_forward",
            2,
            "forwards",
            "remove the key",
        ),
        ("topology: nat, nat: {ports: 70000-70099}", "", "lab.nat.ports", 2, "port", ""),
        ("topology: nat, nat: {ports: 40099-40000}", "", "lab.nat.ports", 2, "40099", ""),
        ("topology: nat", "capture: {connections: 2}", "capture", 3, "changes addresses", "topology pair"),
        ("topology: nat", "connection: {closer: both}", "lab.topology", 2, "has no link", "topology: pair"),
    ],
)
def test_what_a_nat_does_not_allow(
    tmp_path: Path, lab: str, rest: str, key: str, line: int, message: str, hint: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\nlab: {{{lab}}}\n{rest}\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    problem = caught.value.problems[0]
    assert (problem.key_path, problem.mark.line) == (key, line)
    assert message in problem.message
    assert hint in (problem.hint or "")
