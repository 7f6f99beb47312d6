"""All that a run of the bench found, and its JSON."""

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import click

from bench.machine import Environment
from bench.session import FAILURES
from bench.studies import Section
from loadgen.wire.codec import plain

SCHEMA_VERSION = 3
FILE = "results.json"


class Quantity(StrEnum):
    """What a reading has a number for."""

    PER_S = "per_s"
    """Connections a second by the server's kernel; on kept connections exchanges, by the client's kernel."""
    USER_US = "user_us"
    """The client's CPU time in user space for each of them, in µs; for `held`, all CPU time to open one."""
    SYSTEM_US = "system_us"
    """In the kernel. Packets handled in an interrupt are charged to no process: the core spends more."""
    CLIENT_CORE = "client_core"
    """The part of a core that the client used; or the sampler; or for `held`, to hold all of them."""
    SERVER_CORE = "server_core"
    """The part of a core that the server used. Near 1 it was the limit; if both are low, other programs were
    at work, and the rate is worth little."""
    PEAK_MIB = "peak_mib"
    """The most memory that the client used (VmHWM, summed over its processes)."""
    AGREEMENT = "agreement"
    """The tool's own count of responses over the kernel's."""
    LEAST_BIN = "least_bin"
    """Of an open loop: the rate over the asked one, in the slowest 100 ms."""
    MIDDLE_BIN = "middle_bin"
    MOST_BIN = "most_bin"
    LATE_P50 = "late_p50_ms"
    """Of an open loop of churn's: how long after its instant a connection began, over all of them."""
    LATE_P99 = "late_p99_ms"
    LATE_P999 = "late_p999_ms"
    LATE_P9999 = "late_p9999_ms"
    LATE_MOST = "late_most_ms"
    DROPPED = "dropped"
    """Starts given up because the most connections were in flight."""
    KIB_EACH = "kib_each"
    """Memory of a connection that is held open."""
    SAMPLE_MS = "sample_ms"
    """What a sample takes, mean: few of them walk the sockets if there are many."""
    CPU_US = "cpu_us"
    """CPU time of both sides for each connection, and of the capture where there is one."""
    CPU_OPEN_US = "cpu_open_us"
    """Of the first seconds, in which the capture's taps are open."""
    CPU_LATER_US = "cpu_later_us"
    START_MS = "start_ms"
    """From the exec of a command to its end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One tool under one load, measured once. `values` has what is known: absent is not zero.

    `x` is the number that a study goes through: bytes, connections, TIME-WAITs, a rate.
    """

    section: Section
    title: str
    tool: str
    values: Mapping[Quantity, float]
    round: int = 1
    x: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A measurement that is not there, and why."""

    section: Section
    what: str
    tool: str
    why: str


@dataclass(slots=True)
class Results:
    """Grows measurement by measurement, and can be written at any time."""

    environment: Environment
    readings: list[Reading] = field(default_factory=list[Reading])
    missing: list[Missing] = field(default_factory=list[Missing])
    complete: bool = False

    async def attempt(self, section: Section, what: str, tool: str, measuring: Awaitable[Reading]) -> None:
        """Keep the reading, or why there is none; report it as progress."""
        try:
            reading = await measuring
        except FAILURES as error:
            self.missing.append(Missing(section, what, tool, str(error)))
            click.echo(f"{section}: {what}: {tool}: {error}", err=True)
        else:
            self.readings.append(reading)
            quantity, value = next(iter(reading.values.items()))
            click.echo(f"{section}: {what}: {tool}: {quantity} {value:,.2f}", err=True)

    def of(self, *sections: Section) -> list[Reading]:
        """The readings of these sections."""
        return [reading for reading in self.readings if reading.section in sections]

    def write(self, directory: Path) -> Path:
        path = directory / FILE
        path.write_text(json.dumps({"schema_version": SCHEMA_VERSION, **plain(self)}, indent=1) + "\n")
        return path
