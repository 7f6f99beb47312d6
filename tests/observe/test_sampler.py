"""Samples against `ss` and /proc, with connections held in known states on both sides of a lab."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from time import monotonic_ns

import numpy as np
import pytest

from loadgen.engine.child import Child
from loadgen.kernel.socket_table import SocketTable
from loadgen.kernel.sockstat import Sockstat
from loadgen.lab.lab import Lab
from loadgen.lab.topology import client_server_lab
from loadgen.observe.messages import SamplerMessage, Watch
from loadgen.observe.paced_dump import CHEAP_NS, DUMP_LEAST_NS, DUMP_SHARE, PacedDump
from loadgen.observe.sample_clock import Clock
from loadgen.observe.sampler import Namespace, Plan, is_quiet
from loadgen.observe.time_wait_check import both_ways
from loadgen.records.events import BothWays, SampleCheck, Settled
from loadgen.records.types import Sample, ViewpointSample
from loadgen.scenario.choices import Topology
from loadgen.tcp import Side, State
from loadgen.wire.codec import decode, encode
from loadgen.wire.messages import Ready, Stop, Unobserved
from tests.drivers.driving import MS_NS, Bench, bench
from tests.lab.sysctls import NO_ASSASSINATION
from tests.peers import need

PORTS = (42_000, 42_099)


def shared(lab: Lab) -> bool:
    """Whether both sides stand on one node."""
    return lab.networks["client"] == lab.networks["server"]


# Each connection begins with a letter that tells the server what to do.
SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 0), backlog=128)
print(listener.getsockname()[1], flush=True)
kept = []
for _ in range(int(sys.argv[2])):
    connection, _ = listener.accept()
    kept.append(connection)
    match connection.recv(1):
        case b"e" | b"w" | b"o":
            pass
        case b"c":
            assert connection.recv(1) == b""
            connection.close()
        case b"s":
            connection.close()
        case b"h":
            connection.shutdown(socket.SHUT_WR)
listener.listen(0)
print("done", flush=True)
sys.stdin.read()
"""

CLIENT = """
import socket, sys
kept = []
def connect(what):
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
    kept.append(connection)
    connection.send(what)
    return connection
for what in sys.argv[3].encode():
    connection = connect(bytes([what]))
    match bytes([what]):
        case b"e" | b"h":
            pass
        case b"c" | b"o":
            connection.close()
        case b"s":
            assert connection.recv(1) == b""
            connection.close()
        case b"w":
            connection.shutdown(socket.SHUT_WR)
sys.stdin.readline()
# Nobody accepts any more: one waits in the accept queue, the next one's SYN gets no answer (K15).
connect(b"")
late = socket.socket()
late.setblocking(False)
late.connect_ex((sys.argv[1], int(sys.argv[2])))
print("held", flush=True)
sys.stdin.read()
"""

SCRIPT = "eeecccccsswwohh"
"""ESTABLISHED (e); TIME-WAIT of the client (c) or the server (s); half closed by the client (w; o: an orphan)
or by the server (h)."""
HELD: dict[Side, dict[State, int]] = {
    Side.CLIENT: {
        State.ESTABLISHED: 4,
        State.TIME_WAIT: 5,
        State.FIN_WAIT_2: 3,
        State.CLOSE_WAIT: 2,
        State.SYN_SENT: 1,
    },
    Side.SERVER: {
        State.LISTEN: 1,
        State.ESTABLISHED: 4,
        State.TIME_WAIT: 2,
        State.CLOSE_WAIT: 3,
        State.FIN_WAIT_2: 2,
    },
}
SS_NAMES = {
    "ESTAB": State.ESTABLISHED,
    "FIN-WAIT-1": State.FIN_WAIT_1,
    "FIN-WAIT-2": State.FIN_WAIT_2,
    "SYN-RECV": State.SYN_RECEIVED,
} | {state.value: state for state in State}

both_topologies = pytest.mark.parametrize("at", [Topology.PAIR, Topology.LOOPBACK], indirect=True)


@pytest.fixture
def at(request: pytest.FixtureRequest) -> Iterator[Bench]:
    # On loopback a port in TIME-WAIT would be taken again after a second (K12).
    kept = {Side.CLIENT: {"net.ipv4.tcp_tw_reuse": "0"} | NO_ASSASSINATION, Side.SERVER: NO_ASSASSINATION}
    with bench(client_server_lab(topology=request.param, ports=PORTS, sysctls=kept)) as made:
        yield made


