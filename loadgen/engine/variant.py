"""One variant: its lab, its processes, and the records they make.

The order of events is the order of `_Conductor.conduct`. What goes wrong with the experiment is
data, and is recorded; what goes wrong with churn itself is raised.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic_ns, time
from typing import Any

from loadgen.analysis.kernel_counts import KernelCounts
from loadgen.engine import plans
from loadgen.engine.child import GRACE_S, SILENCE_S, Child, ChildDiedError
from loadgen.engine.worker_pool import Crew, Emit
from loadgen.lab.lab import Lab, open_lab
from loadgen.records.gaps import GAP, SAMPLER, Gap, GapCause
from loadgen.records.types import ORIGIN, Event, Interval, Sample, plain
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side

LEAD_NS = 250_000_000
"""From the instant that all are ready to the load's begin: time for the baseline sample."""


async def run_variant(variant: Variant, directory: Path, emit: Emit, stop: asyncio.Event) -> None:
    """Run one variant; every record goes to `emit` as it is made. `directory` is for what commands leave.

    `stop` ends the load early, in order: what is under way is finished, counted and recorded.
    Cancelling ends everything at once. A process that dies is an outcome of the variant, and recorded; where
    it dies before the load begins, that is the variant's end. Raises LabUnavailable and SysctlRefused.
    """
    with open_lab(plans.lab_spec(variant)) as lab:
        try:
            async with _children(variant, directory, lab) as (server, load_workers, sampler):
                await _Conductor(variant, lab, emit, server, load_workers, sampler).conduct(stop)
        except ChildDiedError as death:
            # There may be no origin yet to count from.
            emit(_told(death, 0))


@asynccontextmanager
async def _children(
    variant: Variant, directory: Path, lab: Lab
) -> AsyncGenerator[tuple[Child, Sequence[Child], Child]]:
    """The processes, started together, and gone when the block ends."""
    started: list[Child] = []

    async def start(side: Side, what: str, module: str, plan: str, *descriptors: int) -> Child:
        child = await Child.start(lab, side, what, module, plan, descriptors)
        started.append(child)
        return child

    try:
        yield (
            await start(Side.SERVER, "server", *_server(variant, directory, lab)),
            [await start(Side.CLIENT, *driver) for driver in _drivers(variant, directory, lab)],
            await start(
                Side.CLIENT,
                SAMPLER,
                "loadgen.observe.sampler",
                plans.sampler_plan(variant, lab).to_json(),
                *lab.descriptors,
            ),
        )
    except BaseException:
        for child in started:
            child.kill()
        raise
    finally:
        for child in started:
            await child.end()


def _server(variant: Variant, directory: Path, lab: Lab) -> tuple[str, str]:
    """The module that serves, and its plan."""
    if variant.server.kind is ServerKind.COMMAND:
        return "loadgen.programs", plans.server_command(variant, lab, directory).to_json()
    return "servers", plans.server_plan(variant, lab).to_json()


def _drivers(variant: Variant, directory: Path, lab: Lab) -> list[tuple[str, str, str]]:
    """What makes the connections, each with its module and its plan."""
    if variant.load.driver is Driver.COMMAND:
        return [("load command", "loadgen.programs", plans.driver_command(variant, lab, directory).to_json())]
    return [(plan.name, "loadgen.drivers", plan.to_json()) for plan in plans.driver_plans(variant, lab)]


def _told(death: ChildDiedError, t_ns: int) -> Event:
    return Event(t_ns, "process_died", {"what": death.what, "how": death.how, "stderr": death.stderr})


