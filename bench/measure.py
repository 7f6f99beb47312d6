"""One measurement: a fresh lab, a server, a client, and two looks at the kernel's counters."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import floor, population
from bench.clients import Client, start_command, start_driver
from bench.load import CONNECTIONS_BEFORE_THE_CLIFF, Cores, Exchange, Load, Pace, pinned
from bench.probe import Probe, memory_kib
from bench.reading import Reading, Study, Window, agreement
from bench.serving import NotServingError, serving
from bench.tools import Tool
from bench.waiting import until
from loadgen.engine.child import ChildDiedError
from loadgen.engine.plans import DESCRIPTORS_EACH
from loadgen.lab.lab import Lab, open_lab
from loadgen.scenario.choices import Driver
from loadgen.tcp import Side

FIRST_CONNECTION_S = 10.0
"""How long a tool may take to its first connection."""
SPARE_FILES = 500
"""Descriptors that a process needs for itself."""
STRAY = 0.01
"""Of the connections that a client is to close first, so many may have ended otherwise."""
OVERTIME_S = 3.0
"""How much longer than it was told a tool may take, before its own count is done without."""


class ToolFailedError(Exception):
    """A tool did not do what it was told."""


FAILURES = (ToolFailedError, NotServingError, population.NotHeldError, ChildDiedError)
"""What a measurement may meet that is neither ours nor the next one's trouble."""

NOT_MEASURED = frozenset({"auto", "command"})
"""Choices of a driver that are no driver themselves: one is another by then, one is anybody's program."""


@dataclass(frozen=True, slots=True)
class Case:
    """A load that tools are put under, when to look, and what is held before. `tools` narrows them."""

    study: Study
    load: Load
    pace: Pace
    held: population.Population = population.NOBODY
    tools: frozenset[str] | None = None

    def __str__(self) -> str:
        match self.study:
            case Study.IN_FLIGHT:
                return f"{self.load.in_flight:,} in flight"
            case Study.WORKERS:
                return f"workers: {self.load.workers}"
            case Study.TIME_WAIT:
                return str(self.held)
            case _:
                return str(self.load)


@dataclass(frozen=True, slots=True)
class Kit:
    """What all measurements are made with: cores, the built floor (None without), the tools found, and how
    many descriptors a process may have."""

    cores: Cores
    floor: Path | None
    tools: tuple[Tool, ...]
    files: int

    @property
    def drivers(self) -> tuple[Driver, ...]:
        return tuple(driver for driver in Driver if driver.value not in NOT_MEASURED)

    def most_in_flight(self, driver: Driver) -> int:
        """As many connections as its descriptors let a driver's worker have."""
        return (self.files - SPARE_FILES) // DESCRIPTORS_EACH.get(driver, 1)

    def able(self, load: Load) -> list[str]:
        """Those that can do this, churn's own first; nobody without the descriptors for it."""
        if load.in_flight > self.files - SPARE_FILES:
            return []
        names = [
            driver.value
            for driver in self.drivers
            if load.in_flight // load.workers <= self.most_in_flight(driver)
        ]
        if self.floor is not None and floor.able(load):
            names.append(floor.NAME)
        return names + [tool.name for tool in self.tools if tool.able(load)]

    async def start(self, name: str, lab: Lab, load: Load) -> Client:
        addresses = lab.addresses[Side.SERVER]
        bound = pinned(self.cores.clients(load.workers))
        if name == floor.NAME:
            assert self.floor is not None
            argv = floor.argv(self.floor, load, addresses)
            return await start_command(lab, [*bound, *argv], floor.own_count)
        for tool in self.tools:
            if tool.name == name:
                return await start_command(lab, [*bound, *tool.argv(load, addresses)], tool.own_count)
        return await start_driver(lab, Driver(name), load, self.cores)


@asynccontextmanager
async def going(kit: Kit, name: str, lab: Lab, load: Load) -> AsyncGenerator[Client]:
    """The tool under its load, for as long as the block lasts."""
    client = await kit.start(name, lab, load)
    try:
        yield client
    finally:
        await client.end()


async def measure(kit: Kit, case: Case, name: str, number: int) -> Reading:
    """One tool under one load, in a lab of its own. Raises one of `FAILURES`."""
    load, held = case.load, case.held
    with open_lab(held.spec() if held.count else load.spec()) as lab:
        await population.fill(lab, held, kit.cores)
        async with serving(lab, load, kit.cores, kit.files) as server:
            with Probe(server.net, server.workers) as probe:
                begun = probe.look()
                async with going(kit, name, lab, load) as client:
                    probe.watch(client.pids)
                    window = await look_twice(probe, client, load, case.pace, begun.opened)
                    peak_kib = sum(memory_kib(pid, "VmHWM") for pid in client.pids)
                    own = await client.own_count(OVERTIME_S)
                    ended = probe.look()
    return Reading(
        study=case.study,
        tool=name,
        load=load,
        round=number,
        per_s=window.per_s,
        user_us=window.user_us,
        system_us=window.system_us,
        client_share=window.client_share,
        server_share=window.server_share,
        peak_kib=peak_kib,
        agreement=agreement(load.exchange, own, begun, ended),
        held=held.count,
        same_path=held.same_path,
    )


async def look_twice(probe: Probe, client: Client, load: Load, pace: Pace, begun: int) -> Window:
    """The window, which ends early where the client comes near the cliff.

    `begun` connections had been opened before the client was started.
    """
    await first_connection(probe, client, begun)
    await asyncio.sleep(pace.warm_up_s)
    before = probe.look()
    if load.client_closes:
        await until(lambda: probe.opened - begun > CONNECTIONS_BEFORE_THE_CLIFF, pace.window_s)
    else:
        await asyncio.sleep(pace.window_s)
    after = probe.look()
    need_running(client)
    if not right_closer(load, after.opened - begun, probe.time_wait):
        raise ToolFailedError(f"the {load.closer} did not close first")
    return Window(load.exchange, before, after)


def need_running(client: Client) -> None:
    """What was seen in a window counts only if the load lasted as long. Raises ToolFailedError."""
    if not client.running:
        raise ToolFailedError(f"ended before the window did: {client.last_words()}")


def right_closer(load: Load, opened: int, time_wait: int) -> bool:
    """Whether the side that was to close first did: who is first has the TIME-WAITs (K1)."""
    if load.client_closes:
        return time_wait <= STRAY * opened
    return load.exchange is Exchange.KEPT or time_wait > 0


async def first_connection(probe: Probe, client: Client, already: int) -> None:
    """Until the server's kernel has seen more than were `already` opened before the client was started.

    A client of kept connections may open all that it ever opens before it is looked at. Raises
    ToolFailedError.
    """
    if not await until(lambda: probe.opened > already or not client.running, FIRST_CONNECTION_S):
        raise ToolFailedError(f"made no connection in {FIRST_CONNECTION_S:.0f} s")
    if probe.opened == already:
        await client.own_count(1.0)
        raise ToolFailedError(f"made no connection: {client.last_words()}")
