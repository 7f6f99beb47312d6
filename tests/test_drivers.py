"""The load worker as a run uses it: a process of its own in a lab, through its stdin and stdout."""

import asyncio
import contextlib
import resource
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from loadgen.child import Child
from loadgen.choices import Arrivals, Driver
from loadgen.drivers.aiohttp_client import AiohttpClient
from loadgen.drivers.load import Attempt, ClosedLoad
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan
from loadgen.drivers.tally import Tally
from loadgen.lab.spec import Family, LabSpec
from loadgen.tcp import CloseMethod, Closer, Side
from tests.driving import HASTY, MS_NS, Bench, Driven, bench, misbehaving
from tests.peers import need

HOUR_NS = 3_600_000 * MS_NS
NOBODY_LISTENS = 9

DRIVERS = [driver for driver in Driver if driver is not Driver.COMMAND]
"""Those that a load worker runs; commands have tests of their own."""

both_drivers = pytest.mark.parametrize("driver", DRIVERS)


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(LabSpec()) as made:
        yield made


@pytest.fixture(scope="module")
def bad(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair) as ports:
        yield ports


# ---- what a scenario asks for


@both_drivers
@pytest.mark.parametrize("close", CloseMethod)
@pytest.mark.parametrize("closer", Closer)
def test_every_close_is_the_one_asked_for(
    pair: Bench, driver: Driver, closer: Closer, close: CloseMethod
) -> None:
    async def main(requests: int) -> list[Driven]:
        async with pair.serving(closer, close, requests) as (server, port):
            plan = pair.plan(port, closer, driver=driver, close=close, requests=requests)
            return await pair.drive_all(server, *(replace(plan, http=http) for http in ("1.0", "1.1")))

    for requests in (1, 5):
        for driven in pair.run(main(requests)):
            driven.check()
            assert driven.errors == {}
            assert driven.total("attempts") == driven.total("succeeded") == driven.total("connected")
            ends = getattr(driven.closes, f"{closer}_{close}")
            assert driven.closes.total == ends
            # Where the load ends, a connection ends early: at most once each.
            missing = driven.total("attempts") * requests - driven.total("exchanges")
            assert 0 <= missing <= 4 * (requests - 1)
            assert driven.said[-1] == "over"
            assert [kind for kind in driven.said if kind in ("load_ends", "quiet")] == ["load_ends", "quiet"]


@both_drivers
def test_an_open_loop_keeps_a_pool(pair: Bench, driver: Driver) -> None:
    async def main() -> Driven:
        async with pair.serving(Closer.CLIENT, requests=5) as (server, port):
            loop = OpenLoop(400, Arrivals.POISSON, 50, HOUR_NS)
            plan = pair.plan(port, driver=driver, requests=5, loop=loop, duration_ns=200 * MS_NS)
            (driven,) = await pair.drive_all(server, plan)
            return driven

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.total("exchanges") == driven.total("started")
    # The idle are taken again before another is opened.
    assert driven.total("attempts") < driven.total("exchanges")
    assert driven.closes.client_fin == driven.total("attempts")


@both_drivers
@pytest.mark.parametrize("family", Family)
def test_connections_take_all_pairs_of_addresses_in_turn(family: Family, driver: Driver) -> None:
    need("ss")

    async def main(at: Bench) -> tuple[Driven, str]:
        async with at.serving(Closer.CLIENT) as (server, port):
            plan = at.plan(port, driver=driver, loop=OpenLoop(300, Arrivals.CONSTANT, 50, HOUR_NS))
            (driven,) = await at.drive_all(server, plan)
        return driven, await at.output(Side.CLIENT, "ss", "-tanHO", "state", "time-wait")

    with bench(LabSpec(family=family, client_addresses=3, server_addresses=2)) as at:
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


# ---- what goes wrong


@dataclass(frozen=True, slots=True)
class Wrong:
    """A way to fail: the outcomes that both drivers must give it, and who ended the connections.

    `outcomes` empty: all succeed. `ends` empty: none was established.
    """

    outcomes: set[str]
    ends: set[str] = field(default_factory=set[str])
    plan: dict[str, Any] = field(default_factory=dict[str, Any])


