"""All drivers show the same states for the same load, sampled from the kernel of each side while they run."""

import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Iterator

import pytest

from loadgen.drivers.plan import ClosedLoop
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Driver
from loadgen.tcp import Ending, Side, State
from tests.drivers.driving import MS_NS, Bench, Driven, bench
from tests.drivers.states import HELD
from tests.lab.sysctls import NO_ASSASSINATION

DRIVERS = (Driver.PROTOCOL, Driver.URING, Driver.AIOHTTP)
SLOW_NS = 500 * MS_NS
"""A response time within which all connections in flight are established at once."""
CROWD = 3000
"""More connections in flight than a driver opens in one turn of its loop."""
PROMPT = 0.8
"""Of a crowd whose responses are fast, the part that may be in CLOSE-WAIT, or hold a port, at once. A client
that closes as it reads the FIN has few: those that came while it waited for a core."""
OPENED = 0.2
"""Of a crowd whose responses are slow, the part that is established at once at least. The slowest driver
opens no more within a response time on a busy machine."""
DUMPED, TURN = 8, 64
"""A dump is no instant: sockets closed and opened while it is made may both be in it. And the kernel closes
the sockets that a turn of uring replaces once the turn is over: new ones may have an answer by then."""

Most = dict[Side, Counter[str]]


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(sysctls={Side.CLIENT: NO_ASSASSINATION}), forking=True) as made:
        yield made


@pytest.fixture(scope="module")
def watches(pair: Bench) -> Iterator[dict[Side, Process]]:
    """A process on each side that watches its sockets."""

    async def start(side: Side) -> Process:
        argv = [sys.executable, "-m", "tests.drivers.states", side]
        return await pair.lab.spawn(side, argv, stdin=PIPE, stdout=PIPE)

    made = {side: pair.run(start(side)) for side in Side}
    yield made
    for process in made.values():
        assert process.stdin
        process.stdin.close()
        pair.run(process.wait())


async def say(watch: Process, line: str) -> bytes:
    """Its answer."""
    assert watch.stdin
    assert watch.stdout
    watch.stdin.write(f"{line}\n".encode())
    return await watch.stdout.readline()


async def driven(
    pair: Bench, watches: dict[Side, Process], driver: Driver, ending: Ending, connections: int, delay_ns: int
) -> tuple[Driven, Most]:
    """What a load counted, and the most sockets that each side had at once, by state."""
    async with pair.serving(ending, delay_ns=delay_ns) as (_, port):
        for watch in watches.values():
            await say(watch, str(port))
        length_ns = 200 * MS_NS + delay_ns
        plan = pair.plan(port, ending, driver=driver, loop=ClosedLoop(connections), duration_ns=length_ns)
        load = await pair.drive(plan)
        await pair.settled()
        return load, {side: Counter(json.loads(await say(watch, ""))) for side, watch in watches.items()}


@pytest.mark.parametrize("ending", [Ending.SERVER_FIN, Ending.CLIENT_FIN])
@pytest.mark.parametrize("delay_ns", [0, SLOW_NS], ids=["fast", "slow"])
@pytest.mark.parametrize("connections", [1, 64, CROWD])
@pytest.mark.parametrize("driver", DRIVERS)
def test_all_drivers_show_the_same_states(
    pair: Bench,
    watches: dict[Side, Process],
    driver: Driver,
    connections: int,
    delay_ns: int,
    ending: Ending,
) -> None:
    load, most = pair.run(driven(pair, watches, driver, ending, connections, delay_ns))
    load.check()
    assert not load.errors
    client, server, count = most[Side.CLIENT], most[Side.SERVER], load.total("connected")
    # Never more than there are in flight, and all of them if each takes long.
    established = [most[side][State.ESTABLISHED] for side in Side]
    most_open = 1.1 * connections + min(connections, TURN) + DUMPED
    assert max(established) <= most_open
    if delay_ns:
        assert min(established) >= (OPENED * connections if connections == CROWD else connections)
    if ending.side is Side.SERVER:
        most_held = PROMPT * connections if connections == CROWD and not delay_ns else connections
        most_held += min(connections, TURN) + DUMPED
        assert client[State.CLOSE_WAIT] <= most_held
        # Whatever is in flight holds a port, a crowd is opened at once, and what is over is closed two turns
        # later at most.
        assert client[HELD] <= connections + 2 * min(connections, TURN) + DUMPED
        assert client[State.TIME_WAIT] == 0
        assert 0 < server[State.TIME_WAIT] <= count
    else:
        assert client[State.CLOSE_WAIT] == 0
        assert client[State.TIME_WAIT] == client[HELD] == count
        assert server[State.TIME_WAIT] == 0
