"""What the kernels at both ends of a leg, and a driver, count for so many connections of each entry."""

from collections import Counter
from collections.abc import Mapping

from loadgen.analysis.counts import Counted
from loadgen.ledger.entries import ENTRIES
from loadgen.ledger.entry import FIN, FINS, ROWS
from loadgen.tcp import Ending, Side

BY_NAME = {entry.name: entry for entry in ENTRIES}
OTHERS = ("CurrEstab", "ListenOverflows", "OutRsts")
"""Counters that no entry adds up to: the gauges and witnesses."""

Counters = dict[str, int]
Kernels = dict[Side, Counters]


def zeros() -> Counters:
    return dict.fromkeys([*(row for row in ROWS if row != FIN), *FINS, *OTHERS], 0)


def met(mix: Mapping[str, int], **seen: Ending) -> tuple[Kernels, Counted]:
    """The counters of both kernels, and what a driver counts that saw entries as `seen` says, or as usual."""
    kernels = {side: zeros() for side in Side}
    closes = Counter[Ending]()
    late_data = given_up = 0
    for name, count in mix.items():
        entry = BY_NAME[name]
        for side, counters in kernels.items():
            for row, moved in entry.moves(side).items():
                counters[FINS[0] if row == FIN else row] += moved * count
        for side, witness in entry.witness:
            kernels[side][witness] += count
        if entry.gauge:
            kernels[Side.CLIENT][entry.gauge] += count
        if entry.counted_as:
            closes[seen.get(name, entry.counted_as[0])] += count
        given_up += entry.given_up * count
        late_data += entry.late_data * count
    attempts, connected = kernels[Side.CLIENT]["ActiveOpens"], closes.total()
    return kernels, Counted(
        attempts=attempts,
        opened=attempts,
        connected=connected,
        succeeded=connected,
        failed=attempts - connected,
        given_up=given_up,
        closes=closes,
        server_fin_reset=late_data,
    )


def together(kernels: Mapping[Side, Mapping[str, int]]) -> Kernels:
    """The counters of both sides, if one namespace has them: each side shows the sums."""
    both = {name: sum(kernels[side][name] for side in Side) for name in kernels[Side.CLIENT]}
    return {side: dict(both) for side in Side}