KEPT = {"requests": 3, "think_ns": 60 * MS_NS}
"""The client idles while the server does what it does."""
AGAIN = {"requests": 3}
SERVER_CLOSES = {"closer": Closer.SERVER}
WRONG = {
    "reset_before_response": Wrong({"receive:ECONNRESET"}, {"server_rst"}),
    "reset_in_response": Wrong({"receive:ECONNRESET"}, {"server_rst"}),
    "end_before_response": Wrong({"receive:SHORT"}, {"server_fin"}),
    "end_in_body": Wrong({"receive:SHORT"}, {"server_fin"}),
    "end_in_head": Wrong({"receive:SHORT"}, {"server_fin"}),
    "stall": Wrong({"receive:TIMEOUT"}, {"client_rst"}),
    "stall_in_response": Wrong({"receive:TIMEOUT"}, {"client_rst"}),
    "malformed": Wrong({"receive:MALFORMED"}, {"client_rst"}),
    "unavailable": Wrong({"receive:HTTP_503"}, {"client_rst"}),
    "end_idle": Wrong(set(), {"server_fin"}, KEPT),
    "reset_idle": Wrong({"close:ECONNRESET"}, {"server_rst"}, KEPT),
    "speak_idle": Wrong({"close:MALFORMED"}, {"client_rst"}, KEPT),
    "end_at_second": Wrong({"receive:SHORT"}, {"server_fin"}, AGAIN),
    "reset_at_second": Wrong({"receive:ECONNRESET"}, {"server_rst"}, AGAIN),
    "end_with_response": Wrong(set(), {"server_fin"}, SERVER_CLOSES),
    "end_is_length": Wrong(set(), {"server_fin"}, SERVER_CLOSES | AGAIN),
    "never_close": Wrong({"close:TIMEOUT"}, {"client_rst"}, SERVER_CLOSES),
    "trailing": Wrong({"receive:MALFORMED"}, {"client_rst"}),
    "unanswered": Wrong({"connect:TIMEOUT"}),
    "refused": Wrong({"connect:ECONNREFUSED"}),
}


@pytest.mark.parametrize("how", WRONG)
def test_both_drivers_call_a_failure_the_same(pair: Bench, bad: dict[str, int], how: str) -> None:
    wrong = WRONG[how]
    port = bad.get(how, NOBODY_LISTENS)

    async def main() -> tuple[list[Driven], dict[str, int]]:
        plan = pair.plan(port, **{"duration_ns": 50 * MS_NS, "timeouts": HASTY} | wrong.plan)
        before = await pair.counters(Side.CLIENT)
        found = await asyncio.gather(*(pair.drive(replace(plan, driver=driver)) for driver in DRIVERS))
        after = await pair.counters(Side.CLIENT)
        return found, {name: after[name] - before[name] for name in after}

    found, kernel = pair.run(main())
    for driven in found:
        driven.check()
        assert set(driven.errors) == wrong.outcomes
        ended = {name for name in CLOSES if getattr(driven.closes, name)}
        if "requests" in wrong.plan:
            # Those that idle when the load ends are closed well.
            ended.discard("client_fin")
        assert ended == wrong.ends
        if wrong.outcomes:
            assert driven.total("succeeded") == driven.closes.client_fin
        assert driven.total("opened") == driven.total("attempts")
    # The kernel has counted the same.
    assert sum(driven.total("opened") for driven in found) == kernel["ActiveOpens"]
    resets = sum(driven.closes.client_rst + driven.closes.server_rst for driven in found)
    assert resets == kernel["EstabResets"]


CLOSES = ("client_fin", "client_rst", "server_fin", "server_rst")


@pytest.mark.parametrize("how", ["malformed_and_end", "unavailable_and_end"])
@both_drivers
def test_who_was_first_stays_true_where_a_failure_and_an_end_meet(
    pair: Bench, bad: dict[str, int], driver: Driver, how: str
) -> None:
    """A failing client gives up by RST; but a FIN that came before, it answers by its own."""

    async def main() -> tuple[Driven, dict[Side, dict[str, int]]]:
        plan = pair.plan(bad[how], driver=driver, duration_ns=50 * MS_NS)
        before = {side: await pair.counters(side) for side in Side}
        driven = await pair.drive(plan)
        after = {side: await pair.counters(side) for side in Side}
        return driven, {
            side: {name: after[side][name] - before[side][name] for name in after[side]} for side in Side
        }

    driven, kernel = pair.run(main())
    driven.check()
    assert driven.total("succeeded") == 0
    assert driven.closes.server_fin == driven.total("attempts")
    assert [kernel[side]["EstabResets"] for side in Side] == [0, 0]
    assert kernel[Side.SERVER]["TW"] == driven.total("attempts")


