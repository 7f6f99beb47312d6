"""All that a bench run found, and its JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import Environment
from bench.reading import Failed, Reading, Study
from loadgen.records.latency import Counts
from loadgen.wire.codec import plain

SCHEMA_VERSION = 2
FILE = "results.json"

Say = Callable[[str], None]
"""Tells the progress."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after its instant each connection of an open loop began: all starts of one run.

    `over_1ms`, `over_2ms` are the parts of the starts that were later than that.
    """

    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int
    over_1ms: float
    over_2ms: float

    @classmethod
    def of(cls, starts: Counts) -> "Lateness":
        """From what a driver tells: values rounded down to 12 significant bits, by 0.05 % at most."""

        def over(bound_ns: int) -> float:
            later = sum(
                count
                for value_ns, count in zip(starts.values_ns, starts.counts, strict=True)
                if value_ns > bound_ns
            )
            return later / sum(starts.counts)

        return cls(
            p50_ns=starts.quantile_ns(0.5),
            p99_ns=starts.quantile_ns(0.99),
            p999_ns=starts.quantile_ns(0.999),
            max_ns=starts.quantile_ns(1.0),
            over_1ms=over(1_000_000),
            over_2ms=over(2_000_000),
        )


@dataclass(frozen=True, slots=True)
class Punctuality:
    """An open loop, measured once.

    asked_per_s  the rate it was told
    per_s        what the server's kernel counted
    bins         the same over each 100 ms, as a part of what was asked for
    lateness     ours only, for no other tool tells
    dropped      ours only: starts given up, the most connections being in flight
    """

    tool: str
    asked_per_s: int
    per_s: float
    bins: tuple[float, ...]
    lateness: Lateness | None = None
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class SamplerCost:
    """The sampler at ten samples a second: part of a core, and the mean of what a sample takes, for few
    of them walk the sockets where that is dear."""

    time_wait: int
    share: float
    cost_ns: int
    samples: int


@dataclass(frozen=True, slots=True)
class HeldOpen:
    """Connections that idle in one worker: memory and CPU time for each, and the part of a core that holding
    all of them takes. `fewer` tells why they are fewer than were asked for, and is else empty."""

    tool: str
    connections: int
    kib_each: float
    us_each: float
    idle_share: float
    fewer: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a command, from exec to its end."""

    command: str
    round: int
    elapsed_ns: int


@dataclass(slots=True)
class Results:
    """Grows measurement by measurement; what is there can be written at any time."""

    environment: Environment
    readings: list[Reading] = field(default_factory=list[Reading])
    punctuality: list[Punctuality] = field(default_factory=list[Punctuality])
    sampler: list[SamplerCost] = field(default_factory=list[SamplerCost])
    held: list[HeldOpen] = field(default_factory=list[HeldOpen])
    starts: list[Start] = field(default_factory=list[Start])
    failed: list[Failed] = field(default_factory=list[Failed])
    complete: bool = False

    def of(self, *studies: Study) -> list[Reading]:
        """The readings of these studies."""
        return [reading for reading in self.readings if reading.study in studies]

    def write(self, directory: Path) -> Path:
        path = directory / FILE
        path.write_text(json.dumps({"schema_version": SCHEMA_VERSION, **plain(self)}, indent=1) + "\n")
        return path
