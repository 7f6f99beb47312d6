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
    ],
)
def test_what_can_be_done_is_taken(tmp_path: Path, connection: str, rest: str) -> None:
    load(tmp_path, f"connection: {{{connection}}}", rest)
