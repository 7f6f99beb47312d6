"""What was full: the client's ports, the kernel's search for them, the server or the generator. They are told
apart, and told once.

Pure. The ports, the search and a full server are findings. A full generator is a flaw of the measurement,
and is blamed only for what none of them explains.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.analysis.caveats import Caveat, CaveatKind
from loadgen.analysis.fold import Fold
from loadgen.analysis.headroom import Core, Exhaustion, Search
from loadgen.records.events import Processes
from loadgen.scenario.choices import Driver
from loadgen.scenario.models import OpenLoop, ServerKind, Variant
from loadgen.tcp import Side

SATURATED = 0.95
"""The share of a core at which a process has no headroom left."""
LATE_STARTS = 0.01
"""The share of starts that may be later than the scenario's bound: more moves the 99th percentile."""
OVERFLOWS = 0.01
"""SYNs that a full accept queue drops, for each connection, from which on the server is waited for."""
WAITED = 0.02
"""The share of the time that a process has to wait for a core before that is worth a word."""
LEAST_NS = 500_000_000
"""The shortest time that CPU shares are judged over: they are counted in ticks of 10 ms."""
SAMPLERS = 1
"""Processes that need a core now and then, beside the workers."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """How much of their cores the workers of a side used on average, and what the fullest of them had."""

    who: str
    workers: int
    mean: float
    most: Core

    @property
    def full(self) -> bool:
        """Whether a worker had no time to spare: what it waited for a core it would have used."""
        return self.most.wanted >= SATURATED

    def __str__(self) -> str:
        waited = (
            f", and waited for it {self.most.waited:.0%} of the time" if self.most.waited >= WAITED else ""
        )
        if self.workers == 1:
            return f"the {self.who} used {self.most.used:.0%} of its core{waited}"
        if self.mean >= SATURATED or not self.full:
            return f"the {self.who} used {self.mean:.0%} of each of its {self.workers} cores{waited}"
        return (
            f"one of the {self.who}'s {self.workers} workers used {self.most.used:.0%} of its core{waited};"
            f" on average they used {self.mean:.0%}"
        )


def saturation(variant: Variant, fold: Fold) -> Iterator[Caveat]:
    """Every caveat about what was full."""
    search = fold.search()
    if search is not None:
        yield _port_search(search, fold)
    exhaustion = fold.exhaustion()
    if exhaustion is not None and exhaustion.late:
        yield _ports_gone(exhaustion)
    # The workers are judged by what came before either: then a search is what is seen, or how fast one fails.
    until_ns = fold.load_end_ns()
    if search is not None:
        until_ns = min(until_ns, search.since_ns)
    if exhaustion is not None and exhaustion.lasting_ns is not None:
        until_ns = min(until_ns, exhaustion.lasting_ns)
    explained = sum(one.late for one in (search, exhaustion) if one is not None)
    generator = _fullness(variant, fold, Side.CLIENT, until_ns)
    server = _fullness(variant, fold, Side.SERVER, until_ns)
    crowd = _crowd(variant, fold)
    yield from _late(variant, fold, explained, generator, crowd)
    for side in Side:
        yield from _command(variant, fold, side)
    if server and server.full:
        yield _server(variant, server, crowd)
    overflowing = fold.kernel()[Side.SERVER].get("ListenOverflows", 0) > OVERFLOWS * fold.count("opened")
    if generator and generator.full and not ((server and server.full) or overflowing):
        yield _generator(variant, generator, crowd)


def _fullness(variant: Variant, fold: Fold, side: Side, until_ns: int) -> Fullness | None:
    """None where the time is too short to tell, and of a command, whose processes are its own affair."""
    if until_ns < LEAST_NS or _is_command(variant, side):
        return None
    who, workers = (
        ("generator", variant.load.workers) if side is Side.CLIENT else ("server", variant.server.workers)
    )
    mean = fold.busy(side, until_ns) / workers
    each = fold.cores(side, until_ns) or [Core(mean, 0.0)]
    return Fullness(who, workers, mean, max(each, key=lambda core: core.wanted))


def _is_command(variant: Variant, side: Side) -> bool:
    if side is Side.CLIENT:
        return variant.load.driver is Driver.COMMAND
    return variant.server.kind is ServerKind.COMMAND


def _command(variant: Variant, fold: Fold, side: Side) -> Iterator[Caveat]:
    """Of a command only the sum is known, over as many processes and threads as it likes."""
    share = fold.busy(side)
    if share < SATURATED or not _is_command(variant, side):
        return
    kind, part = (
        (CaveatKind.GENERATOR_SATURATED, "load")
        if side is Side.CLIENT
        else (CaveatKind.SERVER_SATURATED, "server")
    )
    yield Caveat(
        kind,
        f"the {part}'s command used {share:.0%} of a core in all: if it is one thread, it limits the rate",
        f"let it use more threads or processes where the machine has cores: {part}.command",
    )


def _crowd(variant: Variant, fold: Fold) -> str:
    """That there are fewer cores than processes in need of one, where it is so."""
    event = fold.event(Processes)
    load, server = variant.load.workers, variant.server.workers
    if event is None or load + server + SAMPLERS <= event.cpus:
        return ""
    return f" ({load} load and {server} server workers and the sampler share {event.cpus} cores)"


def _port_search(search: Search, fold: Fold) -> Caveat:
    before = "" if search.before_ns is None else f" instead of {_microseconds(search.before_ns)}"
    late = f"; {search.late:,} starts were late for it" if search.late else ""
    return Caveat(
        CaveatKind.PORT_SEARCH,
        f"from {search.since_ns / 1e9:.1f} s on, with {search.ports_held:,} of {fold.ports:,} ports held,"
        f" connect() took {search.share:.0%} of the generator's time, {_microseconds(search.call_ns)} a call"
        f"{before}: the kernel's search for a free port is the limit (K8), and a finding{late}",
        "make fewer connections (keep them for more requests), let the server close, use more source"
        " addresses or ports, or spare the search by IP_LOCAL_PORT_RANGE (K9)",
    )


def _ports_gone(exhaustion: Exhaustion) -> Caveat:
    return Caveat(
        CaveatKind.PORTS_GONE,
        f"from {exhaustion.since_ns / 1e9:.1f} s on the client lacked ports, and attempts failed for it:"
        f" {exhaustion.late:,} starts were late meanwhile, which does not count against the generator",
        "read rates and latencies until then; more source addresses or ports, or a server that closes, put it"
        " off",
    )


def _late(
    variant: Variant, fold: Fold, explained: int, generator: Fullness | None, crowd: str
) -> Iterator[Caveat]:
    loop, started = variant.load.loop, fold.count("started")
    late = fold.count("late") - explained
    if not isinstance(loop, OpenLoop) or late <= LATE_STARTS * started:
        return
    besides = " that neither a search for ports nor a lack of them explains" if explained else ""
    why = "" if generator is None else f"; {generator}"
    if generator and not generator.full and generator.most.waited < WAITED:
        why += ", and was held up all the same"
    yield Caveat(
        CaveatKind.STARTS_LATE,
        f"{late:,} of {started:,} starts were later than {loop.late}{besides}: the load was not the one asked"
        f" for{why}{crowd}",
        "lower the rate, free the machine's cores, or raise load.workers where there are more",
        invalidates=True,
    )


def _server(variant: Variant, server: Fullness, crowd: str) -> Caveat:
    limit = (
        "responses wait for it, and not for the generator" if variant.load.open_loop else "it limits the rate"
    )
    return Caveat(
        CaveatKind.SERVER_SATURATED,
        f"{server}: {limit}{crowd}",
        "raise server.workers where the machine has cores",
    )


def _generator(variant: Variant, generator: Fullness, crowd: str) -> Caveat:
    if variant.load.open_loop:
        limit, remedy = "latencies hold its own waits", "lower the rate before reading latencies"
    else:
        limit = "it limits the rate, and not the states"
        remedy = "read the rate as a lower bound; an open loop of a lower rate leaves headroom"
    return Caveat(
        CaveatKind.GENERATOR_SATURATED,
        f"{generator}: {limit}{crowd}",
        f"{remedy}, or raise load.workers where the machine has cores",
    )


def _microseconds(time_ns: int) -> str:
    return f"{time_ns / 1e3:,.0f} µs"
