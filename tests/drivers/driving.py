"""What tests of the load side share: a lab to drive in, servers in it, and the driver's words."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, TypeVar

import uvloop

from loadgen.analysis.audit import audit, missing
from loadgen.analysis.counts import Counted
from loadgen.analysis.explanation import explain
from loadgen.drivers.messages import Quiet, WorkerMessage
from loadgen.drivers.plan import ClosedLoop, OpenLoop, Plan, Timeouts
from loadgen.engine.child import Child
from loadgen.kernel import netstat, snmp
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.spec import LabSpec
from loadgen.records.events import LoadEnds
from loadgen.records.latency import Counts, Tag
from loadgen.records.types import Interval
from loadgen.scenario.choices import Driver
from loadgen.tcp import NO_PORT, OUT_OF_TIME, Ending, Failure, Side
from loadgen.wire.keepalive import Keepalive
from loadgen.wire.messages import Begin, Listening, Over, Ready, Unobserved
from servers.behaviour import Behaviour
from servers.lines import Line
from servers.plan import Kind
from servers.plan import Plan as ServerPlan
from tests.drivers.forks import Forks
from tests.made_records import ends
from tests.peers import need

LIMIT_S = 30
"""Bounds whatever is awaited; nothing takes a tenth of it."""
SEVERAL_FROM = 8080
"""The first port of a server that has several."""
MS_NS = 1_000_000
LEAD_NS = 50 * MS_NS
"""Before the load begins, as a run leaves."""
PATIENT = Timeouts(*4 * (LIMIT_S * 1000 * MS_NS,))

NO_SYN = ("bind:", "connect:EADDRNOTAVAIL")
"""How failures begin that come before anything is sent."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Driven:
    """What one worker sent: its messages' types in order, and its counts."""

    said: tuple[type, ...]
    intervals: tuple[Interval, ...]
    latencies: tuple[Counts, ...]
    open_loop: bool = False

    def total(self, count: str) -> int:
        return sum(getattr(interval, count) for interval in self.intervals)

    def seen(self, tag: Tag) -> int:
        """How many latencies were told."""
        return sum(sum(each.counts) for each in self.latencies if each.tag is tag)

    @property
    def closes(self) -> Counter[Ending]:
        """All of them."""
        return sum((Counter(each.closes) for each in self.intervals), Counter[Ending]())

    @property
    def ends(self) -> set[str]:
        """How connections ended, and `server_fin_reset` if any did."""
        return {*self.closes, *(["server_fin_reset"] if self.total("server_fin_reset") else [])}

    @property
    def errors(self) -> dict[str, int]:
        errors: Counter[str] = Counter()
        for interval in self.intervals:
            errors.update({str(failure): count for failure, count in (interval.errors or {}).items()})
        return dict(errors)

    def failed(self, *beginnings: str) -> int:
        """Failures whose `phase:kind` begins so."""
        return sum(count for failure, count in self.errors.items() if failure.startswith(beginnings))

    @property
    def counted(self) -> Counted:
        """The totals, as the audit takes them."""
        return Counted(
            attempts=self.total("attempts"),
            opened=self.total("opened"),
            connected=self.total("connected"),
            succeeded=self.total("succeeded"),
            failed=sum(self.errors.values()),
            given_up=sum(
                n for failure, n in self.errors.items() if Failure.parse(failure).kind in OUT_OF_TIME
            ),
            closes=self.closes,
            server_fin_reset=self.total("server_fin_reset"),
        )

    def check(self) -> None:
        """What must hold however a load went: every count is in one place."""
        for each in self.intervals:
            assert each.errors is not None
            assert each.closes is not None
            assert (each.no_port_ns is not None) == bool(NO_PORT & each.errors.keys())
            assert each.no_port_ns is None or each.start_ns <= each.no_port_ns <= each.end_ns
        assert self.total("attempts") > 0
        assert self.total("attempts") == self.total("succeeded") + sum(self.errors.values())
        assert self.total("opened") == self.total("attempts") - self.failed(*NO_SYN)
        assert self.total("connected") == self.total("attempts") - self.failed("bind:", "connect:")
        assert self.total("connected") == self.closes.total()
        assert self.total("offered") == self.total("started") + self.total("dropped")
        # Each exchange that was begun is complete, or its attempt failed in it, and not at the close.
        in_exchange = sum(self.errors.values()) - self.failed("close:")
        assert self.total("started") == self.total("exchanges") + in_exchange
        assert self.intervals[-1].in_flight == 0
        # The end is told step by step.
        steps = [kind for kind in self.said if kind not in (Interval, Counts, Unobserved)]
        assert steps == [LoadEnds, Quiet, Over]
        assert self.said[-1] is Over
        # The intervals leave no gap.
        edges = [(interval.start_ns, interval.end_ns) for interval in self.intervals]
        assert [start for start, _ in edges] == [0, *(end for _, end in edges[:-1])]
        assert all(start < end for start, end in edges)
        # Percentiles are there where something was measured, and there alone.
        for each in self.intervals:
            assert all(count > 0 for count in [*(each.errors or {}).values(), *(each.closes or {}).values()])
            for count, p50_ns, p99_ns in (
                (each.timed, each.connect_p50_ns, each.connect_p99_ns),
                (each.exchanges, each.response_p50_ns, each.response_p99_ns),
            ):
                assert (p50_ns is None, p99_ns is None) == (not count, not count)
                assert (p50_ns or 0) <= (p99_ns or 0)
        # Every exchange has its latency, and every connection that was timed.
        assert self.total("connected") >= self.total("timed")
        for tag, count in (("connect", "timed"), ("service", "exchanges"), ("response", "exchanges")):
            assert self.seen(Tag(tag)) == self.total(count)
        # Every start has its own, where it was due at an instant.
        assert self.seen(Tag.START) == (self.total("started") if self.open_loop else 0)