@asynccontextmanager
async def holding(at: Bench) -> AsyncGenerator[int]:
    """The connections of `SCRIPT`, held; gives the server's port."""

    async def start(side: Side, script: str, *arguments: str) -> Process:
        argv = [sys.executable, "-c", script, *arguments]
        return await at.lab.spawn(side, argv, stdin=PIPE, stdout=PIPE)

    async def line(process: Process) -> str:
        assert process.stdout
        return (await process.stdout.readline()).decode().strip()

    address = at.lab.addresses[Side.SERVER][0]
    server = await start(Side.SERVER, SERVER, address, str(len(SCRIPT)))
    port = int(await line(server))
    client = await start(Side.CLIENT, CLIENT, address, str(port), SCRIPT)
    try:
        assert await line(server) == "done"
        assert client.stdin
        client.stdin.write(b"\n")
        assert await line(client) == "held"
        yield port
    finally:
        for process in (client, server):
            process.kill()
            await process.wait()


@asynccontextmanager
async def sampling(at: Bench, port: int, every_ns: int = 20 * MS_NS) -> AsyncGenerator[Child[SamplerMessage]]:
    """The sampler as a run uses it, told to begin."""
    lab = at.lab
    topology = Topology.LOOPBACK if shared(lab) else Topology.PAIR
    viewpoints = client_server_lab(topology, port=port, ports=PORTS).scope.viewpoints
    plan = Plan(viewpoints, every_ns, lab.user, lab.nodes)
    descriptors = lab.descriptors
    child: Child[SamplerMessage] = await Child.start(
        lab, Side.CLIENT, "sampler", "loadgen.observe.sampler", plan, SamplerMessage, descriptors
    )
    try:
        await child.expect(Ready)
        child.send(Watch(monotonic_ns(), {side: (os.getpid(),) for side in Side}))
        yield child
    finally:
        child.kill()
        await child.end()


async def next_sample(child: Child[SamplerMessage]) -> Sample:
    async for message in child.received():
        if isinstance(message, Sample):
            return message
    raise await child.died()


async def seen_by_ss(at: Bench, side: Side, port: int) -> Counter[State]:
    """The side's sockets by state. On loopback the port tells the sides' sockets apart."""
    column = 3 if side is Side.SERVER else 4
    rows = [row.split() for row in (await at.output(side, "ss", "-tanH")).splitlines()]
    return Counter(SS_NAMES[row[0]] for row in rows if row[column].endswith(f":{port}"))


async def agrees(at: Bench, side: Side, port: int, sample: ViewpointSample) -> bool:
    """Whether `ss` and /proc say now what the sample says; what moves by itself may need another try."""
    return sample.states == await seen_by_ss(at, side, port) and sample.counters == await at.counters(side)


@both_topologies
def test_a_sample_says_what_ss_and_proc_say(at: Bench) -> None:
    need("ss")

    async def main() -> None:
        async with holding(at) as port, sampling(at, port) as child:
            sample = await next_sample(child)
            # SYNs are sent again, and counted: take the next sample until nothing moved meanwhile.
            while not all([await agrees(at, side, port, sample.viewpoints[side]) for side in Side]):
                sample = await next_sample(child)
            assert {side: dict(each.states) for side, each in sample.viewpoints.items()} == HELD
            client, server = sample.viewpoints[Side.CLIENT], sample.viewpoints[Side.SERVER]
            # Every socket of the client is on one of its ports, whatever its state.
            assert client.ports_held == sum(HELD[Side.CLIENT].values())
            assert server.ports_held is None
            assert client.counters["ActiveOpens"] == len(SCRIPT) + 2
            assert client.full == server.full == shared(at.lab)
            assert sample.cost_ns > 0
            assert client.cpu_user_ns + client.cpu_system_ns == sum(client.workers_cpu_ns) > 0
            assert len(client.workers_cpu_ns) == len(client.workers_wait_ns) == 1
            assert not is_quiet(sample)

    at.run(main())


@both_topologies
def test_time_wait_is_checked_both_ways_at_start_and_end(at: Bench) -> None:
    async def main() -> Mapping[Side, BothWays]:
        async with holding(at) as port, sampling(at, port) as child:
            await next_sample(child)
            first = await child.expect(SampleCheck)
            child.send(Stop())
            messages = [message async for message in child.received()]
        *others, last, end = messages
        assert all(isinstance(message, Sample | Unobserved) for message in others)
        assert isinstance(last, SampleCheck)
        assert isinstance(end, Settled)
        assert first.viewpoints == last.viewpoints
        return last.viewpoints

    waiting = {side: HELD[side][State.TIME_WAIT] for side in Side}
    if shared(at.lab):
        # One namespace holds both.
        waiting = dict.fromkeys(Side, sum(waiting.values()))
    assert at.run(main()) == {side: BothWays(n, n) for side, n in waiting.items()}