class _Conductor:
    """Brings the processes through one variant, and their words into records."""

    def __init__(
        self,
        variant: Variant,
        lab: Lab,
        emit: Emit,
        server: Child,
        load_workers: Sequence[Child],
        sampler: Child,
    ) -> None:
        self._variant = variant
        self._lab = lab
        self._emit = emit
        self._server = server
        self._commanded = variant.load.driver is Driver.COMMAND
        self._crew = Crew(
            load_workers,
            plans.INTERVAL_NS,
            emit,
            quiet=self._end_server,
            died=self._note_death,
            noted=lambda kind, data: self._note(kind, **data),
            gap=self._note_gap,
            patience_s=None if self._commanded else SILENCE_S,
        )
        self._sampler = sampler
        self._counts = KernelCounts(max(plans.INTERVAL_NS, variant.sample.every))
        self._origin_ns = 0
        self._server_asked = False
        self._server_workers: Sequence[int] = ()

    async def conduct(self, stop: asyncio.Event) -> None:
        listening = await self._server.expect("listening")
        self._server_workers = listening["pids"]
        await self._crew.ready()
        await self._sampler.expect("ready")
        self._origin_ns = monotonic_ns() + LEAD_NS
        self._emit(Event(0, ORIGIN, {"wall_s": time() + LEAD_NS / 1e9}))
        pids = {Side.SERVER: listening["pids"], Side.CLIENT: self._crew.pids}
        self._note("lab", addresses=self._lab.addresses, sysctls=self._lab.sysctls, notes=self._lab.notes)
        choice = plans.choice(self._variant)
        self._note("driver", asked=self._variant.load.driver, **plain(choice))
        self._note(
            "processes",
            server=self._server.pid,
            workers=listening["pids"],
            driver=self._crew.pids[0],
            load_workers=self._crew.pids,
            cores={side: plans.cores(self._variant, side) for side in Side},
            cpus=len(os.sched_getaffinity(0)),
        )
        self._sampler.tell(json.dumps({"origin_ns": self._origin_ns, "pids": pids}))
        self._sample(await self._sampler.expect("sample"))
        self._check(await self._sampler.expect("sample_check"))
        self._crew.begin(self._origin_ns)
        try:
            await self._hear_all(stop)
        except ExceptionGroup as failures:
            # One is enough: the first to fail took the others with it.
            raise failures.exceptions[0] from None

    async def _hear_all(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            server = group.create_task(self._hear_server())
            sampler = group.create_task(self._hear_sampler())
            stopper = group.create_task(self._heed(stop))
            await self._crew.hear()
            stopper.cancel()
            self._end_server()
            _, late = await asyncio.wait({server}, timeout=GRACE_S)
            if late:
                self._server.kill()
                self._note_death(await self._server.died())
            await server
            self._sampler.tell("stop")
            await sampler

    async def _heed(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._note("interrupted")
        self._crew.stop()

    async def _hear_server(self) -> None:
        # It has nothing to say while all is well.
        async for line in self._server.lines(patience_s=None):
            if (kind := line.pop("type")) == GAP:
                number, of = self._server_workers.index(line["pid"]) + 1, len(self._server_workers)
                self._note_gap("server" if of == 1 else f"server worker {number} of {of}", line)
            else:
                self._note(kind, **line)
        if not self._server_asked:
            self._note_death(await self._server.died())

    async def _hear_sampler(self) -> None:
        async for line in self._sampler.lines(SILENCE_S + self._variant.sample.every / 1e9):
            match line.pop("type"):
                case "sample":
                    self._sample(line)
                case "sample_check":
                    self._check(line)
                case "gap":
                    self._note_gap(SAMPLER, line)
                case "over":
                    self._count(self._counts.rest())
                    self._emit(Event(line["t_ns"], "settled"))
                    return
                case other:
                    raise RuntimeError(f"the sampler said {other!r}")
        self._note_death(await self._sampler.died())

    def _end_server(self) -> None:
        """Ask it to end. Connections that idle are the server's to close, and its end makes it."""
        if not self._server_asked:
            self._server_asked = True
            self._server.terminate()

    def _sample(self, line: dict[str, Any]) -> None:
        line.pop("type", None)
        sample = Sample.from_json(line)
        self._emit(sample)
        self._count(self._counts.add(sample))

    def _count(self, interval: Interval | None) -> None:
        """A command tells of no counts: what the kernel has stands for them."""
        if self._commanded and interval is not None:
            self._emit(interval)

    def _check(self, line: dict[str, Any]) -> None:
        self._emit(Event(line["t_ns"], "sample_check", {"sides": line["sides"]}))

    def _note(self, kind: str, **data: Any) -> None:
        self._emit(Event(monotonic_ns() - self._origin_ns, kind, data))

    def _note_gap(self, what: str, line: dict[str, Any]) -> None:
        start_ns, end_ns = line["start_ns"] - self._origin_ns, line["end_ns"] - self._origin_ns
        self._emit(Gap(what, start_ns, end_ns, GapCause(line.get("cause", GapCause.HELD_UP))).event())

    def _note_death(self, death: ChildDiedError) -> None:
        self._emit(_told(death, monotonic_ns() - self._origin_ns))
