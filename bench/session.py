"""A load under way in a lab, by the engine: it alone makes plans and starts processes."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import monotonic_ns

from bench import fill
from bench.studies import PORTS, Population, variant
from loadgen.engine import plans
from loadgen.engine.child import Child, ChildDiedError, Children
from loadgen.engine.server_pool import ServerPool, start_server
from loadgen.engine.worker_pool import LoadMessage, WorkerPool
from loadgen.kernel import sockstat
from loadgen.kernel.procfile import PROC
from loadgen.lab.lab import Lab
from loadgen.observe.messages import SamplerMessage, Watch
from loadgen.records.events import SampleCheck
from loadgen.records.latency import Distribution, Latency, Tag
from loadgen.records.types import Interval, Record, Sample
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.wire.messages import Ready

OTHER_PORT = 8081
"""A port of the server that no load is sent to."""
ENOUGH = 0.99
"""So much of a population is taken for all of it."""
FILL_LIMIT_S = 40
"""Less than TIME-WAIT lasts (K2): the first ones are still there when the last are made."""
SAMPLES_PER_S = 10
lab_spec = plans.lab_spec
descriptors = plans.descriptors


class FailedError(Exception):
    """A tool did not do what it was asked for, or what it needs could not be made."""


FAILURES = (FailedError, ChildDiedError)
"""What may go wrong with one measurement and leaves the next ones as they are."""


def by_driver(load: Variant, driver: Driver) -> Variant:
    """The load as one of churn's drivers makes it."""
    return load.model_copy(update={"load": load.load.model_copy(update={"driver": driver})})


def by_command(load: Variant, argv: Sequence[str]) -> Variant:
    """The load as a program makes it, bound to the cores that workers would have."""
    command = {"driver": Driver.COMMAND, "command": _bound(load, Side.CLIENT, argv)}
    return load.model_copy(update={"load": load.load.model_copy(update=command)})


def served_by(load: Variant, argv: Sequence[str], files: Mapping[str, str]) -> Variant:
    """The load on a program as its server, bound to the server's core."""
    command = {"kind": ServerKind.COMMAND, "command": _bound(load, Side.SERVER, argv), "files": files}
    return load.model_copy(update={"server": load.server.model_copy(update=command)})


def _bound(load: Variant, side: Side, argv: Sequence[str]) -> tuple[str, ...]:
    return ("taskset", "-c", ",".join(map(str, sorted(set(plans.cores(load, side))))), *argv)


class Session:
    """A server that listens, and a client that is ready: from `begin` on it makes the load.

    `exchanges`, `errors` and `dropped` are what churn's load workers counted, `starts` how late these began.
    """

    def __init__(
        self, server_pids: Sequence[int], clients: Sequence[Child[LoadMessage]], output: Path
    ) -> None:
        self.server_pids = server_pids
        self.client_pids = [client.pid for client in clients]
        self.exchanges = self.errors = self.dropped = 0
        self.starts = Distribution()
        self._output, self._problem = output, ""
        self._ending: asyncio.Task[None] | None = None
        self.pool = WorkerPool(
            clients,
            plans.INTERVAL_NS,
            self._take,
            quiet=lambda: None,
            died=self._note_death,
            ended=lambda _event: None,
            gap=lambda _what, _gap: None,
            silence_s=None,
        )

    def begin(self) -> None:
        self.pool.begin(monotonic_ns())
        self._ending = asyncio.create_task(self.pool.run())

    @property
    def running(self) -> bool:
        return self._ending is not None and not self._ending.done()

    async def ended(self, limit_s: float | None = None) -> bool:
        """Wait for the client's end, if it has begun; whether it came in time."""
        return self._ending is None or not (await asyncio.wait({self._ending}, timeout=limit_s))[1]

    def printed(self) -> str:
        """What a command has written; empty for churn's own drivers."""
        paths = sorted(self._output.parent.glob(f"{self._output.name}.*"), reverse=True)
        return "".join(path.read_text(errors="replace") for path in paths)

    def last_words(self) -> str:
        """What is known of its end, for people."""
        lines = self.printed().strip().splitlines()
        counted = f"its records count {self.exchanges:,} responses and {self.errors:,} errors"
        return self._problem or (lines[-1] if lines else counted)

    def _take(self, record: Record | Latency) -> None:
        match record:
            case Interval():
                # A command's are not measured: its own report has its count.
                self.exchanges += record.exchanges or 0
                self.errors += sum((record.errors or {}).values())
                self.dropped += record.dropped or 0
            case Latency() if record.tag is Tag.START:
                self.starts.add(record)
            case _:
                pass

    def _note_death(self, death: ChildDiedError) -> None:
        self._problem = str(death)


