"""A client under way: a command, or churn's own load workers. Each has processes, and its own count."""

import asyncio
import contextlib
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Protocol

from bench.child import end_process, start_module
from bench.load import PORT, SECOND_NS, Cores, Exchange, Load
from bench.serving import KEPT_REQUESTS
from loadgen.drivers.messages import WorkerMessage
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan, Timeouts
from loadgen.engine.child import Child
from loadgen.lab.lab import Lab
from loadgen.records.latency import Counts, Tag
from loadgen.records.types import Interval
from loadgen.scenario.choices import Arrivals, Driver
from loadgen.tcp import CloseMethod, Closer, Side
from loadgen.wire.messages import Begin, Ready

LATE_NS = 10_000_000
"""A scenario's default: an open loop needs a bound. What the bench tells of lateness needs none."""
TIMEOUTS = Timeouts(*[5 * SECOND_NS] * 4)


class Client(Protocol):
    """What makes the connections, from its start to its end."""

    @property
    def pids(self) -> Sequence[int]: ...

    @property
    def running(self) -> bool: ...

    async def own_count(self, limit_s: float) -> int | None:
        """Wait for its end; the responses that it counted. None where it does not say, or takes too long."""

    def last_words(self) -> str:
        """What it said last, for people."""
        ...

    async def end(self) -> None:
        """Be gone."""


class CommandClient:
    """A program that prints its counts when it ends."""

    def __init__(self, process: Process, counted: Callable[[str], int | None]) -> None:
        self._process = process
        self._counted = counted
        self._printed = b""
        self._reading = asyncio.create_task(self._read())

    @property
    def pids(self) -> Sequence[int]:
        return (self._process.pid,)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def own_count(self, limit_s: float) -> int | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._reading)
                await self._process.wait()
                return self._counted(self._printed.decode(errors="replace"))
        return None

    def last_words(self) -> str:
        lines = self._printed.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await end_process(self._process)
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(1 << 16):
            self._printed += chunk


@dataclass(slots=True)
class Sums:
    """What churn's load workers counted, all intervals together. `starts` are how late those of an open loop
    came, interval by interval."""

    dropped: int = 0
    exchanges: int = 0
    errors: int = 0
    starts: list[Counts] = field(default_factory=list[Counts])

    def add(self, interval: Interval) -> None:
        self.dropped += interval.dropped
        self.exchanges += interval.exchanges
        self.errors += sum(interval.errors.values())


@dataclass(slots=True)
class DriverClient:
    """churn's load workers, one or several."""

    children: Sequence[Child[Any]]
    sums: Sums = field(default_factory=Sums)
    hearing: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @classmethod
    async def ready(cls, lab: Lab, plan: Plan, cores: Sequence[int]) -> "DriverClient":
        """One worker on each core, all ready to begin."""
        children: list[Child[Any]] = []
        client = cls(children)
        try:
            for core in cores:
                children.append(
                    await start_module(lab, Side.CLIENT, "loadgen.drivers", plan, WorkerMessage, core)
                )
            for child in children:
                await child.expect(Ready)
        except BaseException:
            await client.end()
            raise
        return client

    def begin(self) -> None:
        for child in self.children:
            child.send(Begin(monotonic_ns()))
        self.hearing = [asyncio.create_task(self._hear(child)) for child in self.children]

    @property
    def pids(self) -> Sequence[int]:
        return [child.pid for child in self.children]

    @property
    def running(self) -> bool:
        return not any(task.done() for task in self.hearing)

    async def own_count(self, limit_s: float) -> int | None:
        _, late = await asyncio.wait(self.hearing, timeout=limit_s)
        return None if late else self.sums.exchanges

    def last_words(self) -> str:
        return f"its records count {self.sums.exchanges:,} responses and {self.sums.errors:,} errors"

    async def end(self) -> None:
        for child in self.children:
            child.kill()
            await child.end()
        await asyncio.gather(*self.hearing)

    async def _hear(self, child: Child[Any]) -> None:
        async for message in child.received():
            match message:
                case Interval():
                    self.sums.add(message)
                case Counts() if message.tag is Tag.START:
                    self.sums.starts.append(message)
                case _:
                    pass


def driver_plan(lab: Lab, driver: Driver, load: Load) -> Plan:
    """One of the load's workers."""
    short = load.exchange is Exchange.SHORT
    loop = (
        ClosedLoop(load.in_flight // load.workers)
        if load.rate is None
        else OpenLoop(load.rate, Arrivals.CONSTANT, load.in_flight, LATE_NS)
    )
    return Plan(
        driver=driver,
        sources=lab.addresses[Side.CLIENT],
        destinations=lab.addresses[Side.SERVER],
        port=PORT,
        http="1.1",
        requests=1 if short else KEPT_REQUESTS,
        # Kept connections are closed by the client when the load ends: no server waits for that.
        closer=load.closer if short else Closer.CLIENT,
        close=CloseMethod.FIN,
        think_ns=0,
        loop=loop,
        duration_ns=load.seconds * SECOND_NS,
        interval_ns=SECOND_NS // 10,
        timeouts=TIMEOUTS,
        seed=1,
    )


async def start_driver(lab: Lab, driver: Driver, load: Load, cores: Cores) -> DriverClient:
    """churn's workers, under way."""
    plan = driver_plan(lab, driver, load)
    client = await DriverClient.ready(lab, plan, cores.clients(load.workers))
    client.begin()
    return client


async def start_command(lab: Lab, argv: Sequence[str], counted: Callable[[str], int | None]) -> CommandClient:
    """A command on the client's side; what it prints is read, so that it never waits for a reader."""
    return CommandClient(await lab.spawn(Side.CLIENT, argv, stdout=PIPE, stderr=STDOUT), counted)
