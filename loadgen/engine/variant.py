"""One variant: its lab, its processes, and the records they make.

The order of events is the order of `_VariantRun.run`. What goes wrong with the experiment is
data, and is recorded; what goes wrong with churn itself is raised.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic_ns, time
from types import UnionType
from typing import Any, TypeVar

from loadgen.analysis.kernel_counts import KernelCounts
from loadgen.engine import plans
from loadgen.engine.child import GRACE_S, SILENCE_S, Child, ChildDiedError
from loadgen.engine.worker_pool import Emit, LoadMessage, WorkerPool
from loadgen.lab.lab import Lab, open_lab
from loadgen.observe.messages import SamplerMessage, Watch
from loadgen.programs.messages import KeeperMessage
from loadgen.records.events import (
    AcceptFailed,
    DriverChosen,
    Gap,
    Interrupted,
    LabOpened,
    Origin,
    ProcessDied,
    Processes,
    SampleCheck,
    ServerCounted,
    Settled,
    WorkerExited,
)
from loadgen.records.gaps import SAMPLER
from loadgen.records.types import Interval, Sample
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.wire.messages import GapCause, Listening, Ready, Stop, Unobserved
from loadgen.wire.served import Served
from servers import lines

LEAD_NS = 250_000_000
"""From the instant that all are ready to the load's begin: time for the baseline sample."""

_ServerMessage = lines.Line | KeeperMessage
M = TypeVar("M")


async def run_variant(variant: Variant, directory: Path, emit: Emit, stop: asyncio.Event) -> None:
    """Run one variant; every record goes to `emit` as it is made. `directory` is for what commands leave.

    `stop` ends the load early, in order: what is under way is finished, counted and recorded.
    Cancelling ends everything at once. A process that dies is an outcome of the variant, and recorded; where
    it dies before the load begins, that is the variant's end. Raises LabUnavailable and SysctlRefused.
    """
    with open_lab(plans.lab_spec(variant)) as lab:
        try:
            async with _children(variant, directory, lab) as (server, load_workers, sampler):
                await _VariantRun(variant, lab, emit, server, load_workers, sampler).run(stop)
        except ChildDiedError as death:
            # There may be no origin yet to count from.
            emit(_process_died(death, 0))


@asynccontextmanager
async def _children(
    variant: Variant, directory: Path, lab: Lab
) -> AsyncGenerator[tuple[Child[_ServerMessage], Sequence[Child[LoadMessage]], Child[SamplerMessage]]]:
    """The processes, started together, and gone when the block ends."""
    started: list[Child[Any]] = []

    async def start(
        side: Side,
        what: str,
        module: str,
        plan: object,
        messages: type[M] | UnionType,
        descriptors: Sequence[int] = (),
    ) -> Child[M]:
        child = await Child[M].start(lab, side, what, module, plan, messages, descriptors)
        started.append(child)
        return child

    try:
        yield (
            await start(Side.SERVER, "server", *_server(variant, directory, lab), _ServerMessage),
            [await start(Side.CLIENT, *driver, LoadMessage) for driver in _drivers(variant, directory, lab)],
            await start(
                Side.CLIENT,
                SAMPLER,
                "loadgen.observe.sampler",
                plans.sampler_plan(variant, lab),
                SamplerMessage,
                lab.descriptors,
            ),
        )
    except BaseException:
        for child in started:
            child.kill()
        raise
    finally:
        for child in started:
            await child.end()


def _server(variant: Variant, directory: Path, lab: Lab) -> tuple[str, object]:
    """The module that serves, and its plan."""
    if variant.server.kind is ServerKind.COMMAND:
        return "loadgen.programs", plans.server_command(variant, lab, directory)
    return "servers", plans.server_plan(variant, lab)


def _drivers(variant: Variant, directory: Path, lab: Lab) -> list[tuple[str, str, object]]:
    """What makes the connections, each with its module and its plan."""
    if variant.load.driver is Driver.COMMAND:
        return [("load command", "loadgen.programs", plans.driver_command(variant, lab, directory))]
    return [(plan.name, "loadgen.drivers", plan) for plan in plans.driver_plans(variant, lab)]


def _process_died(death: ChildDiedError, t_ns: int) -> ProcessDied:
    return ProcessDied(t_ns, death.what, death.how, death.stderr)


