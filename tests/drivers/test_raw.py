"""Raw TCP by the drivers that move bytes: the same outcomes of each, and what the kernel has counted.

`test_conformance` has the same for HTTP.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from loadgen.drivers.application import MalformedResponseError, ShortResponseError
from loadgen.drivers.plan import ClosedLoop, Raw
from loadgen.drivers.raw import ResponseReader
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending
from servers.plan import Kind
from tests.drivers.driving import MS_NS, PATIENT, Bench, Driven, bench, misbehaving
from tests.drivers.hostile_raw import ASK, LONG, SIZE
from tests.drivers.test_conformance import ASKED, HOUR_NS, SELDOM, SOON_NS, case, often, stop_after

ALONE = CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST = tuple(Ending)[:4]
RAW = Raw(ASK, SIZE)

every_driver = pytest.mark.parametrize("driver", [Driver.PROTOCOL, Driver.URING])


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@pytest.fixture(scope="module")
def bad(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair, "tests.drivers.hostile_raw") as ports:
        yield ports


# The reader


def test_a_response_ends_with_its_last_byte_however_it_comes() -> None:
    reader = ResponseReader(4)
    assert not reader.begun
    for data in (b"four", b"fo", b"ur", b"f", b"o", b"u", b"r"):
        reader.feed(data)
    assert not reader.begun
    assert reader.feed(b"fou") is None
    assert reader.begun
    with pytest.raises(ShortResponseError):
        reader.feed_eof()
    with pytest.raises(MalformedResponseError):
        reader.feed(b"rs")


# churn's own server


@dataclass(frozen=True, slots=True)
class Served:
    """What is asked of a connection, of the server, and of the load."""

    requests: int
    sizes: Raw = RAW
    delay_ns: int = 0
    plan: Mapping[str, Any] = field(default_factory=dict[str, Any])
    endings: tuple[Ending, ...] = (CLIENT_FIN, SERVER_RST)


SERVED = {
    "1 exchange": Served(1, endings=ALONE),
    "100 exchanges": Served(100, endings=ALONE),
    "1 byte": Served(3, Raw(1, 1)),
    "4 KiB and 10 MB": Served(2, Raw(4096, 10_000_000)),
    "delay, open loop": Served(2, delay_ns=10 * MS_NS, plan={"loop": often(300)}),
}


@every_driver
@pytest.mark.parametrize(("what", "ending"), [(what, end) for what in SERVED for end in SERVED[what].endings])
def test_every_close_is_the_one_asked_for(pair: Bench, driver: Driver, what: str, ending: Ending) -> None:
    served = SERVED[what]
    asked: dict[str, Any] = {"ending": ending, "requests": served.requests}
    behaviour = {
        "request_size": served.sizes.request,
        "response_size": served.sizes.response,
        "delay_ns": served.delay_ns,
    }

    async def main() -> Driven:
        async with (
            pair.audited() as loads,
            pair.serving(**asked, kind=Kind.RAW, **behaviour) as (server, port),
        ):
            made = {"driver": driver, "duration_ns": HOUR_NS, "raw": served.sizes, **asked, **served.plan}
            loads += await pair.drive_all(server, pair.plan(port, **made), heard=stop_after(4))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.total("attempts") == driven.total("succeeded")
    assert driven.ends == {ending}
    # When the load ends, a connection ends early: at most once each.
    missing = driven.total("attempts") * served.requests - driven.total("exchanges")
    assert 0 <= missing <= driven.total("attempts") * (served.requests - 1)


@every_driver
def test_a_server_closes_what_idles_for_too_long(pair: Bench, driver: Driver) -> None:
    async def main() -> Driven:
        idle = {"requests": 3, "idle_timeout_ns": 100 * MS_NS, "request_size": ASK, "response_size": SIZE}
        async with pair.audited() as loads, pair.serving(CLIENT_FIN, kind=Kind.RAW, **idle) as (_, port):
            once = {"requests": 3, "loop": often(0.001), "duration_ns": HOUR_NS, "raw": RAW}
            loads.append(await pair.drive(pair.plan(port, driver=driver, **once), stop_after(1)))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.closes == {SERVER_FIN: 1}
    assert driven.total("exchanges") == 1


# Servers that do not as they are asked


def way(ending: Ending, requests: int, **changes: Any) -> dict[str, Any]:
    return {"ending": ending, "requests": requests, **changes}


ANY = (way(CLIENT_FIN, 1), way(SERVER_RST, 3))
CLIENT_CLOSES = (way(CLIENT_FIN, 3), way(CLIENT_RST, 1))
SERVER_CLOSES = (way(SERVER_FIN, 1), way(SERVER_RST, 1))
SELDOM_MORE = (way(CLIENT_FIN, 3, loop=SELDOM),)
"""Connections that idle in the pool of an open loop."""


def soon(ways: tuple[dict[str, Any], ...], **timeouts: int) -> tuple[dict[str, Any], ...]:
    return tuple({**way, "timeouts": replace(PATIENT, **timeouts)} for way in ways)


CASES = {
    "reset_before_response": case(ANY, "receive:ECONNRESET", "server_rst"),
    "reset_in_response": case(ANY, "receive:ECONNRESET", "server_rst"),
    "end_before_response": case(ANY, "receive:NO_RESPONSE", "server_fin"),
    "end_in_response": case(ANY, "receive:SHORT", "server_fin"),
    "end_in_long": case(ANY, "receive:SHORT", "server_fin"),
    "stall": case(soon(ANY, response_ns=SOON_NS), "receive:TIMEOUT", "client_rst"),
    "stall_in_response": case(soon(ANY, response_ns=SOON_NS), "receive:TIMEOUT", "client_rst"),
    "trailing": case(ANY, "receive:MALFORMED", "client_rst"),
    "trailing_later": case(SERVER_CLOSES + SELDOM_MORE, "close:MALFORMED", "client_rst", at_end=True),
    "end_idle": case(SELDOM_MORE, "", "server_fin", at_end=True),
    "reset_idle": case(SELDOM_MORE, "close:ECONNRESET", "server_rst", at_end=True),
    "end_at_second": case((way(CLIENT_FIN, 3),), "receive:NO_RESPONSE", "server_fin", at_end=True),
    "end_with_response": case(SERVER_CLOSES, "", "server_fin"),
    "never_close": case(soon(SERVER_CLOSES, close_ns=SOON_NS), "close:TIMEOUT", "client_rst"),
    "in_pieces": case(CLIENT_CLOSES, "", ASKED),
    "each_differs": case((way(CLIENT_FIN, 20),), "", ASKED),
    "long": case(CLIENT_CLOSES, "", ASKED),
}
"""By the server's behaviour in `tests.drivers.hostile_raw`."""


@every_driver
@pytest.mark.parametrize("name", CASES)
def test_an_outcome_has_one_name(pair: Bench, bad: dict[str, int], driver: Driver, name: str) -> None:
    case = CASES[name]
    sizes = Raw(ASK, LONG) if "long" in name else RAW
    lasting = {"driver": driver, "duration_ns": HOUR_NS, "interval_ns": 10 * MS_NS, "raw": sizes}
    plans = [pair.plan(bad[name], **{"loop": ClosedLoop(4), **lasting, **way}) for way in case.ways]

    async def main() -> list[Driven]:
        async with pair.audited() as loads:
            loads += await asyncio.gather(*(pair.drive(plan, stop_after(2)) for plan in plans))
        return loads

    for plan, driven in zip(plans, pair.run(main()), strict=True):
        driven.check()
        asked = plan.ending
        expected = {asked if end == ASKED else end for end in case.closes}
        assert set(driven.errors) == case.errors
        assert expected <= driven.ends <= expected | ({asked} if case.at_end else set())
