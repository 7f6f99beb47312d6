"""`connection.read` of less than all, and settings that contradict it: errors with a place and a remedy."""

from pathlib import Path

import pytest

from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError


def load(tmp_path: Path, *lines: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("\n".join(["title: t", *lines]))
    load_scenario(path)


CLIENT = "closer: client, read: "
RAW = "server: {kind: raw}"


@pytest.mark.parametrize(
    ("connection", "rest", "key", "message", "hint"),
    [
        ("read: none", "", "connection.read", "closer is server", "closer: client"),
        ("read: headers, closer: both", "", "connection.read", "closer is both", "closer: client"),
        (
            "read: none, closer: nobody",
            "load: {open_loop: {rate: 9/s}}",
            "connection.read",
            "closer is nobody",
            "closer: client",
        ),
        (CLIENT + "none, close: unread", "", "connection.read", "and read is none", "keep one"),
        (CLIENT + "headers, close: unread", "", "connection.read", "whole last response", "keep one"),
        (CLIENT + "headers, close: rst", "", "connection.read", "close is rst", "remove one"),
        (CLIENT + "none, close: half", "", "connection.read", "close is half", "remove one"),
        (CLIENT + "none, linger: 1s", "", "connection.read", "nothing is left for linger", "remove one"),
        (CLIENT + "none, requests: 2", "", "connection.read", "behind the bytes", "requests: 1"),
        (CLIENT + "headers, protocol: raw", RAW, "connection.read", "no headers", "read: none"),
        (CLIENT + "headers", "server: {response: 0}", "connection.read", "without a body", "raise"),
        (CLIENT + "headers", "load: {driver: aiohttp}", "load.driver", "aiohttp driver cannot", "protocol"),
        (CLIENT + "none", "load: {driver: uring}", "load.driver", "uring driver cannot", "or protocol"),
        (
            CLIENT + "none",
            "load: {driver: command, command: [wrk]}",
            "connection.read",
            "a command decides this",
            "remove the key",
        ),
        (CLIENT + "body", "", "connection.read", "expected all or headers or none", ""),
    ],
)
def test_what_contradicts_it_is_an_error_with_a_remedy(
    tmp_path: Path, connection: str, rest: str, key: str, message: str, hint: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, f"connection: {{{connection}}}", rest)
    (problem,) = caught.value.problems
    assert problem.key_path == key
    assert problem.mark.line == (3 if key.startswith("load") else 2)
    assert message in problem.message
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("connection", "rest"),
    [
        (CLIENT + "all, requests: 9", "load: {driver: uring}"),
        (CLIENT + "headers", "server: {kind: aiohttp}"),
        (CLIENT + "none", "server: {response: 0}"),
        (CLIENT + "none, protocol: raw", RAW),
    ],
)
def test_what_can_be_done_is_taken(tmp_path: Path, connection: str, rest: str) -> None:
    load(tmp_path, f"connection: {{{connection}}}", rest)
