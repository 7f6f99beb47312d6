"""How much of their cores the load workers and the server workers used, for the caveats about either.

A load that reaches a limit looks the same whatever the limit is. The client's ports, the kernel's search for
them and a busy server are results. A busy generator is a flaw of the measurement, and is reported only for
what none of the others explains.
"""

from dataclasses import dataclass

from loadgen.analysis.caveats.case import Case
from loadgen.analysis.cores import Core
from loadgen.records.events import Processes
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Side

SATURATED = 0.95
"""The share of a core at which a process has no headroom left."""
WAITED = 0.02
"""The share of the time that a process has to wait for a core before it is reported."""
LEAST_NS = 500_000_000
"""The shortest time that CPU shares are judged over: they are counted in ticks of 10 ms."""
SAMPLERS = 1
"""Processes that need a core now and then, beside the workers."""


@dataclass(frozen=True, slots=True)
class CoreUse:
    """What the workers of a side used of their cores on average, and what the busiest of them used."""

    who: str
    workers: int
    mean: float
    most: Core

    @property
    def saturated(self) -> bool:
        """Whether a worker used all of its core: time that it waited for the core counts as used."""
        return self.most.wanted >= SATURATED

    def __str__(self) -> str:
        waited = (
            f", and waited for it {self.most.waited:.0%} of the time" if self.most.waited >= WAITED else ""
        )
        if self.workers == 1:
            return f"the {self.who} used {self.most.used:.0%} of its core{waited}"
        if self.mean >= SATURATED or not self.saturated:
            return f"the {self.who} used {self.mean:.0%} of each of its {self.workers} cores{waited}"
        return (
            f"one of the {self.who}'s {self.workers} workers used {self.most.used:.0%} of its core{waited};"
            f" on average they used {self.mean:.0%}"
        )


def core_use(case: Case, side: Side) -> CoreUse | None:
    """None if the time is too short to judge, and for a command: its processes are not churn's.

    The workers are judged by what came before the search for ports, and before the ports ran out: after that
    a core shows the search, or how fast connect() fails.
    """
    variant, fold = case.variant, case.fold
    search, shortage = fold.under_load().search, fold.under_load().shortage
    until_ns = fold.load_end_ns()
    if search is not None:
        until_ns = min(until_ns, search.since_ns)
    if shortage is not None and shortage.lasting_ns is not None:
        until_ns = min(until_ns, shortage.lasting_ns)
    if until_ns < LEAST_NS or is_command(variant, side):
        return None
    who, workers = (
        ("generator", variant.load.workers) if side is Side.CLIENT else ("server", variant.server.workers)
    )
    mean = fold.busy(side, until_ns) / workers
    each = fold.cores(side, until_ns) or [Core(mean, 0.0)]
    return CoreUse(who, workers, mean, max(each, key=lambda core: core.wanted))


def command_use(case: Case, side: Side) -> str:
    """What a command used if that is a core or more: only the sum of its processes and threads is known."""
    share = case.fold.busy(side)
    if share < SATURATED or not is_command(case.variant, side):
        return ""
    part = "load" if side is Side.CLIENT else "server"
    return f"the {part}'s command used {share:.0%} of a core in all: if it is one thread, it limits the rate"


def is_command(variant: Variant, side: Side) -> bool:
    if side is Side.CLIENT:
        return variant.load.driver is Driver.COMMAND
    return variant.server.kind is ServerKind.COMMAND


def shared_cores(case: Case) -> str:
    """A remark if there are fewer cores than processes that need one, else empty."""
    event = case.fold.event(Processes)
    cpus = event.cpus if event else None
    load, server = case.variant.load.workers, case.variant.server.workers
    if cpus is None or load + server + SAMPLERS <= cpus:
        return ""
    return f" ({load} load and {server} server workers and the sampler share {cpus} cores)"
