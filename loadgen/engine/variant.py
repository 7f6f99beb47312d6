"""One variant: its lab, its processes, and the records they make.

The order of events is the order of `_VariantRun.run`. What goes wrong with the experiment is
data, and is recorded; what goes wrong with churn itself is raised.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns, time

from loadgen.analysis.kernel_counts import KernelCounts
from loadgen.engine import plans
from loadgen.engine.capturing import captured, start_capture
from loadgen.engine.child import SILENCE_S, Child, ChildDiedError, Children
from loadgen.engine.proxying import Proxying, start_proxy
from loadgen.engine.script import Script, start_injector
from loadgen.engine.server_pool import ServerPool, ServerWorker, start_server
from loadgen.engine.serving import Serving
from loadgen.engine.worker_pool import Emit, LoadMessage, WorkerPool
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.proxied import DOWNSTREAM
from loadgen.observe.messages import CaptureMessage, SamplerMessage, Watch
from loadgen.records.events import (
    AcceptFailed,
    Captured,
    DriverChosen,
    Gap,
    Interrupted,
    LabOpened,
    Origin,
    ProcessDied,
    Processes,
    SampleCheck,
    ServerCounted,
    ServerEnded,
    Settled,
    StageBegan,
    WorkerExited,
)
from loadgen.records.gaps import SAMPLER
from loadgen.records.types import Interval, Sample
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.wire.messages import Ready, Stop, Unobserved

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
            async with Children(lab) as children:
                server_workers = await start_server(children, plans.servers(variant, lab, directory))
                load_workers: list[Child[LoadMessage]] = [
                    await children.start(Side.CLIENT, *driver, LoadMessage)
                    for driver in plans.drivers(variant, lab, directory)
                ]
                sampler: Child[SamplerMessage] = await children.start(
                    Side.CLIENT,
                    SAMPLER,
                    "loadgen.observe.sampler",
                    plans.sampler_plan(variant, lab),
                    SamplerMessage,
                    lab.descriptors,
                )
                capture = await start_capture(children, variant, lab, directory)
                proxy = await start_proxy(children, variant, lab, directory)
                injector = await start_injector(children, variant, lab)
                script = Script(variant, lab, directory, children, injector, emit)
                run = _VariantRun(
                    variant, lab, emit, server_workers, load_workers, sampler, capture, script, proxy
                )
                await run.run(stop)
        except ChildDiedError as death:
            # There may be no origin yet to count from.
            emit(_process_died(death, 0))


def _process_died(death: ChildDiedError, t_ns: int) -> ProcessDied:
    return ProcessDied(t_ns, death.what, death.how, death.stderr)


class _VariantRun:
    """Runs the processes of one variant in order, and makes records of their messages."""

    def __init__(
        self,
        variant: Variant,
        lab: Lab,
        emit: Emit,
        server_workers: Sequence[ServerWorker],
        load_workers: Sequence[Child[LoadMessage]],
        sampler: Child[SamplerMessage],
        capture: Child[CaptureMessage] | None,
        script: Script,
        proxy: Proxying | None,
    ) -> None:
        self._variant = variant
        self._lab = lab
        self._emit = emit
        self._script = script
        self._proxy = proxy
        self._server_commanded = variant.server.kind is ServerKind.COMMAND
        self._server_workers = Serving(self._pool, server_workers, commanded=self._server_commanded)
        self._commanded = variant.load.driver is Driver.COMMAND
        self._load_workers = WorkerPool(
            load_workers,
            plans.INTERVAL_NS,
            emit,
            quiet=self._server_workers.stop if proxy is None else proxy.stop,
            died=self._note_death,
            ended=emit,
            gap=self._note_gap,
            silence_s=None if self._commanded else SILENCE_S,
            entered=self._note_stage,
        )
        self._sampler = sampler
        self._capture = capture
        self._counts = KernelCounts(max(plans.INTERVAL_NS, variant.sample.every), lab.spec.scope)
        self._origin_ns = 0

    def _pool(self, workers: Sequence[ServerWorker]) -> ServerPool:
        return ServerPool(
            workers,
            accept_failed=lambda worker, error: self._emit(AcceptFailed(self._now_ns(), worker.pid, error)),
            gap=lambda worker, span: self._note_gap(worker.what, span),
            died=self._note_server_death,
        )

    async def run(self, stop: asyncio.Event) -> None:
        await self._server_workers.ready()
        if self._proxy is not None:
            await self._proxy.ready()
        await self._load_workers.ready()
        await self._sampler.expect(Ready)
        if self._capture is not None:
            await self._capture.expect(Ready)
        await self._script.ready()
        self._origin_ns = monotonic_ns() + LEAD_NS
        self._emit(Origin(0, time() + LEAD_NS / 1e9))
        pids: dict[str, tuple[int, ...]] = {
            Side.SERVER: tuple(self._server_workers.pids),
            Side.CLIENT: tuple(self._load_workers.pids),
        }
        if self._proxy is not None:
            pids[DOWNSTREAM] = (self._proxy.pid,)
            self._emit(self._proxy.started(self._now_ns()))
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
            proxy = group.create_task(self._receive_from_proxy(self._proxy))
            sampler = group.create_task(self._receive_from_sampler())
            capture = group.create_task(self._receive_from_capture(self._capture))
            stopper = group.create_task(self._stop_early(stop))
            reporter = group.create_task(self._script.receive())
            script = group.create_task(
                self._script.run(self._origin_ns, self._server_workers, self._load_workers.pids)
            )
            await self._load_workers.run()
            stopper.cancel()
            script.cancel()
            self._script.stop()
            await asyncio.wait([script])
            await reporter
            if self._proxy is not None:
                self._proxy.stop()
            await proxy
            self._server_workers.stop()
            await server
            self._sampler.send(Stop())
            await sampler
            if self._capture is not None:
                self._capture.send(Stop())
            await capture

    async def _stop_early(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._emit(Interrupted(self._now_ns()))
        self._load_workers.stop()

    async def _receive_from_server(self) -> None:
        await self._server_workers.run()
        if not self._server_commanded:
            if self._server_workers.counted:
                self._emit(ServerCounted(self._now_ns(), self._server_workers.served))
            if (last := self._server_workers.lost) is not None:
                self._emit(ProcessDied(self._now_ns(), "server", last.how, last.stderr))

    async def _receive_from_proxy(self, proxy: Proxying | None) -> None:
        if proxy is not None and (death := await proxy.run()) is not None:
            self._note_death(death)

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

    async def _receive_from_capture(self, capture: Child[CaptureMessage] | None) -> None:
        """It sends one message, when the connections that it captures are over."""
        if capture is None:
            return
        match await captured(capture, self._origin_ns):
            case Captured() as event:
                self._emit(event)
            case ChildDiedError() as death:
                self._note_death(death)

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
            addresses,
            {viewpoint.name: self._lab.settings[viewpoint.node] for viewpoint in scope.viewpoints},
            scope,
            self._lab.notes,
        )

    def _processes(self) -> Processes:
        load_workers = tuple(self._load_workers.pids)
        return Processes(
            self._now_ns(),
            workers=self._server_workers.pids,
            driver=load_workers[0],
            load_workers=load_workers,
            cores={side: plans.cores(self._variant, side) for side in Side},
            cpus=len(os.sched_getaffinity(0)),
        )

    def _note_stage(self, number: int, t_ns: int) -> None:
        stage = self._variant.load.stages[number - 1]
        self._emit(StageBegan(t_ns, number, stage.rate, stage.connections))

    def _note_gap(self, what: str, span: Unobserved) -> None:
        if self._script.paused(what, span):
            return
        start_ns, end_ns = span.start_ns - self._origin_ns, span.end_ns - self._origin_ns
        self._emit(Gap(start_ns, what, end_ns, span.cause))

    def _note_death(self, death: ChildDiedError) -> None:
        self._emit(_process_died(death, self._now_ns()))

    def _note_server_death(self, death: ChildDiedError) -> None:
        if self._server_commanded:
            self._emit(ServerEnded(self._now_ns(), death.code, death.stderr))
        else:
            self._emit(WorkerExited(self._now_ns(), death.pid, death.code))
