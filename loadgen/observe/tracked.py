"""A NAT's conntrack, read for each sample; its entries less often if that is expensive."""

from collections.abc import Sequence

from loadgen.kernel import conntrack
from loadgen.observe.paced_dump import PacedDump
from loadgen.records.conntrack import Conntrack
from loadgen.records.viewpoints import Viewpoint

SHARE = 40
"""Dumps take one part in so many of a core. The kernel walks over every bucket of the host's hash, so that a
dump of an empty table takes 2 to 5 ms, and each entry adds 2 us."""


class TrackedConnections:
    """The kernel's sources of one namespace's conntrack, opened while this process is inside."""

    def __init__(self) -> None:
        """Raises OSError if the kernel has no conntrack."""
        self._table = conntrack.Conntrack()
        self._stat = conntrack.open_stat()
        self._entries = PacedDump(self._table.dump, share=SHARE)

    def read(self, *, fresh: bool) -> Conntrack:
        """What a sample has of it; a `fresh` one has no entries from a dump before."""
        entries, age_ns = self._entries.read(fresh=fresh)
        stat = self._stat.read()
        return Conntrack(entries, age_ns, stat.count, stat.counters)


def tracked_at(node: str, viewpoints: Sequence[Viewpoint]) -> dict[str, TrackedConnections]:
    """The conntrack of the node whose namespace this thread is in, by the viewpoint of a NAT on it."""
    return {one.name: TrackedConnections() for one in viewpoints if one.node == node and one.pool is not None}
