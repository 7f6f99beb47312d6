"""The conformance of the drivers: on the same scenario each tells the same, and what the kernel has counted.

The tables say what a user sees in the records: outcomes as `phase:kind`, who ended the connections and how.
By what means a driver does it is its own affair, and so is how many attempts it makes in a given time. A
new driver is tested by its name in `DRIVERS`. None is let off anything.
"""

import asyncio
import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from msgspec import structs

from loadgen.drivers.messages import WorkerMessage
from loadgen.drivers.plan import ClosedLoop, OpenLoop
from loadgen.drivers.uring.entries import SINK
from loadgen.engine.child import Child
from loadgen.lab.topology import client_server_lab
from loadgen.records.latency import Tag
from loadgen.records.types import Interval
from loadgen.scenario.choices import Arrivals, Driver, Family
from loadgen.tcp import Ending, Side
from loadgen.wire.messages import Ready, Stop
from tests.drivers.driving import LEAD_NS, MS_NS, PATIENT, Bench, Driven, Heard, bench, misbehaving
from tests.drivers.misbehaving import LONG
from tests.lab.sysctls import NO_ASSASSINATION
from tests.peers import need

DRIVERS = (Driver.PROTOCOL, Driver.URING, Driver.AIOHTTP)
"""The first is the reference."""

every_driver = pytest.mark.parametrize("driver", DRIVERS)

HOUR_NS = 3_600_000 * MS_NS
SOON_NS = 200 * MS_NS
"""A timeout that is to be met."""
NOBODY_LISTENS = 9

Changes = Mapping[str, Any]
"""Fields of a plan that differ from `Bench.plan`."""


def way(http: str, ending: Ending, requests: int) -> Changes:
    return {"http": http, "ending": ending, "requests": requests}


def often(rate: float, connections: int = 1000) -> OpenLoop:
    """An even open loop: `rate` requests a second, the first at once, none of them late."""
    return OpenLoop(rate, Arrivals.CONSTANT, connections, HOUR_NS)


ALONE = CLIENT_FIN, CLIENT_RST, SERVER_FIN, SERVER_RST = tuple(Ending)[:4]
"""Endings by one side, which a driver can be asked for by themselves."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@pytest.fixture(scope="module")
def bad(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair) as ports:
        yield ports


def stop_after(ended: int) -> Heard:
    """Each load goes on until so many of its attempts are over, however long they take."""
    over: Counter[Child[WorkerMessage]] = Counter()

    def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        if isinstance(message, Interval):
            over[child] += (message.succeeded or 0) + sum((message.errors or {}).values())
        if over[child] >= ended:
            child.send(Stop())

    return heard


# ---- servers that do as the scenario says


@dataclass(frozen=True, slots=True)
class Served:
    """What is asked of a connection and of churn's own server."""

    requests: int
    behaviour: Mapping[str, int] = field(default_factory=dict[str, int])
    plan: Changes = field(default_factory=dict[str, Any])


SERVED = {
    "1 exchange": Served(1),
    "3 exchanges": Served(3),
    "100 exchanges": Served(100),
    "10 kB": Served(3, {"response_size": 10_000}),
    "1 MiB": Served(2, {"response_size": 1 << 20}),
    "10 MB": Served(2, {"response_size": 10_000_000}),
    "delay, open loop": Served(2, {"delay_ns": 10 * MS_NS}, {"loop": often(300)}),
    "think time": Served(3, plan={"think_ns": 15 * MS_NS}),
}


