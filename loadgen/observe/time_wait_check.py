"""The sampler's shortcut to TIME-WAIT, checked: sockstat beside a dump of every socket (K17, K20)."""

from collections.abc import Callable

from loadgen.kernel.socket_table import SocketTable
from loadgen.records.events import BothWays
from loadgen.tcp import State

TRIES = 3
"""How often the two are compared at most, where TIME-WAITs come or go meanwhile. They expire in bursts, about
two seconds apart (K2): the next try mostly finds them at rest."""


def both_ways(tw: Callable[[], int], dump: Callable[[], SocketTable]) -> BothWays:
    """Read sockstat's `tw`, dump all, and read again, until the readings agree: `TRIES` times at most."""
    before, table, after = tw(), dump(), tw()
    tries = 1
    while before != after and tries < TRIES:
        before, table, after = after, dump(), tw()
        tries += 1
    # Both readings count the orphans in FIN-WAIT-2, too (K17).
    minisockets = table.fin_wait_2_minisockets()
    least, most = (reading - minisockets for reading in sorted((before, after)))
    dumped = table.counts().get(State.TIME_WAIT, 0)
    return BothWays(min(max(dumped, least), most), dumped)