@pytest.mark.parametrize("at", [Topology.PAIR], indirect=True)
def test_an_empty_lab_is_quiet_and_ends_at_once(at: Bench) -> None:
    async def main() -> None:
        async with sampling(at, 80) as child:
            assert is_quiet(await next_sample(child))
            child.send(Stop())
            messages = [message async for message in child.received()]
            # One that was due, or had begun, and the one that finds it quiet.
            assert sum(isinstance(message, Sample) for message in messages) >= 1
            assert isinstance(messages[-1], Settled)

    at.run(main())


@pytest.mark.parametrize("at", [Topology.PAIR], indirect=True)
def test_a_sampler_that_was_held_up_says_so_and_goes_on(at: Bench) -> None:
    every_ns = 20 * MS_NS

    async def main() -> list[Sample]:
        async with sampling(at, 80, every_ns) as child:
            samples = [await next_sample(child), await next_sample(child)]
            os.kill(child.pid, signal.SIGSTOP)
            # It is the passing of time that is tested.
            await asyncio.sleep(5 * every_ns / 1e9)
            os.kill(child.pid, signal.SIGCONT)
            # Bounded by the patience of `next_sample`, as all of it.
            while not (samples[-1].late and samples[-1].t_ns - samples[-2].t_ns > 3 * every_ns):
                samples.append(await next_sample(child))
            samples += [await next_sample(child) for _ in range(5)]
            return samples

    samples = at.run(main())
    # Those missed are not made up for: one sample a period, at most.
    periods = [sample.t_ns // every_ns for sample in samples[1:]]
    assert all(earlier < later for earlier, later in pairwise(periods))


# ---- pure


class Dumps:
    """A side whose dumps cost what they are told to, on a clock of its own."""

    def __init__(self) -> None:
        self.now_ns = 5_000
        self.cost_ns = 0
        self.spent_ns = 0
        self.tables: list[SocketTable] = []
        self.paced = PacedDump(self.dump, lambda: self.now_ns, lambda: self.spent_ns)

    def dump(self) -> SocketTable:
        none = np.zeros(0, np.uint16)
        self.tables.append(
            SocketTable(
                none.astype(np.uint8), none.astype(np.uint8), none, none, none.astype(np.uint32), False
            )
        )
        self.spent_ns += self.cost_ns
        return self.tables[-1]

    def read(self, *, fresh: bool = False) -> tuple[int, int]:
        """Which dump one gets, counted from 1, and its age."""
        table, age_ns = self.paced.read(fresh=fresh)
        return next(number for number, each in enumerate(self.tables, 1) if each is table), age_ns


@pytest.mark.parametrize(
    ("cost_ns", "pause_ns"),
    [
        (2 * CHEAP_NS, 2 * CHEAP_NS * DUMP_SHARE),
        (1000 * CHEAP_NS, DUMP_LEAST_NS),
    ],
)
def test_a_dear_dump_is_had_again_until_it_has_cost_its_share(cost_ns: int, pause_ns: int) -> None:
    dumps = Dumps()
    dumps.cost_ns = cost_ns
    assert dumps.read() == (1, 0)
    dumps.now_ns += pause_ns - 1
    assert dumps.read() == (1, pause_ns - 1)
    dumps.now_ns += 1
    assert dumps.read() == (2, 0)


def test_a_cheap_dump_is_made_every_time_and_a_fresh_one_whatever_it_costs() -> None:
    dumps = Dumps()
    dumps.cost_ns = CHEAP_NS
    assert [dumps.read() for _ in range(3)] == [(1, 0), (2, 0), (3, 0)]
    dumps.cost_ns = 1000 * CHEAP_NS
    assert [dumps.read(), dumps.read(), dumps.read(fresh=True)] == [(4, 0), (4, 0), (5, 0)]


FIN_WAIT_2, TIME_WAIT = 5, 6
"""As the kernel numbers them (net/tcp_states.h); the timer of either's minisocket is 3 (K17)."""


def table_of(time_waits: int, orphans: int) -> SocketTable:
    """A dump of so many in TIME-WAIT and so many orphans in FIN-WAIT-2, and one there that is no orphan."""
    state = np.repeat(np.array([TIME_WAIT, FIN_WAIT_2, FIN_WAIT_2], np.uint8), [time_waits, orphans, 1])
    timer = np.full(len(state), 3, np.uint8)
    timer[-1] = 0
    port = np.zeros(len(state), np.uint16)
    return SocketTable(state, timer, port, port, port.astype(np.uint32), interrupted=False)


@pytest.mark.parametrize(
    ("readings", "dumps", "found"),
    [
        # At rest one try is enough, whatever it shows; sockstat counts the orphans, too.
        ([102, 102], [100], (100, 100)),
        ([102, 102], [99], (100, 99)),
        # A burst passes: the next try finds peace, and a difference then is one.
        ([842, 102, 102], [300, 100], (100, 100)),
        ([842, 102, 102], [840, 99], (100, 99)),
        # They go on expiring: the dump is of some instant between the readings, or it differs.
        ([902, 802, 702, 602], [850, 750, 650], (650, 650)),
        ([902, 802, 702, 602], [850, 750, 700], (700, 700)),
        ([902, 802, 702, 602], [850, 750, 600], (600, 600)),
        ([902, 802, 702, 602], [850, 750, 701], (700, 701)),
        ([902, 802, 702, 602], [850, 750, 599], (600, 599)),
        # Or on being made, before the load on a host that others use.
        ([602, 702, 802, 902], [650, 750, 850], (850, 850)),
        ([602, 702, 802, 902], [650, 750, 950], (900, 950)),
    ],
)
def test_a_dump_differs_from_sockstat_where_it_lies_outside_what_was_read_around_it(
    readings: list[int], dumps: list[int], found: tuple[int, int]
) -> None:
    tw, tables = iter(readings), iter(table_of(dumped, orphans=2) for dumped in dumps)
    assert both_ways(lambda: next(tw), lambda: next(tables)) == BothWays(*found)
    assert [*tw, *tables] == []


def test_samples_are_due_at_multiples_of_the_period() -> None:
    clock = Clock(origin_ns=1000, every_ns=100)
    assert clock.due_ns == 1000
    for now_ns, due_ns in [
        (1000, 1100),  # on time
        (1199, 1200),  # late, but within the period
        (1200, 1300),  # so late that the next was due
        (1777, 1800),  # several missed
        (1750, 1900),  # woken early: the same instant is not due again
    ]:
        clock.advance(now_ns, now_ns)
        assert clock.due_ns == clock.owed_ns == due_ns


def test_a_sample_that_took_longer_than_a_period_leaves_the_next_one_late() -> None:
    clock = Clock(origin_ns=1000, every_ns=100)
    clock.advance(1001, 1099)
    assert (clock.owed_ns, clock.due_ns) == (1100, 1100)
    clock.advance(1101, 1450)
    assert (clock.owed_ns, clock.due_ns) == (1200, 1500)
    # The lateness is told once.
    clock.advance(1501, 1502)
    assert (clock.owed_ns, clock.due_ns) == (1600, 1600)


def test_before_the_load_the_origin_is_due() -> None:
    clock = Clock(origin_ns=1000, every_ns=100)
    clock.advance(300, 300)
    assert clock.due_ns == clock.owed_ns == 1100


@pytest.mark.parametrize(
    ("state", "quiet"),
    [
        (State.LISTEN, True),
        (State.TIME_WAIT, True),
        (State.FIN_WAIT_2, True),
        (State.ESTABLISHED, False),
        (State.LAST_ACK, False),
        (State.SYN_SENT, False),
    ],
)
@pytest.mark.parametrize("side", Side)
def test_quiet_is_when_only_lasting_states_are_left(side: Side, state: State, quiet: bool) -> None:
    viewpoints = {each: ViewpointSample({state: 1} if each is side else {}, 0, {}, 0, 0) for each in Side}
    assert is_quiet(Sample(0, 0, late=False, viewpoints=viewpoints, softnet_dropped=0)) == quiet


def test_a_plan_survives_the_pipe() -> None:
    viewpoints = client_server_lab(Topology.LOOPBACK, port=80, ports=PORTS).scope.viewpoints
    plan = Plan(viewpoints, every_ns=7, user=3, networks={"loopback": 4})
    assert decode(encode(plan), Plan) == plan


def test_an_orphan_that_comes_between_the_two_readings_is_no_time_wait() -> None:
    """10 connections get to FIN-WAIT-2 right behind the dump: sockstat counts them, and the dump does not."""
    minisockets = 0

    class Counted:
        def read(self) -> Sockstat:
            return Sockstat(inuse=0, orphan=0, tw=minisockets, alloc=0, mem=0)

    def dump() -> SocketTable:
        nonlocal minisockets
        minisockets = 10
        return table_of(0, 0)

    namespace = object.__new__(Namespace)
    namespace._sockstat = Counted()
    namespace._passing = PacedDump(dump)
    _, time_wait, age_ns = namespace.read(fresh=True)
    assert (time_wait, age_ns, minisockets) == (0, 0, 10)