@every_driver
@pytest.mark.parametrize("ending", ALONE)
@pytest.mark.parametrize("what", SERVED)
def test_every_close_is_the_one_asked_for(pair: Bench, driver: Driver, ending: Ending, what: str) -> None:
    served = SERVED[what]
    asked: dict[str, Any] = {"ending": ending, "requests": served.requests}
    plan = pair.plan(0, driver=driver, duration_ns=HOUR_NS, **asked, **served.plan)

    async def main() -> list[Driven]:
        async with (
            pair.audited() as loads,
            pair.serving(**asked, **served.behaviour) as (server, port),
        ):
            plans = (replace(plan, port=port, http=http) for http in ("1.0", "1.1"))
            loads += await pair.drive_all(server, *plans, heard=stop_after(4))
        return loads

    for driven in pair.run(main()):
        driven.check()
        assert driven.errors == {}
        assert driven.total("attempts") == driven.total("succeeded")
        assert driven.ends == {ending}
        # Where the load ends, a connection ends early: at most once each.
        missing = driven.total("attempts") * served.requests - driven.total("exchanges")
        early = min(plan.loop.connections, driven.total("attempts"))
        assert 0 <= missing <= early * (served.requests - 1)
        # The server's timer counts whole milliseconds, and may be one behind.
        fastest_ns = min(min(each.values_ns) for each in driven.latencies if each.tag == Tag.SERVICE)
        assert fastest_ns > served.behaviour.get("delay_ns", 0) - 2 * MS_NS


