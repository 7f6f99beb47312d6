"""One measurement: a fresh lab, a server, a client, and looks at the kernel's counters."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import monotonic_ns

from bench import nginx, session
from bench.probe import Look, Probe, command_peak_kib, until
from bench.results import Quantity, Reading, Results
from bench.studies import SECOND_NS, Case, client_closes, is_short
from bench.tools import BEFORE_THE_CLIFF, Tool
from loadgen.lab.lab import open_lab
from loadgen.programs.plan import find_program
from loadgen.records.latency import Distribution
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant

DRIVERS = tuple(driver for driver in Driver if driver not in (Driver.AUTO, Driver.COMMAND))
FIRST_CONNECTION_S = 10.0
"""How long a tool may take to its first connection."""
SPARE_FILES = 500
"""Descriptors that a process needs for itself."""
STRAY = 0.01
"""Of the connections that a client is to close first, so many may have ended otherwise."""
OVERTIME_S = 3.0
"""How long after the window a tool may take to print its own count."""
BIN_S = 0.1
BINS = (Quantity.LEAST_BIN, Quantity.MIDDLE_BIN, Quantity.MOST_BIN)
LATE = {
    Quantity.LATE_P50: 0.5,
    Quantity.LATE_P99: 0.99,
    Quantity.LATE_P999: 0.999,
    Quantity.LATE_P9999: 0.9999,
    Quantity.LATE_MOST: 1.0,
}
"""Quantiles of how late connections began."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools that are installed, and how many descriptors a process may have."""

    tools: Sequence[Tool]
    files: int

    def able(self, load: Variant) -> list[str]:
        """Those that can make a load, and have the descriptors for it, churn's own first."""
        room = self.files - SPARE_FILES
        needs = {str(one): session.descriptors(session.by_driver(load, one)) for one in DRIVERS}
        needs |= {tool.name: session.descriptors(load) for tool in self.tools if tool.able(load)}
        return [name for name, needed in needs.items() if needed <= room]


async def compare(kit: Kit, cases: Sequence[Case], rounds: int, results: Results) -> None:
    """Every tool under every load, the tools taking turns."""
    for number in range(1, rounds + 1):
        for case in cases:
            for name in kit.able(case.load):
                if case.tools is None or name in case.tools:
                    what = f"{case}, round {number}"
                    await results.attempt(case.section, what, name, measure(kit, case, name, number))


async def measure(kit: Kit, case: Case, name: str, number: int) -> Reading:
    """One tool under one load, in a lab of its own. Raises one of `FAILURES`."""
    load = case.load
    if case.server == "nginx":
        load = session.served_by(load, nginx.argv(find_program("nginx") or "nginx"), nginx.files(load))
    tool = next((tool for tool in kit.tools if tool.name == name), None)
    load = session.by_command(load, tool.argv(load)) if tool else session.by_driver(load, Driver(name))
    with open_lab(session.lab_spec(load)) as lab:
        if case.held:
            await session.hold_time_waits(lab, case.held)
        async with session.start(lab, load) as client:
            with Probe(client) as probe:
                begun = probe.look()
                client.begin()
                looks = await watch(probe, client, case, begun)
                peak_kib = sum(map(command_peak_kib, client.client_pids))
                in_time = await client.ended(OVERTIME_S)
                ended = probe.look()
            own = tool.own_count(client.printed()) if tool else client.exchanges
    values = counted(load, looks) | {
        Quantity.PEAK_MIB: peak_kib / 1024,
        Quantity.AGREEMENT: agreement(load, own if in_time else None, begun, ended),
    }
    if load.load.open_loop:
        values |= punctuality(load.load.open_loop.rate, looks)
        if not tool:
            values |= {Quantity.DROPPED: client.dropped, **lateness(client.starts)}
    known = {quantity: value for quantity, value in values.items() if value is not None}
    return Reading(case.section, case.title, name, known, number, case.x)


async def watch(probe: Probe, client: session.Session, case: Case, begun: Look) -> list[Look]:
    """Look every 100 ms of the window, which ends early near the cliff. Raises FailedError."""
    warm_up_s, length_s = case.window
    await first_connection(probe, client, begun)
    await asyncio.sleep(warm_up_s)
    looks = [probe.look()]

    def near_the_cliff() -> bool:
        return client_closes(case.load) and probe.opened - begun.opened > BEFORE_THE_CLIFF

    for number in range(1, round(length_s / BIN_S) + 1):
        left_s = (looks[0].t_ns - monotonic_ns()) / SECOND_NS + number * BIN_S
        near = await until(near_the_cliff, left_s)
        looks.append(probe.look())
        if near:
            break
    if not client.running:
        raise session.FailedError(f"ended before the window did: {client.last_words()}")
    if not right_closer(case.load, looks[-1].opened - begun.opened, probe.time_wait):
        raise session.FailedError(f"the {case.load.connection.closer} did not close first")
    return looks


async def first_connection(probe: Probe, client: session.Session, begun: Look) -> None:
    """Wait until the server has a connection more than before the client began. Raises FailedError."""
    if not await until(lambda: probe.opened > begun.opened or not client.running, FIRST_CONNECTION_S):
        raise session.FailedError(f"made no connection in {FIRST_CONNECTION_S:.0f} s")
    if probe.opened == begun.opened:
        raise session.FailedError(f"made no connection: {client.last_words()}")


def right_closer(load: Variant, opened: int, time_wait: int) -> bool:
    """Whether the side that was to close first did: the server's side has TIME-WAITs if it closed (K1)."""
    if client_closes(load):
        return time_wait <= STRAY * opened
    return not is_short(load) or time_wait > 0


def counted(load: Variant, looks: Sequence[Look]) -> dict[Quantity, float | None]:
    """What happened between the first look and the last. Costs of each are absent if nothing happened."""
    before, after = looks[0], looks[-1]
    elapsed_ns = after.t_ns - before.t_ns
    number = after.opened - before.opened if is_short(load) else after.requested - before.requested
    user_ns, system_ns = after.user_ns - before.user_ns, after.system_ns - before.system_ns
    return {
        Quantity.PER_S: number * SECOND_NS / elapsed_ns,
        Quantity.USER_US: user_ns / 1000 / number if number else None,
        Quantity.SYSTEM_US: system_ns / 1000 / number if number else None,
        Quantity.CLIENT_CORE: (user_ns + system_ns) / elapsed_ns,
        Quantity.SERVER_CORE: (after.server_ns - before.server_ns) / elapsed_ns,
    }


def agreement(load: Variant, own: int | None, begun: Look, ended: Look) -> float | None:
    """A tool's own count of responses over the kernel's. It lacks what was in flight when the tool ended."""
    opened = ended.opened - begun.opened
    # A connection's FIN counts as a segment with data and is taken off.
    kernel = opened if is_short(load) else ended.requested - begun.requested - opened
    return own / kernel if own is not None and kernel > 0 else None


def punctuality(asked_per_s: float, looks: Sequence[Look]) -> dict[Quantity, float | None]:
    """The rate in each bin as a part of the asked one, by the time that really passed."""
    bins = [
        (after.opened - before.opened) * SECOND_NS / (after.t_ns - before.t_ns) / asked_per_s
        for before, after in pairwise(looks)
    ]
    return dict(zip(BINS, (min(bins), median(bins), max(bins)), strict=True))


def lateness(starts: Distribution) -> dict[Quantity, float | None]:
    """How late the connections of an open loop began, in ms; absent if none did."""
    late_ns = {quantity: starts.quantile_ns(quantile) for quantity, quantile in LATE.items()}
    return {quantity: None if late is None else late / 1e6 for quantity, late in late_ns.items()}
