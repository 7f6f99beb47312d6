"""The client's pool: which connections are kept, and which the client closes."""

import time
from dataclasses import replace

import pytest

from loadgen.drivers.plan import ClosedLoop, OpenLoop
from loadgen.drivers.tally import Tally
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Arrivals
from loadgen.tcp import Ending
from tests.drivers.driving import MS_NS, Driven, bench
from tests.drivers.test_load import PLAN, Stage, both_closers, run, until

SECOND_NS = 1_000_000_000


def bursts(burst: int, idle: int | None, seconds: int = 3600) -> OpenLoop:
    """A burst now, and the next one after so many seconds: when the test has ended."""
    return OpenLoop(burst / seconds, Arrivals.BURSTS, 100, SECOND_NS, burst, idle)


def stage(burst: int, idle: int | None, ending: Ending = Ending.CLIENT_FIN) -> Stage:
    loop = bursts(burst, idle)
    return Stage(replace(PLAN, loop=loop, ending=ending, requests=9, duration_ns=3600 * SECOND_NS))


@both_closers
@pytest.mark.parametrize(("idle", "kept"), [(2, 2), (10, 10), (50, 10), (None, 10)])
def test_what_becomes_idle_beyond_the_pool_is_closed_whoever_is_the_closer(
    ending: Ending, idle: int | None, kept: int
) -> None:
    async def main() -> None:
        made = stage(10, idle, ending)
        made.load.begin(time.monotonic_ns())
        await until(lambda: len(made.exchanging) == 10)
        for attempt in list(made.exchanging):
            attempt.respond()
        assert [attempt.finished for attempt in made.made] == [False] * kept + [True] * (10 - kept)
        interval, _ = made.tally.take(0, 1)
        if idle is None:
            assert (interval.pool_closed, interval.pool_idle) == (None, None)
        else:
            assert (interval.pool_closed, interval.pool_idle) == (10 - kept, kept)

    run(main)


def test_workers_share_the_pool() -> None:
    plan = replace(PLAN, loop=bursts(10, 5))
    shares = [share.loop for share in plan.divided(2)]
    assert [(one.idle, one.connections, one.burst) for one in shares if isinstance(one, OpenLoop)] == [
        (3, 50, 10),
        (2, 50, 10),
    ]


def test_a_loop_without_a_pool_counts_none() -> None:
    interval, _ = Tally(ClosedLoop(3)).take(0, 1)
    assert (interval.pool_closed, interval.pool_idle) == (None, None)


@both_closers
def test_on_sockets_each_burst_opens_what_the_pool_lacks(ending: Ending) -> None:
    """The client closes by its FIN what its pool has no place for, and every kernel's count agrees."""

    async def main() -> Driven:
        async with made.audited() as loads, made.serving(ending, 100) as (server, port):
            loop = OpenLoop(50, Arrivals.BURSTS, 100, SECOND_NS, 10, 2)
            loads += await made.drive_all(
                server, made.plan(port, ending, requests=100, loop=loop, duration_ns=790 * MS_NS)
            )
        return loads[0]

    with bench(client_server_lab()) as made:
        found = made.run(main())
    found.check()
    assert found.errors == {}
    # Four bursts open 10 and three times 8. If the machine pauses, two come as one, and open more; or
    # the load has ended before the last.
    opened, closed, exchanges = (found.total(name) for name in ("opened", "pool_closed", "exchanges"))
    assert 30 <= exchanges <= 40
    assert exchanges - 6 <= opened <= exchanges
    # Those of a burst that is under way when the load ends are closed because it ends.
    assert opened - 10 <= closed <= opened - 2
    assert found.closes[Ending.CLIENT_FIN] >= closed
    assert max(one.pool_idle or 0 for one in found.intervals) == 2
