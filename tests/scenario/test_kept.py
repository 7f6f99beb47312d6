"""The settings of kept connections, and what contradicts them."""

from pathlib import Path

import pytest

from loadgen.engine import plans
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Scenario
from loadgen.scenario.read import load_scenario
from loadgen.scenario.schema import resolved, restore
from loadgen.tcp import Side
from loadgen.text.problem import ScenarioError


def read(folder: Path, text: str) -> Scenario:
    path = folder / "x.yaml"
    path.write_text(text)
    return load_scenario(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read(folder, text)
    return [str(problem).rpartition("/x.yaml:")[2] for problem in caught.value.problems]


ALL = (
    "title: t\nserver: {per_client: 3}\n"
    "connection: {requests: 9, look: false, retry: 1,"
    " keepalive: {idle: 2s, interval: 3s, probes: 4, on: server}}"
)


def test_what_is_written_survives_a_run_directory(tmp_path: Path) -> None:
    for text in (ALL, "title: t"):
        scenario = read(tmp_path, text)
        assert restore(resolved(scenario)) == scenario
    (variant,) = read(tmp_path, ALL).variants
    keepalive = variant.connection.keepalive
    assert keepalive
    assert (keepalive.idle, keepalive.interval, keepalive.probes) == (2_000_000_000, 3_000_000_000, 4)
    assert keepalive.on.sides == (Side.SERVER,)
    assert (variant.connection.look, variant.connection.retry, variant.server.per_client) == (False, 1, 3)


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        ("{requests: 2, look: false}", "the uring driver cannot follow connection.look"),
        ("{requests: 2, retry: 1}", "the uring driver cannot follow connection.retry"),
        ("{requests: 2, keepalive: {idle: 1s}}", "the uring driver cannot follow connection.keepalive"),
        ("{closer: client, read: headers}", "the uring driver cannot follow connection.read"),
        ("{requests: 2, keepalive: {idle: 1s, on: server}}", ""),
        ("{requests: 2, look: true, retry: 0}", ""),
    ],
)
def test_auto_takes_a_driver_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: str, why: str
) -> None:
    monkeypatch.setattr(plans.able, "obstacle", lambda _: "")
    (variant,) = read(tmp_path, f"title: t\nconnection: {connection}").variants
    assert plans.choice(variant) == plans.Choice(Driver.PROTOCOL if why else Driver.URING, why)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "title: t\nconnection: {look: false}",
            "2:20: connection.look: is about kept connections, and with one request none is kept;"
            " raise connection.requests, or remove the key",
        ),
        (
            "title: t\nconnection: {retry: 1}",
            "2:21: connection.retry: is about kept connections, and with one request none is kept;"
            " raise connection.requests, or remove the key",
        ),
        (
            "title: t\nconnection: {requests: 2, retry: 2}",
            '2:34: connection.retry: expected a whole number from 0 to 1, got "2"',
        ),
        (
            "title: t\nconnection: {requests: 2, look: false}\nload: {driver: uring}",
            "3:16: load.driver: the uring driver cannot follow connection.look;"
            " write load.driver: auto or protocol",
        ),
        (
            "title: t\nconnection: {keepalive: {idle: 1s}}\nload: {driver: uring}",
            "3:16: load.driver: the uring driver cannot follow connection.keepalive;"
            " write load.driver: aiohttp or auto or protocol",
        ),
        (
            "title: t\nconnection: {requests: 2, look: false}\nload: {driver: command, command: [a]}",
            "2:33: connection.look: a command decides this by itself;"
            " remove the key, and configure it in the command or its files",
        ),
        (
            "title: t\nconnection: {keepalive: {idle: 2s, probes: 0}}",
            '2:44: connection.keepalive.probes: expected a whole number from 1 to 127, got "0"',
        ),
        (
            "title: t\nconnection: {keepalive: {idle: 1500ms}}",
            '2:32: connection.keepalive.idle: expected whole seconds, got "1500ms";'
            " the kernel counts this in seconds: write 1s, 2s or more",
        ),
        (
            "title: t\nconnection: {keepalive: {interval: 2s}}",
            "2:25: connection.keepalive.idle: is required; add idle: to this mapping",
        ),
        (
            "title: t\nconnection: {keepalive: {idle: 20s}}",
            "2:32: connection.keepalive.idle: no probe is sent in a load of 10s: a connection is silent"
            " for 20s before the first one; load for longer, or lower connection.keepalive.idle",
        ),
        (
            "title: t\nconnection: {keepalive: {idle: 2s, on: server}}\n"
            "server: {kind: command, command: [a]}",
            "2:40: connection.keepalive.on: the server is a command, which decides this by itself;"
            " write on: client, and configure the server's in its command or files",
        ),
        (
            "title: t\nserver: {per_client: 65}",
            "2:22: server.per_client: no client has as many as 65 connections: the load has at most 64;"
            " lower server.per_client, or raise load.closed_loop.connections",
        ),
        (
            "title: t\nserver: {per_client: 0}",
            '2:22: server.per_client: expected a whole number from 1 to 60000, got "0"',
        ),
        (
            "title: t\nserver: {per_client: 6, workers: 2}",
            "2:22: server.per_client: each worker would count the connections that it has accepted, and not"
            " those of the others; use one server worker",
        ),
        (
            "title: t\nserver: {kind: command, command: [a], per_client: 6}",
            "2:51: server.per_client: a command decides this by itself;"
            " remove the key, and configure it in the command or its files",
        ),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    message, _, hint = problem.partition("; ")
    assert problems(tmp_path, text) == [f"{message} ({hint})" if hint else message]