# ---- what runs out


@both_drivers
def test_ports_run_out(driver: Driver) -> None:
    async def main(at: Bench) -> tuple[Driven, dict[str, int]]:
        async with at.serving(Closer.CLIENT) as (server, port):
            (driven,) = await at.drive_all(server, at.plan(port, driver=driver))
            return driven, await at.counters(Side.CLIENT)

    with bench(LabSpec(ports=(40_000, 40_019))) as at:
        driven, kernel = at.run(main(at))
    driven.check()
    assert set(driven.errors) == {"connect:EADDRNOTAVAIL"}
    # Each port once, and no SYN for the others: no counter shows them (K11).
    assert driven.total("opened") == driven.closes.client_fin == kernel["ActiveOpens"] == 20


@both_drivers
def test_descriptors_run_out(pair: Bench, bad: dict[str, int], driver: Driver) -> None:
    def lower(child: Child, word: str) -> None:
        if word == "ready":
            _, hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (32, hard))

    plan = pair.plan(bad["stall"], driver=driver, loop=ClosedLoop(64), duration_ns=50 * MS_NS, timeouts=HASTY)
    driven = pair.run(pair.drive(plan, lower))
    driven.check()
    assert set(driven.errors) == {"bind:EMFILE", "receive:TIMEOUT"}
    assert 0 < driven.total("opened") == driven.total("connected") < 32


# ---- how it ends


@both_drivers
@pytest.mark.parametrize("word", ["ready", "interval"])
def test_a_stop_ends_the_load_early(pair: Bench, driver: Driver, word: str) -> None:
    def stop(child: Child, heard: str) -> None:
        if heard == word:
            child.tell("stop")

    async def main() -> Driven:
        async with pair.serving(Closer.CLIENT) as (_, port):
            return await pair.drive(pair.plan(port, driver=driver, duration_ns=HOUR_NS), stop)

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {}
    assert driven.closes.client_fin == driven.total("succeeded") > 0


@both_drivers
def test_what_outlives_the_load_is_cut(pair: Bench, driver: Driver) -> None:
    """The server is to close after more exchanges than there is time for, and nobody ends it."""

    async def main() -> Driven:
        changed = {"closer": Closer.SERVER, "requests": 1_000_000}
        async with pair.serving(**changed) as (_, port):
            return await pair.drive(pair.plan(port, driver=driver, timeouts=HASTY, **changed))

    driven = pair.run(main())
    driven.check()
    assert driven.errors == {"close:CUT": 4}
    assert driven.closes.client_rst == driven.total("attempts") == 4


class Broken(ClosedLoad):
    """A load with a bug."""

    def idle(self, attempt: Attempt) -> None:
        raise ZeroDivisionError(attempt)


def test_a_bug_does_not_pass_for_a_success(pair: Bench) -> None:
    async def main() -> dict[str, int]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        plan = replace(
            pair.plan(server.sockets[0].getsockname()[1], driver=Driver.AIOHTTP, requests=2),
            sources=("127.0.0.1",),
            destinations=("127.0.0.1",),
        )
        tally = Tally()
        client = AiohttpClient(plan, tally)
        client.load = Broken(plan, ClosedLoop(1), tally, client.connect)
        client.load.begin()
        client.load.end()
        await client.load.over.wait()
        await answered.wait()
        server.close()
        interval, _ = tally.take(0, 1)
        return {str(failure): count for failure, count in interval.errors.items()}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        answered.set()

    answered = asyncio.Event()
    assert pair.run(main()) == {"close:ZeroDivisionError": 1}


@pytest.mark.parametrize("loop", [ClosedLoop(3), OpenLoop(7.5, Arrivals.POISSON, 9, 10)])
def test_a_plan_survives_the_pipe(pair: Bench, loop: ClosedLoop | OpenLoop) -> None:
    plan = pair.plan(80, loop=loop, driver=Driver.AIOHTTP, closer=Closer.SERVER, close=CloseMethod.RST)
    assert Plan.from_json(plan.to_json()) == plan