@every_driver
def test_a_worker_that_wakes_late_has_its_first_starts_late(pair: Bench, driver: Driver) -> None:
    def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        if isinstance(message, Ready):
            # It knows when to begin, and sleeps until long after that.
            os.kill(child.pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(SOON_NS / 1e9, os.kill, child.pid, signal.SIGCONT)

    async def main() -> list[Driven]:
        async with pair.audited() as loads, pair.serving(SERVER_FIN) as (server, port):
            loop = structs.replace(often(100), late_ns=20 * MS_NS)
            plan = pair.plan(port, SERVER_FIN, driver=driver, loop=loop, duration_ns=2 * SOON_NS)
            loads += await pair.drive_all(server, plan, heard=heard)
        return loads

    (driven,) = pair.run(main())
    driven.check()
    # What was due meanwhile is neither left out nor put off: it is late.
    assert driven.total("offered") == 2 * SOON_NS * 100 // 1_000_000_000
    assert driven.total("late") >= (SOON_NS - LEAD_NS) * 100 // 1_000_000_000 - 3


@every_driver
def test_a_server_that_ends_once_all_is_quiet_is_never_first(pair: Bench, driver: Driver) -> None:
    async def main() -> list[Driven]:
        async with pair.audited() as loads:
            for seed in range(4):
                async with pair.serving(CLIENT_FIN) as (server, port):
                    # So many that their closes take longer than the word of the last.
                    loop = ClosedLoop(800)
                    plan = pair.plan(port, driver=driver, loop=loop, duration_ns=50 * MS_NS, seed=seed)
                    loads += await pair.drive_all(server, plan)
        return loads

    for driven in pair.run(main()):
        driven.check()
        assert driven.errors == {}
        assert driven.ends == {"client_fin"}


@every_driver
def test_an_open_loop_keeps_a_pool(pair: Bench, driver: Driver) -> None:
    async def main() -> Driven:
        async with pair.audited() as loads, pair.serving(CLIENT_FIN, requests=5) as (server, port):
            loop = OpenLoop(400, Arrivals.POISSON, 1000, 0)
            plan = pair.plan(port, driver=driver, requests=5, loop=loop, duration_ns=200 * MS_NS)
            loads += await pair.drive_all(server, plan)
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    # None is dropped before the end; each comes after its instant, be it by a nanosecond.
    assert driven.total("exchanges") == driven.total("started") == driven.total("late")
    assert not any(interval.dropped for interval in driven.intervals if interval.end_ns < 200 * MS_NS)
    # The idle are taken again before another is opened.
    assert driven.total("attempts") < driven.total("exchanges")
    assert driven.closes[CLIENT_FIN] == driven.total("attempts")


@every_driver
def test_an_open_loop_drops_what_its_cap_has_no_room_for(pair: Bench, driver: Driver) -> None:
    async def main() -> Driven:
        async with pair.audited() as loads, pair.serving(CLIENT_FIN, delay_ns=40 * MS_NS) as (server, port):
            loads += await pair.drive_all(server, pair.plan(port, driver=driver, loop=often(1000, 3)))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.total("started") == driven.total("attempts") < driven.total("dropped")
    assert driven.total("late") == 0
    assert max(interval.in_flight for interval in driven.intervals) <= 3


@every_driver
@pytest.mark.parametrize("family", Family)
def test_connections_take_all_pairs_of_addresses_in_turn(family: Family, driver: Driver) -> None:
    need("ss")

    async def main(at: Bench) -> tuple[Driven, str]:
        async with at.audited() as loads, at.serving(CLIENT_FIN) as (server, port):
            loads += await at.drive_all(server, at.plan(port, driver=driver, loop=often(300)))
        return loads[0], await at.output(Side.CLIENT, "ss", "-tanHO", "state", "time-wait")

    spec = client_server_lab(
        family=family, client_addresses=3, server_addresses=2, sysctls={Side.CLIENT: NO_ASSASSINATION}
    )
    with bench(spec) as at:
        driven, left = at.run(main(at))
    driven.check()
    assert driven.errors == {}
    found: Counter[tuple[str, str]] = Counter()
    for row in left.splitlines():
        _, _, local, remote, *_ = row.split()
        found[local.rpartition(":")[0].strip("[]"), remote.rpartition(":")[0].strip("[]")] += 1
    assert found.total() == driven.total("attempts") >= 6
    sources, destinations = (at.lab.addresses[side] for side in (Side.CLIENT, Side.SERVER))
    assert set(found) == {(source, there) for source in sources for there in destinations}
    assert max(found.values()) - min(found.values()) <= 1


# ---- servers that do not

ASKED = "asked"
"""The close that the plan asks for."""


@dataclass(frozen=True, slots=True)
class Case:
    """Loads on one misbehaving server, one for each of `ways`, and what each of them must show.

    Every attempt ends by one of `errors`, or succeeds where there are none. `closes`: how the
    connections ended, all of which must be seen. `at_end`: some were good and idle as the load ended, and
    were closed as asked.
    """

    ways: tuple[Changes, ...]
    errors: frozenset[str] = frozenset()
    closes: frozenset[str] = frozenset()
    at_end: bool = False


def case(ways: tuple[Changes, ...], errors: str = "", closes: str = "", *, at_end: bool = False) -> Case:
    return Case(ways, frozenset(errors.split()), frozenset(closes.split()), at_end)


# What fails so, or succeeds so, does it whatever was asked for: two ways each, which differ in all.
ONE_WAY = (way("1.1", CLIENT_FIN, 1), way("1.0", SERVER_RST, 3))
OTHER_WAY = (way("1.0", CLIENT_RST, 100), way("1.1", SERVER_FIN, 3))
CLIENT_CLOSES = (way("1.1", CLIENT_FIN, 3), way("1.0", CLIENT_RST, 1))
SERVER_CLOSES = (
    way("1.1", SERVER_FIN, 1),
    way("1.1", SERVER_RST, 3),
    way("1.0", SERVER_FIN, 3),
    way("1.0", SERVER_RST, 1),
)


def all_with(ways: tuple[Changes, ...], **changes: Any) -> tuple[Changes, ...]:
    return tuple({**way, **changes} for way in ways)


SELDOM = often(2)
"""A request comes long after what the server does to the connection of the one before."""


def idle(*ways: Changes) -> tuple[Changes, ...]:
    """On a connection that idles in thought, and in the pool of an open loop."""
    return all_with(ways, think_ns=HOUR_NS, loop=ClosedLoop(2)) + all_with(ways, loop=SELDOM)


AGAIN = (
    way("1.1", CLIENT_FIN, 3),
    way("1.0", CLIENT_FIN, 100),
    way("1.1", CLIENT_RST, 3),
    way("1.0", CLIENT_RST, 3) | {"loop": often(50)},
)
"""The client comes with a second request."""
BOTH_BY_FIN = (way("1.1", CLIENT_FIN, 3), way("1.0", SERVER_FIN, 3))


def soon(**timeouts: int) -> Changes:
    return {"timeouts": replace(PATIENT, **timeouts)}


CASES = {
    # No connection.
    "refused": case(ONE_WAY + OTHER_WAY, "connect:ECONNREFUSED"),
    "unanswered": case(all_with(ONE_WAY, **soon(connect_ns=SOON_NS)), "connect:TIMEOUT"),
    # No response.
    "reset_before_response": case(ONE_WAY, "receive:ECONNRESET", "server_rst"),
    "reset_in_response": case(OTHER_WAY, "receive:ECONNRESET", "server_rst"),
    "end_before_response": case(ONE_WAY, "receive:NO_RESPONSE", "server_fin"),
    "end_in_head": case(OTHER_WAY, "receive:SHORT", "server_fin"),
    "end_in_body": case(ONE_WAY, "receive:SHORT", "server_fin"),
    "stall": case(all_with(ONE_WAY, **soon(response_ns=SOON_NS)), "receive:TIMEOUT", "client_rst"),
    "stall_in_response": case(
        all_with(OTHER_WAY, **soon(response_ns=SOON_NS)), "receive:TIMEOUT", "client_rst"
    ),
    # Another response than was asked for. A FIN that came before the client gave up is the first end.
    "malformed": case(ONE_WAY, "receive:MALFORMED", "client_rst"),
    "malformed_and_end": case(OTHER_WAY, "receive:MALFORMED", "server_fin"),
    "trailing": case(ONE_WAY + OTHER_WAY, "receive:MALFORMED", "client_rst"),
    "unavailable": case(OTHER_WAY, "receive:HTTP_503", "client_rst"),
    "unavailable_and_end": case(ONE_WAY, "receive:HTTP_503", "server_fin"),
    "unavailable_is_length": case(ONE_WAY + OTHER_WAY, "receive:HTTP_503", "server_fin"),
    # Between two exchanges. A server may end an idle connection; a reset is none that was asked for.
    "end_idle": case(
        idle(way("1.1", CLIENT_FIN, 3), way("1.0", SERVER_RST, 3)), "", "server_fin", at_end=True
    ),
    "reset_idle": case(idle(*BOTH_BY_FIN), "close:ECONNRESET", "server_rst", at_end=True),
    "reset_idle as asked": case(idle(way("1.1", SERVER_RST, 3)), "", "server_rst"),
    "speak_idle": case(idle(*BOTH_BY_FIN), "close:MALFORMED", "client_rst", at_end=True),
    "end_at_second": case(AGAIN, "receive:NO_RESPONSE", "server_fin", at_end=True),
    "reset_at_second": case(AGAIN, "receive:ECONNRESET", "server_rst", at_end=True),
    # The server closes sooner than it was to, or never.
    "end_with_response": case(SERVER_CLOSES, "", "server_fin"),
    "end_is_length": case(SERVER_CLOSES, "", "server_fin"),
    "in_pieces_and_end": case(SERVER_CLOSES, "", "server_fin"),
    "never_close": case(all_with(SERVER_CLOSES, **soon(close_ns=SOON_NS)), "close:TIMEOUT", "client_rst"),
    # Unusual, and right.
    "in_pieces": case(CLIENT_CLOSES, "", ASKED),
    "head_then_body": case(CLIENT_CLOSES, "", ASKED),
    "chunked": case(CLIENT_CLOSES, "", ASKED),
    "informed": case(CLIENT_CLOSES, "", ASKED),
    "no_content": case(CLIENT_CLOSES, "", ASKED),
    "redirect": case(CLIENT_CLOSES, "", ASKED),
    # Long, in each of the ways that a body has to end.
    "long": case(CLIENT_CLOSES, "", ASKED),
    "long_chunked": case(CLIENT_CLOSES, "", ASKED),
    "long_is_length": case(SERVER_CLOSES, "", "server_fin"),
    "long_and_end": case(SERVER_CLOSES, "", "server_fin"),
    "of_all_lengths": case(all_with(CLIENT_CLOSES, requests=20), "", ASKED),
    "end_in_long": case(ONE_WAY + OTHER_WAY, "receive:SHORT", "server_fin"),
    "reset_in_long": case(ONE_WAY + OTHER_WAY, "receive:ECONNRESET", "server_rst"),
    "stall_in_long": case(
        all_with(ONE_WAY + OTHER_WAY, **soon(response_ns=SOON_NS)), "receive:TIMEOUT", "client_rst"
    ),
}
"""By the server's behaviour in `tests.drivers.misbehaving`, and what else there is to say."""


@every_driver
@pytest.mark.parametrize("name", CASES)
def test_an_outcome_has_one_name(pair: Bench, bad: dict[str, int], driver: Driver, name: str) -> None:
    case = CASES[name]
    port = bad.get(name.split()[0], NOBODY_LISTENS)
    # Short intervals: the stop comes right after the second end, and long before an idle connection's next.
    lasting = {"driver": driver, "duration_ns": HOUR_NS, "interval_ns": 10 * MS_NS}
    plans = [pair.plan(port, **{**lasting, **way}) for way in case.ways]

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
        if case.errors:
            assert driven.total("succeeded") == (driven.closes[asked] if case.at_end else 0)


@pytest.mark.parametrize(
    ("name", "length"), [("end_with_response", 2), ("long", LONG), ("long_and_end", LONG)]
)
def test_reads_are_few_and_counted(pair: Bench, bad: dict[str, int], name: str, length: int) -> None:
    """By uring: the first read of a response, and as many sinks full as the rest takes."""
    ending = SERVER_FIN if name.endswith(("end", "with_response")) else CLIENT_FIN
    plan = pair.plan(bad[name], ending, driver=Driver.URING, duration_ns=HOUR_NS, loop=ClosedLoop(8))

    async def main() -> Driven:
        async with pair.audited() as loads:
            loads.append(await pair.drive(plan, stop_after(16)))
        return loads[0]

    driven = pair.run(main())
    assert driven.errors == {}
    exchanges, reads = driven.total("exchanges"), driven.total("reads")
    assert exchanges <= reads <= exchanges * (1 + -(-length // SINK))


@every_driver
def test_a_server_closes_what_idles_for_too_long(pair: Bench, driver: Driver) -> None:
    async def main() -> Driven:
        async with (
            pair.audited() as loads,
            pair.serving(CLIENT_FIN, requests=3, idle_timeout_ns=100 * MS_NS) as (_, port),
        ):
            once = {"requests": 3, "loop": often(0.001), "duration_ns": HOUR_NS}
            loads.append(await pair.drive(pair.plan(port, driver=driver, **once), stop_after(1)))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.closes == {SERVER_FIN: 1}
    assert driven.ends == {SERVER_FIN}
    # Nothing failed, though only one of three requests was made.
    assert driven.total("succeeded") == driven.total("attempts") == driven.total("exchanges") == 1


# ---- servers that die

# The loads are open loops of few requests: a closed one would connect again while the dying server listens.


@every_driver
def test_a_server_killed_while_a_connection_idles(pair: Bench, driver: Driver) -> None:
    """The kernel closes for it, by FIN; from then on nobody listens."""

    async def main() -> Driven:
        async with pair.audited() as loads, pair.serving(CLIENT_FIN, requests=100) as (server, port):

            def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
                if isinstance(message, Interval) and message.exchanges:
                    server.kill()
                stop_once_refused(child, message)

            plan = pair.plan(port, driver=driver, requests=100, loop=SELDOM, duration_ns=HOUR_NS)
            loads.append(await pair.drive(plan, heard))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert set(driven.errors) == {"connect:ECONNREFUSED"}
    assert driven.total("succeeded") == driven.closes[SERVER_FIN] == driven.total("connected") == 1


@every_driver
@pytest.mark.parametrize("ending", [CLIENT_FIN, SERVER_FIN])
def test_a_server_killed_in_mid_exchange(pair: Bench, driver: Driver, ending: Ending) -> None:
    need("ss")

    async def kill_once_all_is_read(server: Child, port: int) -> None:
        """What it had not read would make its end a reset (K4)."""
        argv = ("ss", "-tniHO", "state", "established", "sport", "=", f":{port}")
        while True:
            rows = (await pair.output(Side.SERVER, *argv)).splitlines()
            if rows and all(row.split()[0] == "0" and "bytes_received:" in row for row in rows):
                break
        server.kill()

    async def main() -> Driven:
        async with pair.audited() as loads, pair.serving(ending, delay_ns=HOUR_NS) as (server, port):
            plan = pair.plan(port, ending, driver=driver, loop=SELDOM, duration_ns=HOUR_NS)
            driven, _ = await asyncio.gather(
                pair.drive(plan, stop_once_refused), kill_once_all_is_read(server, port)
            )
            loads.append(driven)
        return driven

    driven = pair.run(main())
    driven.check()
    assert set(driven.errors) == {"receive:NO_RESPONSE", "connect:ECONNREFUSED"}
    assert driven.errors["receive:NO_RESPONSE"] == driven.closes[SERVER_FIN] == driven.total("connected")


def stop_once_refused(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
    if isinstance(message, Interval) and "connect:ECONNREFUSED" in message.errors:
        child.send(Stop())


@every_driver
def test_time_inside_connect_is_measured_for_calls_that_fail_too(driver: Driver) -> None:
    async def main(at: Bench) -> tuple[Driven, Driven]:
        async with at.serving(CLIENT_FIN) as (server, port):
            # Long enough to go through all 20 ports on a busy machine, too.
            plan = at.plan(port, driver=driver, loop=ClosedLoop(1), duration_ns=500 * MS_NS)
            (well,) = await at.drive_all(server, plan)
        # No port is left: none of these sends anything.
        return well, await at.drive(at.plan(port, driver=driver, loop=ClosedLoop(1)))

    with bench(client_server_lab(ports=(40_000, 40_019))) as at:
        well, badly = at.run(main(at))
    assert badly.total("opened") == 0 < badly.total("attempts")
    for driven in (well, badly):
        assert 0 < driven.total("connecting_ns") < driven.intervals[-1].end_ns
        # The first call is clocked in any case.
        assert 0 < driven.total("clocked") <= driven.total("attempts")
        assert driven.total("clocked_wall_ns") > 0
        assert driven.total("clocked_cpu_ns") > 0


@every_driver
def test_workers_begin_on_different_paths_and_keep_to_their_cores(driver: Driver) -> None:
    need("ss")
    cores = sorted(os.sched_getaffinity(0))[:1]
    pinned: list[set[int]] = []

    def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        if isinstance(message, Ready):
            pinned.append(os.sched_getaffinity(child.pid))

    async def main(at: Bench) -> tuple[list[Driven], str]:
        async with at.serving(CLIENT_FIN) as (_, port):
            # Two arrivals, one for each worker.
            plan = at.plan(port, driver=driver, loop=often(100), duration_ns=15 * MS_NS)
            driven = await asyncio.gather(*(at.drive(share, heard) for share in plan.divided(2, cores * 2)))
            await at.settled()
        return driven, await at.output(Side.CLIENT, "ss", "-tanHO", "state", "time-wait")

    with bench(client_server_lab(server_addresses=2)) as at:
        driven, left = at.run(main(at))
    assert [worker.total("attempts") for worker in driven] == [1, 1]
    assert len({row.split()[3] for row in left.splitlines()}) == 2
    assert pinned == [set(cores)] * 2


# ---- what runs out


@every_driver
@pytest.mark.parametrize("addresses", [1, 2])
def test_ports_run_out(driver: Driver, addresses: int) -> None:
    async def main(at: Bench) -> Driven:
        async with at.audited() as loads, at.serving(CLIENT_FIN) as (server, port):
            plan = at.plan(port, driver=driver, duration_ns=HOUR_NS)
            loads += await at.drive_all(server, plan, heard=stop_after(ports + 20))
        return loads[0]

    ports = 20 * addresses**2
    spec = client_server_lab(
        ports=(40_000, 40_019),
        client_addresses=addresses,
        server_addresses=addresses,
        sysctls={Side.CLIENT: NO_ASSASSINATION},
    )
    with bench(spec) as at:
        driven = at.run(main(at))
    driven.check()
    # Each port once for each pair of addresses, and no SYN for the others: no counter shows them (K10, K11).
    assert set(driven.errors) == {"connect:EADDRNOTAVAIL"}
    assert driven.total("opened") == driven.closes[CLIENT_FIN] == driven.total("succeeded") == ports


@every_driver
@pytest.mark.parametrize("loop", [ClosedLoop(64), often(1000, 64)], ids=["closed", "open"])
def test_descriptors_run_out(
    pair: Bench, bad: dict[str, int], driver: Driver, loop: ClosedLoop | OpenLoop
) -> None:
    stop = stop_after(100)

    def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        if message is None:
            _, hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (32, hard))
        stop(child, message)

    many = {"loop": loop, "duration_ns": HOUR_NS}
    plan = pair.plan(bad["stall"], driver=driver, **many, **soon(response_ns=5 * SOON_NS))

    async def main() -> Driven:
        async with pair.audited() as loads:
            loads.append(await pair.drive(plan, heard))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert set(driven.errors) == {"bind:EMFILE", "receive:TIMEOUT"}
    assert 0 < driven.total("opened") == driven.closes[CLIENT_RST] < 32


# ---- how it ends


@every_driver
@pytest.mark.parametrize(
    ("loop", "ending"), [(ClosedLoop(4), CLIENT_FIN), (often(300), SERVER_FIN)], ids=["closed", "open"]
)
@pytest.mark.parametrize("word", [Ready, Interval])
def test_a_stop_ends_the_load_early(
    pair: Bench, driver: Driver, loop: ClosedLoop | OpenLoop, ending: Ending, word: type
) -> None:
    def stop(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        if isinstance(message, word):
            child.send(Stop())

    async def main() -> Driven:
        async with pair.audited() as loads, pair.serving(ending, requests=3) as (server, port):
            plan = pair.plan(port, ending, driver=driver, requests=3, loop=loop, duration_ns=HOUR_NS)
            loads += await pair.drive_all(server, plan, heard=stop)
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.ends == {ending}
    assert driven.total("succeeded") == driven.total("attempts")


@every_driver
def test_what_outlives_the_load_is_cut(pair: Bench, driver: Driver) -> None:
    """The server is to close after more exchanges than there is time for, and nobody ends it."""

    async def main() -> Driven:
        asked: dict[str, Any] = {"ending": SERVER_FIN, "requests": 1_000_000}
        async with pair.audited() as loads, pair.serving(**asked) as (_, port):
            plan = pair.plan(port, driver=driver, **asked, **soon(close_ns=SOON_NS))
            loads.append(await pair.drive(plan))
        return loads[0]

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {"close:CUT": 4}
    assert driven.closes == {CLIENT_RST: 4}
    assert driven.ends == {CLIENT_RST}
