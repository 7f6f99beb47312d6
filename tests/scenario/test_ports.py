"""Addresses and ports that other settings do not allow: each an error with a place and a remedy."""

from pathlib import Path

import pytest

from loadgen.scenario.choices import Bind
from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError
from loadgen.text.units import PortRange


def test_by_default_sockets_are_bound_where_there_are_several_addresses(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nmatrix: {lab.client.addresses: [1, 2]}\n")
    one, several = (each.lab.client for each in load_scenario(path).variants)
    assert (one.bind, one.binds, several.bind, several.binds) == (None, Bind.NONE, None, Bind.LATE)
    assert one.local_port_range is None


def test_a_range_of_its_own_is_what_a_socket_has(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nlab: {client: {ports: 40000-40999, local_port_range: 40100-40199}}\n")
    client = load_scenario(path).variants[0].lab.client
    assert client.range == client.local_port_range == PortRange(40100, 40199)


def test_quick_leaves_the_range_that_a_socket_has_a_part_of(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nlab: {client: {local_port_range: 50000-50999}}\n")
    client = load_scenario(path, quick=True).variants[0].lab.client
    assert (client.ports, client.range) == (PortRange(32768, 60999), PortRange(50000, 50999))
    # As many as another variant has.
    path.write_text("title: t\nlab: {client: {local_port_range: 40000-59999}}\n")
    client = load_scenario(path, quick=True).variants[0].lab.client
    assert (client.ports, client.range) == (PortRange(32768, 60999), PortRange(40000, 51999))


COMMAND = "load: {driver: command, command: [wrk]}"


@pytest.mark.parametrize(
    ("lab", "rest", "key", "line", "message", "hint"),
    [
        ("client: {bind: soon}", "", "lab.client.bind", 2, "early or late or none", ""),
        (
            "client: {bind: early}",
            "load: {driver: uring}",
            "lab.client.bind",
            2,
            "times connect() alone",
            "driver: protocol",
        ),
        ("client: {bind: late}", COMMAND, "lab.client.bind", 2, "by itself", "remove the key"),
        ("client: {bind: none, addresses: 2}", "", "lab.client.bind", 2, "same source", "bind: late"),
        (
            "client: {local_port_range: 40999-40000}",
            "",
            "lab.client.local_port_range",
            2,
            "is empty",
            "40000-40999",
        ),
        (
            "client: {ports: 40000-40999, local_port_range: 50000-50099}",
            "",
            "lab.client.local_port_range",
            2,
            "ignores each end",
            "a part of 40000-40999",
        ),
        (
            "client: {ports: 40000-40999, local_port_range: 40900-41099}",
            "",
            "lab.client.local_port_range",
            2,
            "ignores each end",
            "widen lab.client.ports",
        ),
        (
            "topology: host, client: {local_port_range: 40000-40999}",
            "",
            "lab.client.local_port_range",
            2,
            "host's port range",
            "topology pair",
        ),
        (
            "client: {local_port_range: 40000-40999}",
            COMMAND,
            "lab.client.local_port_range",
            2,
            "option of each socket",
            "narrow lab.client.ports",
        ),
        (
            "client: {ports: 40000-40999, local_port_range: 40000-40009}",
            "load: {closed_loop: {connections: 11}}",
            "load.closed_loop.connections",
            3,
            "exceed the client's 10 ports",
            "widen lab.client.local_port_range",
        ),
        (
            "client: {ports: 40000-40009, bind: early}, server: {addresses: 2}",
            "load: {closed_loop: {connections: 11}}",
            "load.closed_loop.connections",
            3,
            "exceed the client's 10 ports",
            "bind: late",
        ),
        ("", "server: {ports: 0}", "server.ports", 3, "from 1 to 64", ""),
        ("", "server: {port: 65535, ports: 2}", "server.ports", 3, "end at 65536", "lower server.port"),
        (
            "topology: loopback",
            "server: {port: 40000, ports: 2}",
            "server.ports",
            3,
            "one namespace",
            "topology pair",
        ),
        (
            "",
            "server: {kind: command, command: [nginx], ports: 2}",
            "server.ports",
            3,
            "one port, {port}",
            "remove the key",
        ),
        ("", f"{COMMAND}\nserver: {{ports: 2}}", "server.ports", 4, "one port, {port}", "remove the key"),
        (
            "topology: proxy",
            "proxy: {kind: command, command: [socat]}\nserver: {ports: 2}",
            "server.ports",
            4,
            "one port, {port}",
            "lab.server.addresses",
        ),
        (
            "",
            "capture: {connections: 2}\nserver: {ports: 2}",
            "capture",
            3,
            "one port of the server",
            "lab.server.addresses",
        ),
        (
            "",
            "script: [{at: 1s, for: 1s, do: drop, what: fin, on: client}]\nserver: {ports: 2}",
            "script.0.do",
            3,
            "one port of the server",
            "do: cut",
        ),
    ],
)
def test_what_the_ports_do_not_allow(
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
