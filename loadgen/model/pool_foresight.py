"""What the client's pool leads to, in words: which connections are short and could be kept. Pure."""

from collections.abc import Iterator

from loadgen.model.course import at_once, burst_s, surplus
from loadgen.scenario.choices import Arrivals
from loadgen.scenario.document import Variant
from loadgen.text.numbers import count, duration

_SETTINGS = ("load.pool.idle", "load.open_loop.burst")


def pooled(variant: Variant) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sentences about the pool, each with the settings that it follows from."""
    loop, pool = variant.load.open_loop, variant.load.pool
    if loop is None or pool is None:
        return
    if loop.arrivals is Arrivals.POISSON:
        yield (
            f"requests overlap by chance: how many connections find no place in a pool of {count(pool.idle)}"
            " is not foreseen",
            ("load.pool.idle", "load.open_loop.arrivals"),
        )
    elif closed := surplus(variant):
        size, every = at_once(loop), duration(burst_s(loop))
        yield (
            f"of the {count(size)} requests of a burst, one every {every}, {count(size - closed)} find an"
            f" idle connection and {count(closed)} open one: {count(closed)} of {count(size)} connections are"
            f" short, because load.pool.idle is {count(pool.idle)} and the client closes those beyond",
            (*_SETTINGS, "connection.requests"),
        )
    elif loop.burst:
        yield (
            f"the pool has a place for each of the {count(at_once(loop))} connections of a burst: none is"
            " closed for want of one",
            _SETTINGS,
        )
