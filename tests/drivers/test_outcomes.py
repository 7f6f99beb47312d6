"""Hostile servers: all drivers have the outcomes of one table, the kernel's counts, and bounded memory."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loadgen.drivers.messages import WorkerMessage
from loadgen.drivers.plan import ClosedLoop
from loadgen.engine.child import Child
from loadgen.lab.topology import client_server_lab
from loadgen.records.types import Interval
from loadgen.scenario.choices import Driver
from loadgen.wire.messages import Stop
from tests.drivers.driving import MS_NS, PATIENT, Bench, Driven, bench, misbehaving
from tests.drivers.hostile import AT_ACCEPT, SERVERS
from tests.drivers.misbehaving import BEHAVIOURS
from tests.drivers.outcomes import DIFFERENT, OUTCOMES, UNDECIDED, Outcome, outcome_of

DRIVERS = (Driver.PROTOCOL, Driver.URING, Driver.AIOHTTP)
AT_ONCE = 3
"""So many workers share the machine."""
BATCHES = [tuple(OUTCOMES)[first : first + AT_ONCE] for first in range(0, len(OUTCOMES), AT_ONCE)]
HARMLESS = "head_then_body"
MOST_GROWTH_KIB = 32 * 1024
"""What a hostile server may cost a worker of two connections beyond a harmless one, many times what it does.
Where bodies are kept, an endless one costs hundreds of MiB within the time of one response."""
TIMEOUTS = replace(PATIENT, response_ns=300 * MS_NS)


@pytest.fixture(scope="module")
def pair() -> Iterator[Bench]:
    with bench(client_server_lab(), forking=True) as made:
        yield made


@pytest.fixture(scope="module")
def ports(pair: Bench) -> Iterator[dict[str, int]]:
    with misbehaving(pair) as ports:
        yield ports


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker counted, and the most memory that it had, in KiB."""

    driven: Driven
    peak_kib: int

    @property
    def outcome(self) -> Outcome:
        return Outcome(frozenset(self.driven.errors), frozenset(self.driven.closes))


def peak_kib(pid: int) -> int:
    """VmHWM; 0 where the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


async def see(pair: Bench, driver: Driver, port: int) -> Seen:
    """Drive until two attempts are over, on connections that are good for two exchanges."""
    ended = peak = 0

    def heard(child: Child[WorkerMessage], message: WorkerMessage | None) -> None:
        nonlocal ended, peak
        peak = max(peak, peak_kib(child.pid))
        if isinstance(message, Interval):
            ended += message.succeeded + sum(message.errors.values())
        if ended >= 2:
            child.send(Stop())

    asked = {"requests": 2, "loop": ClosedLoop(2), "timeouts": TIMEOUTS, "duration_ns": 60_000 * MS_NS}
    plan = pair.plan(port, driver=driver, **asked)
    return Seen(await pair.drive(plan, heard), peak)


@pytest.fixture(scope="module")
def harmless_kib(pair: Bench, ports: dict[str, int]) -> dict[Driver, int]:
    """The memory of a worker of each driver that meets no harm."""
    return {driver: pair.run(see(pair, driver, ports[HARMLESS])).peak_kib for driver in DRIVERS}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("names", BATCHES, ids=lambda names: names[0])
def test_all_drivers_have_the_outcomes_of_one_table(
    pair: Bench,
    ports: dict[str, int],
    harmless_kib: dict[Driver, int],
    driver: Driver,
    names: tuple[str, ...],
) -> None:
    async def main() -> list[Seen]:
        async with pair.audited() as loads:
            seen = await asyncio.gather(*(see(pair, driver, ports[name]) for name in names))
            loads += (each.driven for each in seen)
        return seen

    found = dict(zip(names, pair.run(main()), strict=True))
    for name, seen in found.items():
        seen.driven.check()
        expected, outcome = outcome_of(driver, name), seen.outcome
        # Where luck decides between two, either may be the only one seen.
        assert outcome.errors <= expected.errors, name
        assert outcome.closes <= expected.closes, name
        assert seen.driven.total("succeeded") == (0 if expected.errors else seen.driven.total("attempts")), (
            name
        )
        assert 0 < seen.peak_kib <= harmless_kib[driver] + MOST_GROWTH_KIB, name


def test_no_hostile_server_is_without_an_outcome() -> None:
    elsewhere = {getattr(behaviour, "__name__", "") for behaviour in BEHAVIOURS}
    assert {*SERVERS, *AT_ACCEPT} - elsewhere == {*OUTCOMES, *UNDECIDED}
    assert {name for _, name in DIFFERENT} <= set(OUTCOMES)
