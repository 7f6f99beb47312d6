"""Settings that contradict bursts of arrivals, or the client's pool."""

from collections.abc import Iterator

from loadgen.scenario.choices import Arrivals, Driver
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.tcp import Close, Closer

_POOL = "load.pool"
_BURST = "load.open_loop.burst"


def burst_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between bursts and the rest of the load."""
    load, loop = settings.load, settings.load.open_loop
    if loop is None or load.driver is Driver.COMMAND:
        return
    if loop.arrivals is not Arrivals.BURSTS:
        if loop.burst is not None:
            message = f"is the size of a burst, and arrivals is {loop.arrivals}"
            yield Conflict((_BURST,), message, "write arrivals: bursts, or remove the key")
        return
    if loop.burst is None:
        message = "how many arrive at one instant is not said"
        yield Conflict(
            ("load.open_loop.arrivals",), message, "write open_loop: {arrivals: bursts, burst: 50}"
        )
        return
    stages = [(stage.level, stage.lasts) for stage in load.stages] or [(loop.rate, load.duration)]
    offered = sum(level * lasts for level, lasts in stages) / 1e9
    if loop.burst > offered:
        yield Conflict(
            (_BURST, "load.open_loop.rate", "load.duration"),
            f"the load has {offered:,.10g} requests, and one burst {loop.burst:,}",
            f"lower {_BURST}, or load for longer",
        )


def pool_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between the client's pool and the rest."""
    connection, load = settings.connection, settings.load
    if load.pool is None or load.driver is Driver.COMMAND:
        return
    if connection.requests == 1:
        yield Conflict(
            (_POOL, "connection.requests"),
            "keeps idle connections, and with one request on each none is ever idle",
            "raise connection.requests, or remove the key",
        )
    if load.open_loop is None:
        yield Conflict(
            (_POOL, "load.closed_loop"),
            "in a closed loop each connection is used again by its own client, and the pool closes none",
            "write load.open_loop: {rate: 100/s}, or remove the key",
        )
    elif load.pool.idle > load.open_loop.connections:
        yield Conflict(
            (f"{_POOL}.idle", "load.open_loop.connections"),
            f"the load has at most {load.open_loop.connections:,} connections, so that no more are ever idle",
            "lower load.pool.idle, or raise load.open_loop.connections",
        )
    if connection.closer in (Closer.BOTH, Closer.NOBODY) or connection.close not in (Close.FIN, Close.RST):
        yield Conflict(
            (_POOL, "connection.closer", "connection.close"),
            f"what its pool has no place for, the client closes by FIN or RST, and not by {connection.way}",
            "use closer: client or server with close: fin or rst, or remove the key",
        )
    if load.workers > load.pool.idle:
        yield Conflict(
            ("load.workers", f"{_POOL}.idle"),
            f"{load.workers} load workers share a pool of {load.pool.idle}, and some have no place in it",
            "use fewer workers, or raise load.pool.idle",
        )
