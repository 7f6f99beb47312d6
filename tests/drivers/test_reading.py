"""A client that reads the headers of a response alone, or nothing of it: what it makes of every server."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Read
from loadgen.tcp import Close, Ending
from tests.drivers.driving import MS_NS, PATIENT, Bench, Driven, bench, misbehaving

CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST = (
    Ending.CLIENT_FIN,
    Ending.CLIENT_RST,
    Ending.SERVER_FIN,
    Ending.SERVER_RST,
)


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@pytest.fixture(scope="module")
def bad(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair) as ports:
        yield ports


def drive(pair: Bench, bad: dict[str, int], name: str, **asked: Any) -> Driven:
    """A load on the misbehaving server of this name, which is audited."""

    async def main() -> Driven:
        async with pair.audited() as loads:
            timeouts = replace(PATIENT, response_ns=100 * MS_NS) if name == "stall" else PATIENT
            plan = pair.plan(bad[name], CLIENT_RST, timeouts=timeouts, **asked)
            loads.append(await pair.drive(plan))
        return loads[0]

    return pair.run(main())


CASES = {
    # A body behind the headers, however they come, and however the body ends.
    "in_pieces": ("", CLIENT_RST),
    "head_then_body": ("", CLIENT_RST),
    "chunked": ("", CLIENT_RST),
    "informed": ("", CLIENT_RST),
    "long": ("", CLIENT_RST),
    # No body: all is read.
    "no_content": ("", CLIENT_FIN),
    # The headers show it.
    "unavailable": ("receive:HTTP_503", CLIENT_RST),
    "malformed": ("receive:MALFORMED", CLIENT_RST),
    # No headers.
    "end_before_response": ("receive:NO_RESPONSE", SERVER_FIN),
    "end_in_head": ("receive:SHORT", SERVER_FIN),
    "reset_before_response": ("receive:ECONNRESET", SERVER_RST),
    "stall": ("receive:TIMEOUT", CLIENT_RST),
}


@pytest.mark.parametrize("name", ["end_before_response", "reset_before_response", "stall"])
@pytest.mark.parametrize("asked", [{"close": Close.UNREAD}, {"read": Read.NONE}], ids=["unread", "none"])
def test_who_reads_nothing_sees_the_server_s_end_in_its_place(
    pair: Bench, bad: dict[str, int], name: str, asked: dict[str, Any]
) -> None:
    error, ending = CASES[name]
    driven = drive(pair, bad, name, **asked)
    attempts = driven.total("attempts")
    assert driven.closes == {ending: attempts}
    assert driven.errors == {error: attempts}


@pytest.mark.parametrize("name", CASES)
def test_headers_alone_are_read_of_any_response(pair: Bench, bad: dict[str, int], name: str) -> None:
    error, ending = CASES[name]
    driven = drive(pair, bad, name, read=Read.HEADERS)
    attempts = driven.total("attempts")
    assert attempts == driven.total("connected")
    assert driven.closes == {ending: attempts}
    assert driven.errors == ({error: attempts} if error else {})
    # Whole are only those that have no body.
    assert driven.total("exchanges") == (attempts if ending is CLIENT_FIN else 0)
