"""What a sample has of a NAT's conntrack."""

from collections.abc import Mapping

from msgspec import Struct

from loadgen.records.bounds import Count
from loadgen.tcp import Tracked


class Conntrack(Struct, frozen=True, forbid_unknown_fields=True):
    """The conntrack entries of one viewpoint at one instant.

    `entries` counts those of TCP by state, zeros left out, and `age_ns` is how long before the sample they
    were read: 0 but where reading is dear. `count` is all entries, read with the sample. `counters` are the
    kernel's own, cumulative since the namespace was made, under the kernel's names.
    """

    entries: Mapping[Tracked, Count]
    age_ns: Count
    count: Count
    counters: Mapping[str, Count]

    @property
    def under_way(self) -> int:
        """Entries of connections that have not ended: those in TIME_WAIT and CLOSE can be replaced (K28)."""
        return sum(count for state, count in self.entries.items() if not state.over)
