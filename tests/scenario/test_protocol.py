"""`connection.protocol`: HTTP or raw TCP, and what contradicts it."""

from pathlib import Path

import pytest

from loadgen.scenario.choices import ApplicationProtocol
from loadgen.scenario.read import load_scenario
from loadgen.text.problem import ScenarioError

RAW = "title: t\nserver: {kind: raw}\nconnection: {protocol: raw}\n"
COMMAND = "kind: command, command: [a]"


def write(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(folder, text))
    return [str(problem).rpartition("/x.yaml:")[2] for problem in caught.value.problems]


def test_a_raw_request_has_a_size_that_nobody_has_to_write(tmp_path: Path) -> None:
    (variant,) = load_scenario(write(tmp_path, RAW)).variants
    assert variant.connection.protocol is ApplicationProtocol.RAW
    assert (variant.connection.request, variant.server.response) == (64, 128)


@pytest.mark.parametrize(
    "text",
    [
        "title: t\nserver: {kind: raw}\nconnection: {protocol: raw}\nload: {driver: protocol}",
        # A command on one side: churn's other side has to know the size of a response, or of a request.
        f"title: t\nserver: {{{COMMAND}, response: 16B}}\nconnection: {{protocol: raw}}",
        RAW + 'load: {driver: command, command: [a, "{host}", "{port}"]}',
    ],
)
def test_raw_with_what_can_speak_it(tmp_path: Path, text: str) -> None:
    (variant,) = load_scenario(write(tmp_path, text)).variants
    assert variant.connection.protocol is ApplicationProtocol.RAW


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "title: t\nconnection: {protocol: raw}",
            "2:24: connection.protocol: server.kind is protocol, which speaks HTTP, and connection.protocol"
            " is raw (write server: {kind: raw}, or protocol: http)",
        ),
        (
            "title: t\nconnection: {protocol: raw}\nserver: {kind: aiohttp}",
            "3:16: server.kind: server.kind is aiohttp, which speaks HTTP, and connection.protocol is raw"
            " (write server: {kind: raw}, or protocol: http)",
        ),
        (
            "title: t\nserver: {kind: raw}",
            "2:16: server.kind: kind raw does not speak HTTP, and connection.protocol is http"
            " (write connection: {protocol: raw}, or kind: protocol)",
        ),
        (
            'title: t\nserver: {kind: raw}\nconnection: {protocol: raw, http: "1.0"}',
            "3:35: connection.http: is a version of HTTP, and connection.protocol is raw"
            " (remove the key, or write protocol: http)",
        ),
        (
            "title: t\nconnection: {request: 10B}",
            "2:23: connection.request: is the size of a raw request, and connection.protocol is http"
            " (write protocol: raw, or remove the key)",
        ),
        (
            RAW + "load: {driver: aiohttp}",
            "4:16: load.driver: aiohttp's client speaks HTTP, and connection.protocol is raw"
            " (write driver: auto, uring or protocol, or protocol: http)",
        ),
        (
            "title: t\nconnection: {protocol: raw}\nserver: {kind: raw, response: 0B}",
            "3:31: server.response: a raw response has no header: without a byte there is nothing that a"
            " client could wait for (write 1B or more)",
        ),
        (
            f"title: t\nserver: {{{COMMAND}}}\nload: {{driver: command, command: [b]}}\n"
            "connection: {protocol: raw}",
            "4:24: connection.protocol: both sides are commands, which decide by themselves what they send"
            " (remove the key, or let churn be one of the sides)",
        ),
        (
            RAW + 'load: {driver: command, command: [a, "{url}"]}',
            "4:38: load.command.1: {url} is an address of HTTP, and connection.protocol is raw"
            " (write {host} and {port})",
        ),
        (
            "title: t\nserver: {kind: raw}\nconnection: {protocol: raw, request: 0B}",
            "3:38: connection.request: expected a size in bytes such as 128 or 1KiB from 1B to 128KiB,"
            ' got "0B"',
        ),
        (
            "title: t\nserver: {kind: raw}\nconnection: {protocol: raw, request: 5KiB}",
            "3:38: connection.request: 5,120 bytes may not leave in one send(), as the drivers have it"
            " (write 4KiB or less; or closer: client and close: unsent)",
        ),
        ("title: t\nconnection: {protocol: tcp}", "2:24: connection.protocol: expected http or raw"),
        # Without raw a command decides by itself what it answers.
        (
            f"title: t\nserver: {{{COMMAND}, response: 16B}}",
            "2:49: server.response: a command decides this by itself",
        ),
    ],
)
def test_what_contradicts_it_has_a_place_and_a_remedy(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(problem)
