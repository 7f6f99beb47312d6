"""Short connections: the protocol driver beside wrk and ab, on the same server, one core each.

    python -m bench.short [ROUNDS]

Every tool gets a fresh pair lab, the bundled server on one core and itself on the other, with 64
connections in flight and one request on each. The server's kernel counts the connections
(PassiveOpens) over the same two seconds of everyone's load. Tools take turns, so that a slow
spell of the machine meets them all; medians and ratios are printed as a Markdown table.
"""

import asyncio
import os
import platform
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic_ns

from loadgen.choices import Driver
from loadgen.drivers.plan import ClosedLoop, Plan, Timeouts
from loadgen.kernel import snmp
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.spec import LabSpec
from loadgen.tcp import CloseMethod, Closer, Side
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

ROUNDS = 5
IN_FLIGHT = 64
WARM_UP_S = 0.7
WINDOW_S = 2.0
LOAD_S = 4
PORT = 8080
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cores:
    """A core for each side; the same one where there is no other."""

    client: int
    server: int


def driver_plan(lab: Lab, driver: Driver) -> Plan:
    return Plan(
        driver=driver,
        sources=lab.addresses[Side.CLIENT],
        destinations=lab.addresses[Side.SERVER],
        port=PORT,
        http="1.1",
        requests=1,
        closer=Closer.SERVER,
        close=CloseMethod.FIN,
        think_ns=0,
        loop=ClosedLoop(IN_FLIGHT),
        duration_ns=LOAD_S * SECOND_NS,
        interval_ns=SECOND_NS // 10,
        timeouts=Timeouts(*[5 * SECOND_NS] * 4),
        seed=1,
    )


async def serve(lab: Lab, core: int) -> Process:
    """The bundled server, ready."""
    behaviour = Behaviour(Closer.SERVER, 1, CloseMethod.FIN, response_size=128)
    plan = ServerPlan(Kind.PROTOCOL, behaviour, lab.addresses[Side.SERVER], PORT)
    process = await _python(lab, Side.SERVER, core, "servers", plan.to_json())
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def load(lab: Lab, core: int, tool: str) -> Process:
    """The tool, under way."""
    url = f"http://{lab.addresses[Side.SERVER][0]}:{PORT}/"
    pinned = ["taskset", "-c", str(core)]
    match tool:
        case "wrk":
            argv = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{LOAD_S}s", "-H", "Connection: close", url]
        case "ab":
            argv = ["ab", "-q", "-c", str(IN_FLIGHT), "-t", str(LOAD_S), "-n", "10000000", url]
        case _:
            plan = driver_plan(lab, Driver(tool)).to_json()
            process = await _python(lab, Side.CLIENT, core, "loadgen.drivers", plan)
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdout.readline()  # It is ready: the interpreter's start is no part of the warm-up.
            process.stdin.write(f'{{"origin_ns": {monotonic_ns()}}}\n'.encode())
            return process
    return await lab.spawn(Side.CLIENT, [*pinned, *argv], stdout=DEVNULL, stderr=DEVNULL)


async def measure(tool: str, cores: Cores) -> float:
    """Connections per second that the server's kernel saw."""
    with open_lab(LabSpec()) as lab:
        server = await serve(lab, cores.server)
        tool_process = await load(lab, cores.client, tool)
        draining = asyncio.create_task(_drain(tool_process))
        counters = snmp.open(Path(f"/proc/{server.pid}/net"))
        await asyncio.sleep(WARM_UP_S)
        before, begun_ns = counters.read()["PassiveOpens"], monotonic_ns()
        await asyncio.sleep(WINDOW_S)
        opened, elapsed_ns = counters.read()["PassiveOpens"] - before, monotonic_ns() - begun_ns
        counters.close()
        await asyncio.gather(tool_process.wait(), draining)
        server.terminate()
        await server.communicate()
    return opened * SECOND_NS / elapsed_ns


async def _python(lab: Lab, side: Side, core: int, module: str, plan: str) -> Process:
    argv = ["taskset", "-c", str(core), sys.executable, "-m", module]
    process = await lab.spawn(side, argv, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    process.stdin.write(plan.encode() + b"\n")
    return process


async def _drain(process: Process) -> None:
    """Read what a tool prints, so that it does not wait for a reader."""
    if process.stdout is not None:
        while await process.stdout.read(1 << 16):
            pass


async def compare(rounds: int) -> Mapping[str, list[float]]:
    """Every tool's rates, the tools taking turns."""
    allowed = sorted(os.sched_getaffinity(0))
    cores = Cores(allowed[0], allowed[-1])
    tools = [driver.value for driver in Driver] + [tool for tool in ("wrk", "ab") if shutil.which(tool)]
    rates: dict[str, list[float]] = {tool: [] for tool in tools}
    for number in range(rounds):
        for tool in tools:
            rates[tool].append(await measure(tool, cores))
            print(f"round {number + 1}: {tool} {rates[tool][-1]:,.0f} conn/s", file=sys.stderr)
    return rates


def table(rates: Mapping[str, list[float]]) -> str:
    """Markdown: medians, spreads, and ratios within each round."""
    peers = [tool for tool in ("wrk", "ab") if tool in rates]
    rows = [
        f"| tool | conn/s, median | min – max | {' | '.join(f'÷ {peer}, median' for peer in peers)} |",
        f"|---|---|---|{'---|' * len(peers)}",
    ]
    for tool, found in rates.items():
        ratios = [median(a / b for a, b in zip(found, rates[peer], strict=True)) for peer in peers]
        told = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        rows.append(f"| {tool} | {median(found):,.0f} | {min(found):,.0f} – {max(found):,.0f} | {told} |")
    return "\n".join(rows)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    rates = asyncio.run(compare(rounds))
    machine = f"Linux {platform.release()}, Python {platform.python_version()}"
    print(f"{machine}, {rounds} rounds, {IN_FLIGHT} in flight\n")
    print(table(rates))


if __name__ == "__main__":
    main()