@asynccontextmanager
async def start(lab: Lab, load: Variant) -> AsyncGenerator[Session]:
    """Server and client of a load, started, and gone when the block ends. Raises one of `FAILURES`."""
    opened: Session | None = None
    with TemporaryDirectory(prefix="churn-bench-") as work:
        directory = Path(work)
        try:
            async with Children(lab) as children:
                server = ServerPool(
                    await start_server(children, plans.servers(load, lab, directory)),
                    accept_failed=lambda _worker, _error: None,
                    gap=lambda _worker, _gap: None,
                    died=lambda _death: None,
                )
                await server.ready()
                clients: list[Child[LoadMessage]] = [
                    await children.start(Side.CLIENT, *driver, LoadMessage)
                    for driver in plans.drivers(load, lab, directory)
                ]
                opened = Session(server.pids, clients, directory / "driver")
                await opened.pool.ready()
                try:
                    yield opened
                finally:
                    # A keeper that is killed takes its command with it; the server ends in order.
                    for client in clients:
                        client.kill()
                    server.stop()
        finally:
            if opened is not None:
                await opened.ended()


async def hold_time_waits(lab: Lab, held: Population) -> None:
    """Make it, by a program that closes first, on ports of its choice. Raises FailedError."""
    if not held.count:
        return
    settings = [f"load.duration={FILL_LIMIT_S}s", "connection.closer=client"]
    if not held.same_path:
        settings.append(f"server.port={OTHER_PORT}")
    argv = ["{python}", "-P", str(Path(fill.__file__)), str(held.count), "{port}"]
    argv += [*map(str, PORTS), *lab.addresses[Side.SERVER]]
    async with start(lab, by_command(variant("short-server-closes", *settings), argv)) as filler:
        with sockstat.open(PROC / str(filler.client_pids[0]) / "net") as sockets:
            filler.begin()
            if not await filler.ended(FILL_LIMIT_S):
                raise FailedError(f"took longer than {FILL_LIMIT_S} s")
            # Each was there when the next was begun; a late ACK that a RST answers has ended some few since.
            found, words = sockets.read().tw, filler.last_words()
    if found < held.count * ENOUGH:
        raise FailedError(f"only {found:,} of {held.count:,} TIME-WAITs are there; {words}")


async def sample(lab: Lab, load: Variant, seconds: int) -> tuple[float, float]:
    """Run the sampler on the client's core: the part of the core that it takes, and ns a sample, mean."""
    child = await Child[SamplerMessage].start(
        lab,
        Side.CLIENT,
        "sampler",
        "loadgen.observe.sampler",
        plans.sampler_plan(load, lab),
        SamplerMessage,
        lab.descriptors,
    )
    try:
        os.sched_setaffinity(child.pid, plans.cores(load, Side.CLIENT))
        await child.expect(Ready)
        child.send(Watch(monotonic_ns(), {}))
        await child.expect(Sample)
        await child.expect(SampleCheck)
        begun_ns, before_ns = monotonic_ns(), run_time_ns(child.pid)
        costs_ns = [(await child.expect(Sample)).cost_ns for _ in range(seconds * SAMPLES_PER_S)]
        return (run_time_ns(child.pid) - before_ns) / (monotonic_ns() - begun_ns), mean(costs_ns)
    finally:
        child.kill()
        await child.end()


def run_time_ns(pid: int) -> int:
    """CPU time of a process of one thread, in ns: finer than the ticks of /proc/<pid>/stat."""
    return int((PROC / str(pid) / "schedstat").read_text().split()[0])