class _VariantRun:
    """Runs the processes of one variant in order, and makes records of their messages."""

    def __init__(
        self,
        variant: Variant,
        lab: Lab,
        emit: Emit,
        server: Child[_ServerMessage],
        load_workers: Sequence[Child[LoadMessage]],
        sampler: Child[SamplerMessage],
    ) -> None:
        self._variant = variant
        self._lab = lab
        self._emit = emit
        self._server = server
        self._commanded = variant.load.driver is Driver.COMMAND
        self._load_workers = WorkerPool(
            load_workers,
            plans.INTERVAL_NS,
            emit,
            quiet=self._end_server,
            died=self._note_death,
            ended=emit,
            gap=self._note_gap,
            silence_s=None if self._commanded else SILENCE_S,
        )
        self._sampler = sampler
        self._counts = KernelCounts(max(plans.INTERVAL_NS, variant.sample.every), lab.spec.scope)
        self._origin_ns = 0
        self._server_asked = False
        self._server_workers: Sequence[int] = ()

    async def run(self, stop: asyncio.Event) -> None:
        listening = await self._server.expect(Listening)
        self._server_workers = listening.pids
        await self._load_workers.ready()
        await self._sampler.expect(Ready)
        self._origin_ns = monotonic_ns() + LEAD_NS
        self._emit(Origin(0, time() + LEAD_NS / 1e9))
        pids: dict[str, tuple[int, ...]] = {
            Side.SERVER: listening.pids,
            Side.CLIENT: tuple(self._load_workers.pids),
        }
        self._emit(self._lab_opened())
        choice = plans.choice(self._variant)
        asked = self._variant.load.driver
        self._emit(DriverChosen(self._now_ns(), asked, choice.driver, choice.why, choice.lacking))
        self._emit(self._processes())
        self._sampler.send(Watch(self._origin_ns, pids))
        self._sample(await self._sampler.expect(Sample))
        self._emit(await self._sampler.expect(SampleCheck))
        self._load_workers.begin(self._origin_ns)
        try:
            await self._receive_all(stop)
        except ExceptionGroup as failures:
            # One is enough: the first to fail took the others with it.
            raise failures.exceptions[0] from None

    async def _receive_all(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            server = group.create_task(self._receive_from_server())
            sampler = group.create_task(self._receive_from_sampler())
            stopper = group.create_task(self._stop_early(stop))
            await self._load_workers.run()
            stopper.cancel()
            self._end_server()
            _, late = await asyncio.wait({server}, timeout=GRACE_S)
            if late:
                self._server.kill()
                self._note_death(await self._server.died())
            await server
            self._sampler.send(Stop())
            await sampler

    async def _stop_early(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._emit(Interrupted(self._now_ns()))
        self._load_workers.stop()

    async def _receive_from_server(self) -> None:
        # While all is well it sends nothing.
        async for message in self._server.received(silence_s=None):
            match message:
                case lines.Gap():
                    number, of = self._server_workers.index(message.pid) + 1, len(self._server_workers)
                    self._note_gap("server" if of == 1 else f"server worker {number} of {of}", message)
                case lines.AcceptError():
                    self._emit(AcceptFailed(self._now_ns(), message.pid, message.error))
                case lines.WorkerExited():
                    self._emit(WorkerExited(self._now_ns(), message.pid, message.status))
                case Served():
                    self._emit(ServerCounted(self._now_ns(), message))
                case _:
                    raise RuntimeError(f"the server sent {message}")
        if not self._server_asked:
            self._note_death(await self._server.died())

    async def _receive_from_sampler(self) -> None:
        async for message in self._sampler.received(SILENCE_S + self._variant.sample.every / 1e9):
            match message:
                case Sample():
                    self._sample(message)
                case SampleCheck():
                    self._emit(message)
                case Unobserved():
                    self._note_gap(SAMPLER, message)
                case Settled():
                    self._count(self._counts.rest())
                    self._emit(message)
                    return
                case Ready():
                    raise RuntimeError(f"the sampler sent {message}")
        self._note_death(await self._sampler.died())

    def _end_server(self) -> None:
        """Ask it to end. Idle connections are the server's to close, and its end closes them."""
        if not self._server_asked:
            self._server_asked = True
            self._server.terminate()

    def _sample(self, sample: Sample) -> None:
        self._emit(sample)
        self._count(self._counts.add(sample))

    def _count(self, interval: Interval | None) -> None:
        """A command reports no counts: the kernel's stand in for them."""
        if self._commanded and interval is not None:
            self._emit(interval)

    def _now_ns(self) -> int:
        return monotonic_ns() - self._origin_ns

    def _lab_opened(self) -> LabOpened:
        addresses, scope = self._lab.addresses, self._lab.spec.scope
        return LabOpened(
            self._now_ns(),
            {side: addresses[side] for side in Side},
            {viewpoint.name: self._lab.settings[viewpoint.node] for viewpoint in scope.viewpoints},
            scope,
            self._lab.notes,
        )

    def _processes(self) -> Processes:
        load_workers = tuple(self._load_workers.pids)
        return Processes(
            self._now_ns(),
            server=self._server.pid,
            workers=tuple(self._server_workers),
            driver=load_workers[0],
            load_workers=load_workers,
            cores={side: plans.cores(self._variant, side) for side in Side},
            cpus=len(os.sched_getaffinity(0)),
        )

    def _note_gap(self, what: str, span: Unobserved | lines.Gap) -> None:
        start_ns, end_ns = span.start_ns - self._origin_ns, span.end_ns - self._origin_ns
        cause = span.cause if isinstance(span, Unobserved) else GapCause.HELD_UP
        self._emit(Gap(start_ns, what, end_ns, cause))

    def _note_death(self, death: ChildDiedError) -> None:
        self._emit(_process_died(death, self._now_ns()))
