"""Connections that idle in one worker: what each costs."""

import asyncio
from dataclasses import replace
from time import monotonic_ns

from bench.clients import DriverClient, driver_plan
from bench.load import SECOND_NS, Exchange, Load, Program
from bench.measure import FAILURES, Kit, ToolFailedError
from bench.probe import Probe, memory_kib, run_time_ns
from bench.reading import Failed
from bench.results import HeldOpen, Results, Say
from bench.scale import Scale
from bench.serving import KEPT_REQUESTS, churn_server
from bench.waiting import until
from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.lab.lab import Lab, open_lab
from loadgen.scenario.choices import Driver
from loadgen.tcp import Closer

THINK_NS = 600 * SECOND_NS
"""Longer than the connections are held: each has its first exchange, and idles."""
HOLDING_S = 20
IDLE_S = 2.0


async def holding(kit: Kit, scale: Scale, results: Results, say: Say) -> None:
    """Connections that idle, in one worker of each driver."""
    for driver in kit.drivers:
        count = min(scale.held, kit.most_in_flight(driver))
        fewer = "" if count == scale.held else f"descriptors: {kit.files:,} allowed (ulimit -Hn)"
        try:
            found = await _hold(kit, driver, count)
        except FAILURES as error:
            results.failed.append(Failed("held", driver, f"{count:,} connections", str(error)))
            say(f"held: {driver}: {error}")
        else:
            results.held.append(replace(found, fewer=fewer))
            why = fewer and f" and no more, for want of {fewer}"
            say(f"held: {driver}: {count:,}{why}: {found.kib_each:.1f} KiB, {found.us_each:.0f} µs each")


async def _hold(kit: Kit, driver: Driver, count: int) -> HeldOpen:
    load = Load(Exchange.KEPT, Program.CHURN, Closer.CLIENT, count, seconds=HOLDING_S)
    with open_lab(load.spec()) as lab:
        # A slow driver may take seconds to come to each: that is what is measured, and no failure.
        patience = Timeouts(*[HOLDING_S * SECOND_NS] * 4)
        plan = replace(driver_plan(lab, driver, load), think_ns=THINK_NS, timeouts=patience)
        async with churn_server(lab, load.closer, KEPT_REQUESTS, kit.cores, backlog=load.backlog) as server:
            # Counted from a worker that is ready for one: what is made for all before the load begins counts.
            bare_kib = await _ready_kib(kit, lab, replace(plan, loop=ClosedLoop(1)))
            with Probe(server.net, server.workers) as probe:
                client = await DriverClient.ready(lab, plan, kit.cores.clients(1))
                try:
                    (pid,) = client.pids
                    before_ns = run_time_ns(pid)
                    client.begin()
                    await _all_there(probe, client, count)
                    used_ns = run_time_ns(pid) - before_ns
                    grown_kib = memory_kib(pid, "VmRSS") - bare_kib
                    begun_ns, before_ns = monotonic_ns(), run_time_ns(pid)
                    await asyncio.sleep(IDLE_S)
                    idle = (run_time_ns(pid) - before_ns) / (monotonic_ns() - begun_ns)
                finally:
                    await client.end()
    return HeldOpen(driver, count, grown_kib / count, used_ns / 1000 / count, idle)


async def _ready_kib(kit: Kit, lab: Lab, plan: Plan) -> int:
    """The memory of a worker that is ready to begin."""
    client = await DriverClient.ready(lab, plan, kit.cores.clients(1))
    try:
        (pid,) = client.pids
        return memory_kib(pid, "VmRSS")
    finally:
        await client.end()


async def _all_there(probe: Probe, client: DriverClient, count: int) -> None:
    """Until all connections stand and each has had its exchange. Raises ToolFailedError."""
    there = await until(
        lambda: (probe.established >= count and client.sums.exchanges >= count) or not client.running,
        HOLDING_S - 5,
    )
    if not there or not client.running:
        raise ToolFailedError(f"{probe.established:,} of {count:,} stand; {client.last_words()}")
