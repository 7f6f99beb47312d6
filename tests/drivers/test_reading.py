"""A client that reads the headers of a response alone: what it makes of every kind of response."""

from collections.abc import Iterator

import pytest

from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Read
from loadgen.tcp import Ending
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


@pytest.mark.parametrize("name", CASES)
def test_headers_alone_are_read_of_any_response(pair: Bench, bad: dict[str, int], name: str) -> None:
    error, ending = CASES[name]

    async def main() -> Driven:
        async with pair.audited() as loads:
            timeouts = PATIENT if name != "stall" else PATIENT.__class__(*4 * (100 * MS_NS,))
            plan = pair.plan(bad[name], CLIENT_RST, read=Read.HEADERS, timeouts=timeouts)
            loads.append(await pair.drive(plan))
        return loads[0]

    driven = pair.run(main())
    attempts = driven.total("attempts")
    assert attempts == driven.total("connected")
    assert driven.closes == {ending: attempts}
    assert driven.errors == ({error: attempts} if error else {})
    # Whole are only those that have no body.
    assert driven.total("exchanges") == (attempts if ending is CLIENT_FIN else 0)
