"""The script of a variant while its load lasts: each fault acts at its instant and is recorded."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from time import monotonic_ns

from loadgen.engine import plans
from loadgen.engine.child import Child, ChildDiedError, Children, together
from loadgen.engine.processes import signal_all
from loadgen.engine.script_plan import injector_plan
from loadgen.engine.server_pool import start_server
from loadgen.engine.serving import Serving
from loadgen.lab.faults import Acted, Dropped, InjectorMessage, Refused, Undone
from loadgen.lab.lab import Lab
from loadgen.records.events import Event, FaultBegan, FaultEnded, FaultFailed, SegmentsDropped
from loadgen.scenario.choices import Act, Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.scenario.script import Fault
from loadgen.scenario.script_checks import PROCESSES
from loadgen.tcp import Side
from loadgen.wire.messages import Begin, Over, Ready, Stop, Unobserved

SLACK_NS = 1_000_000_000
"""A process notices a pause up to its longest period late, and reports the time before and after with it."""


@dataclass(slots=True)
class _Pause:
    """A pause of a side's processes, at instants of CLOCK_MONOTONIC; `end_ns` is None while it lasts."""

    side: Side
    start_ns: int
    end_ns: int | None = None


async def start_injector(children: Children, variant: Variant, lab: Lab) -> Child[InjectorMessage] | None:
    """The process that makes the faults of the lab itself; None if the script has none."""
    plan = injector_plan(variant, lab)
    if not plan.steps:
        return None
    return await children.start(
        Side.CLIENT, "fault injector", "loadgen.lab.injector", plan, InjectorMessage, lab.descriptors
    )


class Script:
    """Runs the faults of one variant. `emit` takes their events, whose instants are those of the acts."""

    def __init__(
        self,
        variant: Variant,
        lab: Lab,
        directory: Path,
        children: Children,
        injector: Child[InjectorMessage] | None,
        emit: Callable[[Event], None],
    ) -> None:
        self._variant = variant
        self._lab = lab
        self._directory = directory
        self._children = children
        self._injector = injector
        self._emit = emit
        self._pauses: list[_Pause] = []
        self._origin_ns = 0

    async def ready(self) -> None:
        if self._injector is not None:
            await self._injector.expect(Ready)

    async def run(self, origin_ns: int, serving: Serving, load_pids: Sequence[int]) -> None:
        """Until the last fault is over. Cancelled, it undoes what is to be undone."""
        self._origin_ns = origin_ns
        if self._injector is not None:
            self._injector.send(Begin(origin_ns))
        await together(
            self._processes(fault, number, serving, load_pids)
            for number, fault in enumerate(self._variant.script)
            if fault.do in PROCESSES
        )

    async def receive(self) -> None:
        """What the injector reports, until it ends."""
        if self._injector is None:
            return
        async for message in self._injector.received(None):
            match message:
                case Acted():
                    self._began(self._variant.script[message.number], message.t_ns)
                case Undone():
                    self._over(self._variant.script[message.number], message.t_ns)
                case Dropped():
                    fault = self._variant.script[message.number]
                    t_ns = self._offset(message.t_ns)
                    self._emit(SegmentsDropped(t_ns, fault.on, fault.detail, message.segments))
                case Refused():
                    self._failed(self._variant.script[message.number], message.why)
                case Over():
                    return
                case Ready():
                    raise RuntimeError(f"the fault injector sent {message}")
        raise await self._injector.died()

    def stop(self) -> None:
        """Have what has an end undone now."""
        if self._injector is not None:
            self._injector.send(Stop())

    def paused(self, what: str, span: Unobserved) -> bool:
        """Whether the script paused the process that observed nothing in this span: then it is no gap."""
        side = Side.SERVER if what.startswith("server") else Side.CLIENT
        return any(
            pause.side is side
            and pause.start_ns - span.start_ns < SLACK_NS
            and span.end_ns - (pause.end_ns or span.end_ns) < SLACK_NS
            and span.end_ns > pause.start_ns
            for pause in self._pauses
        )

    async def _processes(self, fault: Fault, number: int, serving: Serving, load_pids: Sequence[int]) -> None:
        """A fault of a side's processes."""
        on_server = fault.on is Side.SERVER
        commanded = self._variant.server.kind is ServerKind.COMMAND
        if not on_server:
            commanded = self._variant.load.driver is Driver.COMMAND
        pids = serving.pids if on_server else load_pids
        await self._until(fault.at)
        match fault.do:
            case Act.PAUSE:
                await self._pause(fault, serving.pids if on_server else load_pids, commanded)
            case Act.RESTART:
                await self._restart(fault, number, serving)
            case _ if on_server:
                self._began(fault)
                await serving.end(Signals[f"SIG{fault.sent}"], again=False)
            case _:
                self._began(fault)
                signal_all(pids, Signals[f"SIG{fault.sent}"], command=commanded)

    async def _pause(self, fault: Fault, pids: Sequence[int], commanded: bool) -> None:
        assert fault.end is not None
        pause = _Pause(fault.on, monotonic_ns())
        self._pauses.append(pause)
        signal_all(pids, Signals.SIGSTOP, command=commanded, all_of_it=True)
        self._began(fault)
        try:
            await self._until(fault.end)
        finally:
            signal_all(pids, Signals.SIGCONT, command=commanded, all_of_it=True)
            pause.end_ns = monotonic_ns()
            self._over(fault)

    async def _restart(self, fault: Fault, number: int, serving: Serving) -> None:
        self._began(fault)
        await serving.end(Signals[f"SIG{fault.sent}"], again=True)
        await self._until(fault.end or fault.at)
        # A command has a directory for each start.
        place = self._directory / f"restart-{number + 1}"
        workers = await start_server(self._children, plans.servers(self._variant, self._lab, place))
        try:
            await serving.start(workers)
        except ChildDiedError as death:
            self._failed(fault, death.stderr or death.how)
        else:
            self._over(fault)

    async def _until(self, offset_ns: int) -> None:
        await asyncio.sleep(max(self._origin_ns + offset_ns - monotonic_ns(), 0) / 1e9)

    def _began(self, fault: Fault, t_ns: int | None = None) -> None:
        self._emit(FaultBegan(self._offset(t_ns), fault.do, fault.on, fault.detail))

    def _over(self, fault: Fault, t_ns: int | None = None) -> None:
        self._emit(FaultEnded(self._offset(t_ns), fault.do, fault.on, fault.detail))

    def _failed(self, fault: Fault, how: str) -> None:
        self._emit(FaultFailed(self._offset(None), fault.do, fault.on, how))

    def _offset(self, t_ns: int | None) -> int:
        return (monotonic_ns() if t_ns is None else t_ns) - self._origin_ns
