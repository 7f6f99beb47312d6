"""Ways to close that other settings do not allow: each an error with a place and a remedy."""

from pathlib import Path

import pytest

from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError


def load(tmp_path: Path, *lines: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("\n".join(["title: t", *lines]))
    load_scenario(path)


@pytest.mark.parametrize(
    ("connection", "rest", "key", "line", "message", "hint"),
    [
        ("closer: client, close: unsent", "", "connection.close", 2, "nothing is unsent", "closer: server"),
        (
            "closer: client, close: unsent, protocol: raw",
            "server: {kind: raw}",
            "connection.close",
            2,
            "it has 64 bytes",
            "set connection.request from 16KiB to 128KiB",
        ),
        (
            "closer: client, close: unsent, protocol: raw, request: 15KiB",
            "server: {kind: raw}",
            "connection.request",
            2,
            "15,360 bytes",
            "from 16KiB",
        ),
        (
            "closer: client, close: unsent, protocol: raw, request: 16KiB, requests: 2",
            "server: {kind: raw}",
            "connection.requests",
            2,
            "right behind its first request",
            "requests: 1",
        ),
        (
            "closer: client, close: unsent, protocol: raw, request: 16KiB",
            "server: {kind: command, command: [a]}",
            "server.kind",
            3,
            "would send one",
            "server.kind: raw",
        ),
        (
            "closer: client, close: unsent, protocol: raw, request: 16KiB",
            "server: {kind: raw}\nload: {driver: uring}",
            "load.driver",
            4,
            "close: unsent by the client",
            "driver: protocol",
        ),
        (
            "close: unsent",
            "server: {response: 0}",
            "server.response",
            3,
            "has 0 bytes",
            "from 16KiB to 128KiB",
        ),
        ("close: unsent", "server: {response: 1MiB}", "server.response", 3, "1,048,576 bytes", "to 128KiB"),
        ("close: unsent", "", "connection.close", 2, "has 128 bytes", "set server.response"),
        ("close: rst, linger: 1s", "", "connection.linger", 2, "nothing is left to wait for", "close: fin"),
        (
            "close: unread, linger: 1s",
            "",
            "connection.linger",
            2,
            "nothing is left",
            "leave connection.linger",
        ),
        ("linger: 0", "", "connection.linger", 2, "sends a RST, and close is fin", "use close: rst"),
        ("linger: 1500ms", "", "connection.linger", 2, "counts whole seconds", "write 1s"),
        (
            "closer: client, close: half",
            "load: {driver: uring}",
            "load.driver",
            3,
            "uring driver",
            "protocol",
        ),
        ("close: half", "load: {driver: aiohttp}", "load.driver", 3, "aiohttp driver cannot", "or auto"),
        ("close: unread", "server: {kind: aiohttp}", "server.kind", 3, "aiohttp cannot close by", "protocol"),
        ("closer: both, close: rst", "", "connection.close", 2, "close by FIN alone", "name one side"),
        ("closer: both, linger: 1s", "", "connection.linger", 2, "by FIN alone", "remove the key"),
        ("closer: both", "lab: {topology: loopback}", "lab.topology", 3, "has no link", "topology: pair"),
        ("closer: both", "server: {kind: aiohttp}", "server.kind", 3, "at the same time", "protocol or raw"),
        ("closer: both", "server: {response: 2KiB}", "server.response", 3, "2,048 bytes", "to 1KiB"),
        ("closer: both", "load: {driver: uring}", "load.driver", 3, "uring driver", "driver: protocol"),
        (
            "closer: both",
            "load: {open_loop: {rate: 201/s}}",
            "load.open_loop.rate",
            3,
            "carries 200",
            "200/s or less",
        ),
        (
            "closer: both",
            "load: {closed_loop: {connections: 129}}",
            "load.closed_loop.connections",
            3,
            "serves 128",
            "keep 128",
        ),
        (
            "closer: both",
            "load: {stages: [{for: 1s, rate: 9/s}, {for: 1s, rate: 201/s}]}",
            "load.stages.1.rate",
            3,
            "carries 200",
            "200/s or less",
        ),
        (
            "closer: both",
            "load: {stages: [{for: 1s, connections: 129}]}",
            "load.stages.0.connections",
            3,
            "serves 128",
            "keep 128",
        ),
        ("closer: nobody", "", "connection.closer", 2, "none ends", "write open_loop"),
        (
            "closer: nobody, close: half",
            "load: {open_loop: {rate: 9/s}}",
            "connection.close",
            2,
            "no side closes",
            "remove the key",
        ),
        (
            "closer: nobody",
            "load: {duration: 60s, open_loop: {rate: 9/s}}",
            "connection.closer",
            2,
            "idle for 1min",
            "raise server.idle_timeout",
        ),
        (
            "closer: nobody",
            "load: {driver: command, command: [wrk]}",
            "connection.closer",
            2,
            "the client is a command",
            "client or server",
        ),
        ("linger: 1s", "server: {kind: aiohttp}", "server.kind", 3, "fin with linger", "protocol"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_a_remedy(
    tmp_path: Path, connection: str, rest: str, key: str, line: int, message: str, hint: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, f"connection: {{{connection}}}", rest)
    (problem,) = caught.value.problems
    assert problem.key_path == key
    assert problem.mark.line == line
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("connection", "rest"),
    [
        ("closer: client, close: half", "server: {kind: aiohttp}"),
        ("close: unread", "load: {driver: aiohttp}"),
        ("closer: client, linger: 2s", "load: {driver: protocol}"),
        ("close: unsent, linger: 0", "server: {response: 64KiB}"),
        ("closer: client, close: unsent, protocol: raw, request: 64KiB, linger: 0", "server: {kind: raw}"),
        ("closer: both, requests: 3", "load: {driver: protocol}"),
        ("closer: both, protocol: raw", "server: {kind: raw, response: 1B}"),
        ("closer: nobody", "load: {open_loop: {rate: 9/s}}\nserver: {kind: aiohttp}"),
    ],
)
def test_what_can_be_done_is_taken(tmp_path: Path, connection: str, rest: str) -> None:
    load(tmp_path, f"connection: {{{connection}}}", rest)
