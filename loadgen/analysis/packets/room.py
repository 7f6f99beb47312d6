"""Whether a side's kernel had room for a TIME-WAIT, by a run's records. Pure."""

from collections.abc import Iterable

from loadgen.records.events import LabOpened
from loadgen.tcp import Side

BUCKETS = "net.ipv4.tcp_max_tw_buckets"


def roomless(records: Iterable[object]) -> frozenset[Side]:
    """The sides whose kernels destroyed each TIME-WAIT at once, because this sysctl was 0 (K14)."""
    for one in records:
        if isinstance(one, LabOpened):
            return frozenset(side for side in Side if one.sysctls.get(side, {}).get(BUCKETS) == "0")
    return frozenset()
