"""What churn itself costs: to start, to sample, to hold connections open."""

import asyncio
import subprocess
import sys
from pathlib import Path
from time import monotonic_ns

import click

from bench import session
from bench.measure import DRIVERS, SPARE_FILES, Kit
from bench.probe import Probe, memory_kib, until
from bench.results import Missing, Quantity, Reading, Results
from bench.studies import Population, Section, variant
from loadgen.lab.lab import open_lab
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant

CHURN = str(Path(sys.executable).with_name("churn"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "churn --help": [CHURN, "--help"],
    "churn check scenarios/http10.yaml": [CHURN, "check", "scenarios/http10.yaml"],
}
"""By what people type; an interpreter that does nothing is what the others are compared with."""
SAMPLED = (0, 28_000, 120_000)
HOLDING_S = 15.0
"""How long a driver may take to open all of them: less than the load lasts."""
IDLE_S = 2.0
TITLES = {
    Section.STARTUP: "Start-up, from exec to the end",
    Section.SAMPLER: "The sampler, ten samples a second, over the TIME-WAITs on the client's side",
    Section.HELD: "Connections held open in one worker",
}


def start_all(rounds: int, results: Results) -> None:
    """How long commands take to start and end, in turns."""
    for number in range(1, rounds + 1):
        for name, argv in COMMANDS.items():
            begun_ns, root = monotonic_ns(), Path(__file__).parents[1]
            subprocess.run(argv, cwd=root, check=True, stdout=subprocess.DEVNULL, timeout=60)
            values = {Quantity.START_MS: (monotonic_ns() - begun_ns) / 1e6}
            results.readings.append(Reading(Section.STARTUP, TITLES[Section.STARTUP], name, values, number))
        click.echo(f"startup: round {number} of {rounds}", err=True)


async def sample_all(quick: bool, results: Results) -> None:
    """The sampler, over the TIME-WAITs that it meets."""
    for number in SAMPLED[:2] if quick else SAMPLED:
        sampling = _sample(Population(number), seconds=1 if quick else 4)
        await results.attempt(Section.SAMPLER, f"{number:,} TIME-WAITs", "sampler", sampling)


async def _sample(held: Population, seconds: int) -> Reading:
    load = variant("short-server-closes", held.lab)
    with open_lab(session.lab_spec(load)) as lab:
        await session.hold_time_waits(lab, held)
        share, cost_ns = await session.sample(lab, load, seconds)
    values = {Quantity.CLIENT_CORE: share, Quantity.SAMPLE_MS: cost_ns / 1e6}
    return Reading(Section.SAMPLER, TITLES[Section.SAMPLER], "sampler", values, x=held.count)


async def hold_all(kit: Kit, most: int, results: Results) -> None:
    """As many connections as are asked for, or as the descriptors allow, in one worker of each driver."""
    for driver in DRIVERS:
        each = session.descriptors(_held(1, driver))
        number = min(most, (kit.files - SPARE_FILES) // each)
        await results.attempt(Section.HELD, f"{number:,} connections", driver, _hold(number, driver))
        if number < most:
            why = f"{kit.files:,} descriptors allowed (ulimit -Hn), and {each} needed for each"
            results.missing.append(Missing(Section.HELD, f"more than {number:,}", driver, why))


def _held(number: int, driver: Driver) -> Variant:
    settings = (f"load.closed_loop.connections={number}", "connection.think=600s")
    return session.by_driver(variant("held", *settings), driver)


async def _hold(number: int, driver: Driver) -> Reading:
    load = _held(number, driver)
    with open_lab(session.lab_spec(load)) as lab:
        # Compared with a worker that is ready for one: what is made for all before the load begins counts.
        async with session.start(lab, _held(1, driver)) as single:
            bare_kib = memory_kib(single.client_pids[0], "VmRSS")
        async with session.start(lab, load) as client:
            (pid,) = client.client_pids
            with Probe(client) as probe:

                def all_open() -> bool:
                    return min(probe.established, client.exchanges) >= number

                before_ns = session.run_time_ns(pid)
                client.begin()
                await until(lambda: all_open() or not client.running, HOLDING_S)
                if not all_open() or not client.running:
                    raise session.FailedError(f"{probe.established:,} are open; {client.last_words()}")
                used_ns = session.run_time_ns(pid) - before_ns
                grown_kib = memory_kib(pid, "VmRSS") - bare_kib
                begun_ns, before_ns = monotonic_ns(), session.run_time_ns(pid)
                await asyncio.sleep(IDLE_S)
                idle = (session.run_time_ns(pid) - before_ns) / (monotonic_ns() - begun_ns)
    values = {
        Quantity.KIB_EACH: grown_kib / number,
        Quantity.USER_US: used_ns / 1000 / number,
        Quantity.CLIENT_CORE: idle,
    }
    return Reading(Section.HELD, TITLES[Section.HELD], driver, values, x=number)
