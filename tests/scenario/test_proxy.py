"""Scenarios with a proxy: what is refused, with its place and what to do about it."""

from pathlib import Path

import pytest

from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError

PROXIED = "lab: {topology: proxy}\n"
REFUSED = {
    "lab: {topology: proxy, client: {ports: 8000-9000}}\nproxy: {kind: nginx}": (
        2,
        "lab.client.ports",
        "include some of the server's, 8080 to 8080",
        "choose server.port outside",
    ),
    "proxy: {kind: nginx}": (2, "proxy", "topology pair has no place for a proxy", "topology: proxy"),
    "lab: {proxy: {ports: 40000-40999}}": (2, "lab.proxy", "topology pair has no proxy", "topology: proxy"),
    "lab: {sysctl: {proxy: {net.ipv4.tcp_tw_reuse: 1}}}": (2, "lab.sysctl.proxy", "has no proxy", "remove"),
    PROXIED: (2, "lab.topology", "no program is named for it", "write proxy: {kind: nginx}"),
    "lab: {topology: proxy, proxy: {addresses: 2}}\nproxy: {kind: command, command: [a]}": (
        2,
        "lab.proxy.addresses",
        "decides by itself which address",
        "remove the key",
    ),
    f"{PROXIED}proxy: {{keep: 3}}": (3, "proxy", "", ""),
    f"{PROXIED}proxy: {{kind: command}}": (3, "proxy.kind", "no program is named", "write command:"),
    f"{PROXIED}proxy: {{kind: command, command: [a], keep: 3}}": (3, "proxy.keep", "decides this", "remove"),
    f"{PROXIED}proxy: {{kind: nginx, command: [a]}}": (
        3,
        "proxy.command",
        "is for commands",
        "kind: command",
    ),
    f"{PROXIED}proxy: {{kind: haproxy, http: '1.0'}}": (
        3,
        "proxy.http",
        "no such setting",
        "connection.http",
    ),
    f"{PROXIED}proxy: {{kind: haproxy, connection_header: default}}": (
        3,
        "proxy.connection_header",
        "no such setting",
        "remove the key",
    ),
    f"{PROXIED}proxy: {{kind: nginx, reuse: safe}}": (3, "proxy.reuse", "no such setting", "kind: haproxy"),
    f"{PROXIED}proxy: {{kind: nginx, idle_timeout: 1s}}": (3, "proxy.idle_timeout", "keep is 0", "keep: 1"),
    f"{PROXIED}proxy: {{kind: nginx}}\nconnection: {{close: rst}}": (
        4,
        "connection.close",
        "closes by FIN",
        "closer: client",
    ),
    f"{PROXIED}proxy: {{kind: nginx}}\nserver: {{kind: raw}}\nconnection: {{protocol: raw}}": (
        5,
        "connection.protocol",
        "is of HTTP",
        "remove the key",
    ),
    f"{PROXIED}proxy: {{kind: nginx}}\ncapture: {{connections: 1}}": (4, "capture", "two legs", "pair"),
    f"{PROXIED}proxy: {{kind: nginx}}\nscript: [{{at: 1s, do: drop, what: fin, on: server}}]": (
        4,
        "script.0.do",
        "the proxy is at the other end",
        "topology pair",
    ),
    f"{PROXIED}proxy: {{kind: nginx}}\nscript: [{{at: 1s, do: cut, on: server}}]": (
        4,
        "script.0.do",
        "no link between the sides",
        "topology pair",
    ),
    f"{PROXIED}proxy: {{kind: nginx, closer: proxy}}\nserver: {{kind: command, command: [a]}}": (
        3,
        "proxy.closer",
        "decides by itself",
        "remove the key",
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_contradiction_has_a_place_and_a_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\n{text}\n")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path)
    line, key, message, hint = REFUSED[text]
    found = [one for one in refused.value.problems if one.key_path.startswith(key)]
    assert found, refused.value.problems
    assert found[0].mark.line == line
    assert message in found[0].message
    assert hint in found[0].hint


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_needs_no_more_than_its_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\nlab: {{topology: proxy}}\nproxy: {{kind: {kind}}}\n")
    (variant,) = load_scenario(path).variants
    assert variant.proxy is not None
    assert (variant.proxy.kind, variant.proxy.keep) == (kind, 0)
