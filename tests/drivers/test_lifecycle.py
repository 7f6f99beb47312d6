"""The life of a load, without a driver: what ends it, in which order, and what happens at fixed instants."""

import os
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic_ns

import pytest

from loadgen.drivers.attempt import Client
from loadgen.drivers.channel import SWEEP_NS, Reporter
from loadgen.drivers.housekeeping import Housekeeping
from loadgen.drivers.http import http
from loadgen.drivers.lifecycle import Lifecycle, Wait, waits
from loadgen.drivers.plan import Timeouts
from loadgen.drivers.tally import Tally
from loadgen.tcp import Ending
from loadgen.wire.lines import Lines
from tests.drivers.plans import made_plan

SECOND_NS = 1_000_000_000
CONNECT_NS, SEND_NS, RESPONSE_NS, CLOSE_NS = (seconds * SECOND_NS for seconds in (10, 20, 40, 80))
PLAN = made_plan(duration_ns=5 * SECOND_NS, timeouts=Timeouts(CONNECT_NS, SEND_NS, RESPONSE_NS, CLOSE_NS))


class Named(Lifecycle[str]):
    """A load whose connections are names; `closed` are those that the client was to close."""

    def __init__(self, ending: Ending, *idle: str) -> None:
        self.tally = Tally(PLAN.loop)
        self.tally.in_flight = len(idle)
        super().__init__(replace(PLAN, ending=ending), self.tally)
        self._idle.update(dict.fromkeys(idle))
        self.closed: list[str] = []

    def _close(self, connections: list[str]) -> None:
        self.closed += connections
        self.tally.in_flight -= len(connections)


@pytest.fixture
def lines() -> Iterator[Lines]:
    read, write = os.pipe()
    yield Lines(write)
    os.close(read)
    os.close(write)


def test_the_client_closes_what_is_idle_at_the_end() -> None:
    load = Named(Ending.CLIENT_FIN, "a", "b")
    assert not load.quiet
    load.end()
    assert load.closed == ["a", "b"]
    assert load.quiet
    assert load.over


def test_the_server_is_left_to_close_what_is_idle() -> None:
    load = Named(Ending.SERVER_FIN, "a", "b")
    load.tally.in_flight += 1
    load.end()
    assert (load.quiet, load.over) == (False, False)
    load.tally.in_flight -= 1
    assert (load.quiet, load.over) == (True, False)
    assert load.closed == []


def test_a_close_not_yet_made_keeps_a_load_from_being_over() -> None:
    load = Named(Ending.CLIENT_FIN)
    load.closing = 1
    load.end()
    assert not load.quiet
    load.closing = 0
    assert load.over


def test_arrivals_take_the_latest_idle_connection() -> None:
    load = Named(Ending.CLIENT_FIN, "a", "b")
    assert [load.take_idle() for _ in range(3)] == ["b", "a", None]


def test_each_wait_is_bounded_and_what_outlives_the_last_is_cut(lines: Lines) -> None:
    load, stopped, done = Named(Ending.SERVER_FIN, "a"), False, list[str]()
    origin_ns = monotonic_ns()

    def cut() -> None:
        done.append("cut")
        load.tally.in_flight = 0

    steps = waits(PLAN, load, lines, origin_ns, lambda: stopped, cut)

    def bounded(wait: Wait, limit_ns: int) -> bool:
        return limit_ns <= wait.until_ns - origin_ns < limit_ns + SECOND_NS

    running = next(steps)
    assert running.until_ns == origin_ns + PLAN.duration_ns
    assert not running.done()
    stopped = True
    assert running.done()
    assert not load.ending
    quiet = next(steps)
    assert load.ending
    assert quiet.done()
    assert bounded(quiet, CONNECT_NS + SEND_NS + RESPONSE_NS)
    over = next(steps)
    assert not over.done()
    assert bounded(over, CLOSE_NS)
    assert not done
    last = next(steps)
    assert done == ["cut"]
    assert last.done()
    assert bounded(last, CLOSE_NS)
    assert next(steps, None) is None


class Swept(Client):
    """A client that notes when it is swept, and the lengths of its intervals."""

    def __init__(self) -> None:
        super().__init__(PLAN, Tally(PLAN.loop), http(PLAN))
        self.sweeps = 0
        self.intervals_ns: list[int] = []

    def sweep(self) -> None:
        self.sweeps += 1

    def estimate_connecting(self, most_ns: int) -> None:
        self.intervals_ns.append(most_ns)


def test_reports_are_due_at_multiples_of_the_interval_however_late_one_is(lines: Lines) -> None:
    client, origin_ns = Swept(), monotonic_ns()
    swept: list[int] = []
    house = Housekeeping(
        PLAN, client, Reporter(lines, client.tally, origin_ns), origin_ns, lambda: swept.append(client.sweeps)
    )
    due_ns: list[int] = []
    while (now_ns := house.next_ns) < origin_ns + 2 * SECOND_NS:
        due_ns.append(now_ns - origin_ns)
        house.do(now_ns)
    assert due_ns == list(range(0, 2 * SECOND_NS, SWEEP_NS))
    assert swept == list(range(1, len(due_ns) + 1))
    assert len(client.intervals_ns) == 1
    # Half an interval late, then in time again.
    house.do(origin_ns + 2 * SECOND_NS + SECOND_NS // 2)
    house.do(origin_ns + 3 * SECOND_NS - 1)
    assert len(client.intervals_ns) == 2
    house.do(origin_ns + 3 * SECOND_NS)
    assert len(client.intervals_ns) == 3
