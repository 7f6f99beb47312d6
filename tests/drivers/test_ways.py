"""The conformance of the drivers on ways to close: those that can follow one have the same outcomes, and the
server has counted the same ends as they have.

A driver follows a way if `churn check` takes it for that way: it refuses all others.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.drivers.plan import OpenLoop
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Arrivals, Driver, Read
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Close, Ending, Side
from loadgen.text.problem import ScenarioError
from tests.drivers.driving import MS_NS, Bench, bench
from tests.drivers.test_closing import CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST, TIME_WAIT, Way, drive
from tests.drivers.test_closing import WAYS as SPECIAL
from tests.drivers.test_conformance import DRIVERS, HOUR_NS

WAYS = {
    "fin by the client": Way(CLIENT_FIN, Close.FIN, Side.CLIENT, TIME_WAIT),
    "fin by the server": Way(SERVER_FIN, Close.FIN, Side.SERVER, TIME_WAIT),
    "rst by the client": Way(CLIENT_RST, Close.RST, Side.CLIENT, "TCPAbortOnData"),
    "rst by the server": Way(SERVER_RST, Close.RST, Side.SERVER, "TCPAbortOnData"),
    **SPECIAL,
}
ALL_FOLLOW = {name for name in WAYS if name.startswith(("fin", "rst"))} | {
    "linger by the server",
    "unread by the server",
}
"""The ways in which the client has no part but what a FIN or a RST takes. The others: the first driver's."""
ROWS = [(name, driver) for name in WAYS for driver in (DRIVERS if name in ALL_FOLLOW else DRIVERS[:1])]
COUNTED = {CLIENT_FIN: "peer_fin", CLIENT_RST: "peer_rst", SERVER_FIN: "fin", SERVER_RST: "rst"}
"""How the server counts each ending."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@pytest.mark.parametrize(("name", "driver"), ROWS)
def test_the_driver_and_the_server_count_the_same_ends(pair: Bench, name: str, driver: Driver) -> None:
    way = WAYS[name]
    shown = drive(pair, way, 1, driver=driver)
    driven, served = shown.driven, shown.served
    attempts = driven.total("attempts")
    assert driven.closes == {way.ending: attempts}
    assert getattr(served, COUNTED[way.ending]) == served.accepted == served.ended == attempts > 0
    assert set(driven.errors) == ({"receive:ECONNRESET"} if way.fails else set[str]())
    whole = sum(driven.errors.values()) + driven.total("exchanges") == attempts
    assert whole is (way.whole or way.fails)


def test_what_nobody_closes_is_closed_by_the_client_in_the_end(pair: Bench) -> None:
    way = WAYS["fin by the client"]
    loop = OpenLoop(300, Arrivals.CONSTANT, 1000, HOUR_NS)
    shown = drive(pair, way, 1, stays=True, loop=loop)
    attempts = shown.driven.total("attempts")
    assert shown.driven.closes == {CLIENT_FIN: attempts}
    assert shown.served.peer_fin == shown.served.exchanges == attempts > 0
    # None of them was closed before the load ended.
    early = [interval for interval in shown.driven.intervals if interval.end_ns < 100 * MS_NS]
    assert sum(interval.connected for interval in early) > 0
    assert not any(interval.closes for interval in early)


@pytest.mark.parametrize("name", WAYS)
def test_the_check_takes_a_driver_for_the_ways_that_it_follows(tmp_path: Path, name: str) -> None:
    way = WAYS[name]
    keys = [f"closer: {way.ending.side}", f"close: {way.close}"]
    keys += [f"linger: {way.linger_s}s"] if way.linger_s else ["linger: 0"] if way.linger_s == 0 else []
    keys += [f"read: {way.read}"] if way.read is not Read.ALL else []
    keys += [f"protocol: raw, request: {way.request}B"] if way.request else []
    kind = "raw" if way.request else "protocol"
    taken: set[Driver] = set()
    for driver in DRIVERS:
        text = f"title: t\nload: {{driver: {driver}}}\nconnection: {{{', '.join(keys)}}}\n"
        (tmp_path / "x.yaml").write_text(f"{text}server: {{kind: {kind}, response: 64KiB}}\n")
        with contextlib.suppress(ScenarioError):
            load_scenario(tmp_path / "x.yaml")
            taken.add(driver)
    assert taken == {driver for row, driver in ROWS if row == name}


def test_every_ending_of_one_side_has_a_row_of_every_driver() -> None:
    seen = {(WAYS[name].ending, driver) for name, driver in ROWS}
    assert {(ending, driver) for ending in Ending if ending in COUNTED for driver in DRIVERS} <= seen
