"""What the capture of three connections costs a full load: pairs of runs, one with it and one without.

CPU time for each connection is compared, because rates of a machine that others use as well vary by more than
the cost. It is that of the client, the server and the capture, packets that their system calls deliver
included.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns

from bench import session
from bench.measure import FIRST_CONNECTION_S
from bench.probe import Probe, until
from bench.results import Quantity, Reading, Results
from bench.studies import SECOND_NS, Section, variant
from loadgen.engine import plans
from loadgen.engine.child import Child
from loadgen.lab.lab import Lab, open_lab
from loadgen.observe.messages import CaptureEnded, CaptureMessage
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant
from loadgen.tcp import Side
from loadgen.wire.messages import Ready, Stop

CONNECTIONS = 3
OPEN_S, LATER_S = 1.5, 1.5
"""The first seconds of the load, in which the taps are open and closed again; and the ones after that."""
TITLE = f"The capture of {CONNECTIONS} connections, uring, {OPEN_S + LATER_S:g} s"
WITHOUT, WITH = "without", "capture"


async def capture_all(quick: bool, rounds: int, results: Results) -> None:
    """Pairs, which of the two is first taking turns."""
    for number in range(1, rounds + 1):
        for tool in (WITHOUT, WITH) if number % 2 else (WITH, WITHOUT):
            measuring = _measure(tool, number, 0.3 if quick else 1.0)
            await results.attempt(Section.CAPTURE, f"round {number} of {rounds}", tool, measuring)


async def _measure(tool: str, number: int, part: float) -> Reading:
    settings = (f"load.duration={1 + (OPEN_S + LATER_S) * part:g}s", f"capture.connections={CONNECTIONS}")
    load = session.by_driver(variant("short-server-closes", *settings), Driver.URING)
    with open_lab(session.lab_spec(load)) as lab, TemporaryDirectory(prefix="churn-bench-") as work:
        capture = await _start(lab, load, Path(work)) if tool == WITH else None
        try:
            async with session.start(lab, load) as client:
                with Probe(client) as probe:
                    client.begin()
                    if not await until(lambda: probe.opened > 0, FIRST_CONNECTION_S):
                        raise session.FailedError("no connection came")
                    looks = [_look(client, probe)]
                    for length_s in (OPEN_S, LATER_S):
                        await asyncio.sleep(length_s * part)
                        looks.append(_look(client, probe))
            cost_ns = 0
            if capture is not None:
                capture.send(Stop())
                ended = await capture.expect(CaptureEnded)
                if ended.connections != CONNECTIONS or ended.error:
                    raise session.FailedError(f"captured {ended.connections} connections; {ended.error}")
                cost_ns = ended.cost_ns
        finally:
            if capture is not None:
                capture.kill()
                await capture.end()
    begun, closed, end = looks
    opened = [each[1] - begun[1] for each in looks]
    values = {
        Quantity.CPU_US: (end[2] - begun[2] + cost_ns) / 1000 / opened[2],
        Quantity.CPU_OPEN_US: (closed[2] - begun[2] + cost_ns) / 1000 / opened[1],
        Quantity.CPU_LATER_US: (end[2] - closed[2]) / 1000 / (opened[2] - opened[1]),
        Quantity.PER_S: opened[2] * SECOND_NS / (end[0] - begun[0]),
    }
    return Reading(Section.CAPTURE, TITLE, tool, values, number)


async def _start(lab: Lab, load: Variant, directory: Path) -> Child[CaptureMessage]:
    plan = plans.capture_plan(load, lab, directory)
    assert plan is not None
    child = await Child[CaptureMessage].start(
        lab, Side.CLIENT, "capture", "loadgen.observe.capture", plan, CaptureMessage, lab.descriptors
    )
    await child.expect(Ready)
    return child


def _look(client: session.Session, probe: Probe) -> tuple[int, int, int]:
    """The instant, the connections so far, and the CPU time of client and server."""
    used_ns = sum(session.run_time_ns(pid) for pid in (*client.client_pids, *client.server_pids))
    return monotonic_ns(), probe.opened, used_ns
