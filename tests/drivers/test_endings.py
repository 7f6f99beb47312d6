"""Ends that real servers produce: every driver books each connection as the kernel of its side does.

Which end comes first is a race on each of these servers, and no two runs of it are alike. What must hold is
that the counts are those of the kernel, to the last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from loadgen.drivers.plan import ClosedLoop
from loadgen.lab.topology import client_server_lab
from loadgen.ledger.entry import FINS
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending, How, Side
from tests.drivers.driving import MS_NS, Bench, Driven, bench, misbehaving
from tests.drivers.misbehaving import IDLE_S
from tests.drivers.test_conformance import DRIVERS, HOUR_NS, stop_after

ENDED = 300
"""More than uring closes one by one before it takes a server's word."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab()) as made:
        yield made


@pytest.fixture(scope="module")
def ports(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair, "tests.drivers.closing") as closing, misbehaving(pair) as others:
        yield {**others, **closing}


@dataclass(frozen=True, slots=True)
class Race:
    """What the ends may be, and the errors: those of the race's every outcome."""

    ends: str
    errors: str = ""
    requests: int = 1
    think_ns: int = 0

    @property
    def possible(self) -> set[str]:
        return set(self.ends.split())


RACES = {
    "unread_at_once": Race(
        "server_fin server_fin_reset server_rst",
        "send:ECONNRESET send:NO_RESPONSE receive:ECONNRESET receive:NO_RESPONSE connect:ECONNRESET",
    ),
    "unread": Race("server_rst", "receive:ECONNRESET"),
    "read": Race("server_fin", "receive:NO_RESPONSE"),
    "answered_unread": Race(
        "client_fin server_fin server_fin_reset server_rst",
        "send:ECONNRESET send:NO_RESPONSE receive:ECONNRESET receive:NO_RESPONSE close:ECONNRESET",
    ),
    "answered": Race("client_fin server_fin"),
    "answered_and_announced": Race("client_fin server_fin"),
    "answered_and_reset": Race("client_fin server_rst", "receive:ECONNRESET close:ECONNRESET"),
    # The pause of the client ends as the server's does.
    "end_idle": Race(
        "client_fin server_fin server_fin_reset server_rst",
        "send:NO_RESPONSE send:ECONNRESET receive:NO_RESPONSE receive:ECONNRESET",
        requests=3,
        think_ns=int(IDLE_S * 1000) * MS_NS,
    ),
}
"""By the server, of `tests.drivers.closing` or `tests.drivers.misbehaving`."""


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("name", RACES)
def test_whoever_is_first_is_booked_as_the_kernel_books_it(
    pair: Bench, ports: dict[str, int], driver: Driver, how: How, name: str
) -> None:
    race = RACES[name]
    plan = pair.plan(
        ports[name],
        Ending.of(Side.CLIENT, how),
        driver=driver,
        requests=race.requests,
        think_ns=race.think_ns,
        loop=ClosedLoop(32),
        duration_ns=HOUR_NS,
    )

    async def main() -> tuple[Driven, dict[Side, dict[str, int]]]:
        async with pair.counting() as kernel:
            driven = await pair.drive(plan, stop_after(ENDED if not race.think_ns else 100))
        return driven, kernel

    driven, kernel = pair.run(main())
    driven.check()
    closes, client, server = driven.closes, kernel[Side.CLIENT], kernel[Side.SERVER]
    possible = {end.replace("client_fin", f"client_{how}") for end in race.possible}
    assert driven.ends <= possible
    assert set(driven.errors) <= set(race.errors.split())
    assert driven.total("connected") == server["PassiveOpens"]
    # The client's own ends: of a FIN there is a TIME-WAIT, unless the server's RST came after it.
    resets = closes[Ending.CLIENT_RST] + closes[Ending.SERVER_RST]
    assert resets + driven.total("server_fin_reset") == client["EstabResets"]
    refused = max(server["EstabResets"] - resets, 0)
    assert (
        closes[Ending.CLIENT_FIN] - refused <= sum(client[each] for each in FINS) <= closes[Ending.CLIENT_FIN]
    )
    # The server's: of a FIN there is a TIME-WAIT, unless bytes came after it.
    left, late = sum(server[each] for each in FINS), server["TCPAbortOnData"]
    assert (
        closes[Ending.SERVER_FIN] - late
        <= left
        <= closes[Ending.SERVER_FIN] + closes[Ending.CLIENT_FIN] + closes[Ending.CLIENT_RST]
    )