Heard = Callable[[Child[WorkerMessage], WorkerMessage | None], None]
"""What is to be done at a message of a load worker, which may be answered; None: it has started."""


def nothing(_child: Child[WorkerMessage], _message: WorkerMessage | None) -> None:
    """Do nothing."""


class Bench:
    """A lab, and the event loop that its processes belong to."""

    def __init__(self, lab: Lab, runner: asyncio.Runner) -> None:
        self.lab = lab
        self._runner = runner
        self.forks: Forks | None = None

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(LIMIT_S):
                return await main

        return self._runner.run(bounded())

    def plan(self, port: int, ending: Ending = Ending.CLIENT_FIN, **changed: Any) -> Plan:
        """A short closed loop of few connections, but for what is `changed`."""
        fields: dict[str, Any] = {
            "driver": Driver.PROTOCOL,
            "sources": self.lab.addresses[Side.CLIENT],
            "destinations": self.lab.addresses[Side.SERVER],
            "port": port,
            "http": "1.1",
            "requests": 1,
            "ending": ending,
            "think_ns": 0,
            "loop": ClosedLoop(4),
            "duration_ns": 100 * MS_NS,
            "interval_ns": 50 * MS_NS,
            "timeouts": PATIENT,
            "seed": 1,
        }
        return Plan(**(fields | changed))

    async def drive(self, plan: Plan, heard: Heard = nothing) -> Driven:
        """Run one worker to its end. `heard` is called as it has `started`, then with each line of it."""
        child = await self._start(plan, heard)
        try:
            ready = await child.expect(Ready)
            child.send(Begin(monotonic_ns() + LEAD_NS))
            heard(child, ready)
            messages: list[WorkerMessage] = []
            async for message in child.received():
                messages.append(message)
                heard(child, message)
        except BaseException:
            child.kill()
            raise
        finally:
            await child.end()
        if not messages or not isinstance(messages[-1], Over):
            raise await child.died()
        return Driven(
            tuple(map(type, messages)),
            tuple(message for message in messages if isinstance(message, Interval)),
            tuple(message for message in messages if isinstance(message, Counts)),
            isinstance(plan.loop, OpenLoop),
        )

    async def _start(self, plan: Plan, heard: Heard) -> Child[WorkerMessage]:
        if self.forks is None:
            child = await Child.start(
                self.lab, Side.CLIENT, "load worker", "loadgen.drivers", plan, WorkerMessage
            )
            heard(child, None)
            return child
        child = Child[WorkerMessage]("load worker", await self.forks.fork(), WorkerMessage)
        # Before the plan: a fork has nothing to import, and begins at once.
        heard(child, None)
        child.send_plan(plan)
        return child

    async def drive_all(self, server: Child[Line], *plans: Plan, heard: Heard = nothing) -> list[Driven]:
        """Several at once. When all are quiet the server is ended, as in a run: what idles is its own."""
        still = len(plans)

        def end(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
            nonlocal still
            heard(child, message)
            still -= isinstance(message, Quiet)
            if not still:
                server.terminate()

        return await asyncio.gather(*(self.drive(plan, end) for plan in plans))

    @asynccontextmanager
    async def counting(self) -> AsyncGenerator[dict[Side, dict[str, int]]]:
        """Once all that is done within is over, what the kernel of each side has counted."""
        counted: dict[Side, dict[str, int]] = {}
        await self.settled()
        before = {side: await self.counters(side) for side in Side}
        yield counted
        await self.settled()
        for side in Side:
            after = await self.counters(side)
            counted[side] = {name: after[name] - before[side][name] for name in after}

    @asynccontextmanager
    async def audited(self) -> AsyncGenerator[list[Driven]]:
        """Within, all that is done are the loads put in here; after it, the kernel has counted the same."""
        loads: list[Driven] = []
        async with self.counting() as kernel:
            yield loads
        counted = ends(kernel, shared=False)
        assert missing([counted]) == []
        together = Driven((), tuple(each for load in loads for each in load.intervals), ())
        lines = audit(together.counted, counted, explain(counted, together.counted))
        odd = [line for line in lines if not line.exact or line.by_races]
        assert not odd, odd

    @asynccontextmanager
    async def serving(
        self,
        ending: Ending,
        requests: int = 1,
        kind: Kind = Kind.PROTOCOL,
        keepalive: Keepalive | None = None,
        ports: int = 1,
        **changed: Any,
    ) -> AsyncGenerator[tuple[Child[Line], int]]:
        """churn's own server, and its port, the first of so many; `changed` is of its behaviour."""
        behaviour, hosts = Behaviour(ending, requests, **changed), self.lab.addresses[Side.SERVER]
        first = 0 if ports == 1 else SEVERAL_FROM
        plan = ServerPlan(kind, behaviour, hosts, first, keepalive=keepalive, ports=ports)
        child: Child[Line] = await Child.start(self.lab, Side.SERVER, "server", "servers", plan, Line)
        try:
            yield child, (await child.expect(Listening)).port
        finally:
            child.terminate()
            await child.end()

    async def counters(self, side: Side) -> dict[str, int]:
        """The kernel's counts, as of now."""
        text = (await self.output(side, "cat", "/proc/net/snmp", "/proc/net/netstat")).encode()
        return snmp.parse(text) | netstat.parse(text)

    async def settled(self) -> None:
        """Wait until the client has no connection left but in TIME-WAIT: then both ends are counted."""
        need("ss")
        argv = ("ss", "-tanH", "exclude", "time-wait")
        while await self.output(Side.CLIENT, *argv):
            pass

    async def output(self, side: Side, *argv: str) -> str:
        process = await self.lab.spawn(side, argv, stdout=PIPE)
        text, _ = await process.communicate()
        assert process.returncode == 0
        return text.decode()


@contextmanager
def bench(spec: LabSpec, *, forking: bool = False) -> Generator[Bench]:
    """A lab; with `forking`, for many tests, whose load workers are forked from one process."""
    with open_lab(spec) as lab, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        made = Bench(lab, runner)
        if not forking:
            yield made
            return
        made.forks = forks = made.run(Forks.start(lab))
        try:
            yield made
        finally:
            made.run(forks.stop())


@contextmanager
def misbehaving(on: Bench, module: str = "tests.drivers.hostile") -> Generator[dict[str, int]]:
    """The servers of a module of tests, on the server's side; gives the ports by behaviour."""

    async def start() -> tuple[Process, dict[str, int]]:
        host = on.lab.addresses[Side.SERVER][0]
        argv = [sys.executable, "-m", module, host]
        process = await on.lab.spawn(Side.SERVER, argv, stdin=PIPE, stdout=PIPE)
        assert process.stdout
        return process, json.loads(await process.stdout.readline())

    async def stop() -> None:
        assert process.stdin
        process.stdin.close()
        await process.wait()

    process, ports = on.run(start())
    try:
        yield ports
    finally:
        on.run(stop())
