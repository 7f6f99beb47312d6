"""Caveats about what makes the load: another driver than the best, too slow, late, or reading in pieces."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.caveats.core_use import WAITED, command_use, core_use, shared_cores
from loadgen.analysis.caveats.script import paused
from loadgen.records.events import DriverChosen
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Side

LATE_STARTS = 0.01
"""The share of starts that may be later than the scenario's bound: more moves the 99th percentile."""
OVERFLOWS = 0.01
"""SYNs that a full accept queue drops, for each connection, from which on clients wait for the server."""
MOST_READS = 10
"""Reads for each response, on average, beyond which their number is reported: 1 MB takes the uring driver
two, and a driver that reads what has arrived seven, by TCP's slow start alone."""

DRIVER_FALLBACK = CaveatKind("driver_fallback")


def driver_fallback(case: Case) -> Iterator[Caveat]:
    event = case.fold.event(DriverChosen)
    if event and event.lacking:
        yield Caveat(
            DRIVER_FALLBACK,
            f"the {event.driver} driver made the load: {event.why}",
            "compare its rate only with rates of the same driver; `churn doctor` shows what io_uring lacks",
        )


STARTS_LATE = CaveatKind("starts_late")


def starts_late(case: Case) -> Iterator[Caveat]:
    loop, started, late = case.variant.load.loop, case.fold.total("started"), case.fold.total("late")
    if not isinstance(loop, OpenLoop) or started is None or late is None:
        return
    ports = (case.fold.under_load().search, case.fold.under_load().shortage)
    explained = sum(one.late for one in ports if one is not None)
    late -= explained
    if late <= LATE_STARTS * started:
        return
    besides = ", for which neither a search for ports nor a lack of them is the reason" if explained else ""
    use = core_use(case, Side.CLIENT)
    why = "" if use is None else f"; {use}"
    if use and not use.saturated and use.most.waited < WAITED:
        why += ", so something else delayed it"
    if paused(case.fold.events, Side.CLIENT):
        yield Caveat(
            STARTS_LATE,
            f"{late:,} of {started:,} starts were later than {loop.late}: the script paused the load",
            "use response times, which count from the intended start",
        )
        return
    yield Caveat(
        STARTS_LATE,
        f"{late:,} of {started:,} starts were later than {loop.late}{besides}: the load was not the one asked"
        f" for{why}{shared_cores(case)}",
        "lower the rate, free the machine's cores, or raise load.workers if there are more cores",
        invalidates=True,
    )


STARTS_DROPPED = CaveatKind("starts_dropped")


def starts_dropped(case: Case) -> Iterator[Caveat]:
    dropped, offered = case.fold.total("dropped"), case.fold.total("offered")
    loop = case.variant.load.open_loop
    if loop is not None and dropped:
        yield Caveat(
            STARTS_DROPPED,
            f"{dropped:,} of {offered:,} starts were dropped: {loop.connections:,} connections were open or"
            " waiting to be opened, or the load ended before their turn",
            "lower the rate, or raise load.open_loop.connections if the server is what is slow",
        )


GENERATOR_SATURATED = CaveatKind("generator_saturated")


def generator_saturated(case: Case) -> Iterator[Caveat]:
    """A busy generator, unless the server explains it: it is busy too, or its accept queue overflows."""
    if cause := command_use(case, Side.CLIENT):
        remedy = "let it use more threads or processes if the machine has cores: load.command"
        yield Caveat(GENERATOR_SATURATED, cause, remedy)
    use, server = core_use(case, Side.CLIENT), core_use(case, Side.SERVER)
    overflows = case.fold.kernel()[Side.SERVER].get("ListenOverflows", 0)
    full_queue = overflows > OVERFLOWS * (case.fold.total("opened") or 0)
    if use is None or not use.saturated or (server and server.saturated) or full_queue:
        return
    if case.variant.load.open_loop:
        limit = "latencies include time that requests waited for the generator"
        remedy = "lower the rate before you use the latencies"
    else:
        limit = "it limits the rate, but not the states"
        remedy = "use the rate as a lower bound; an open loop of a lower rate leaves headroom"
    yield Caveat(
        GENERATOR_SATURATED,
        f"{use}: {limit}{shared_cores(case)}",
        f"{remedy}, or raise load.workers if the machine has cores",
    )


READ_IN_PIECES = CaveatKind("read_in_pieces")


def read_in_pieces(case: Case) -> Iterator[Caveat]:
    reads, exchanges, connected = (case.fold.total(name) for name in ("reads", "exchanges", "connected"))
    if reads is None or exchanges is None or connected is None:
        return
    # A connection without a whole response has at least begun one.
    responses = max(exchanges, connected)
    if reads > MOST_READS * responses > 0:
        yield Caveat(
            READ_IN_PIECES,
            f"the driver read each response in {reads / responses:.0f} pieces on average: rate and response"
            " times include the time that the driver takes for each piece",
            "compare with another driver (load.driver), and client.busy with a full core; if the server sends"
            " small pieces or chunks, this cannot be avoided",
        )


RULES: tuple[Rule, ...] = (driver_fallback, starts_late, starts_dropped, generator_saturated, read_in_pieces)
