"""Rows of a run of any length: all of them while they are few, then buckets that keep their extremes.

Pure. A page shows some 600 points, so 500 buckets lose nothing that can be seen, if a spike
one row wide is kept. Counts of intervals are added up; numbers of sockets are levels, and are not.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Generic, TypeVar

from msgspec.structs import replace

from loadgen.records.conntrack import Conntrack
from loadgen.records.types import Interval, Sample, ViewpointSample, together
from loadgen.tcp import State

Row = TypeVar("Row", Interval, Sample)

MOST = 1_024
"""The most buckets. When all are full, each two become one."""
EXACT = 4
"""Buckets of so many rows keep each of them: seven minutes, 4,096 rows, are drawn as they were recorded."""
PENDING = 64
"""Rows of the bucket being filled before they are reduced."""


class Buckets(Generic[Row]):
    """Rows in order of time. `reduce` replaces the rows of a bucket by a few."""

    def __init__(self, reduce: Callable[[Sequence[Row]], list[Row]]) -> None:
        self._reduce = reduce
        self._full: list[list[Row]] = []
        self._open: list[Row] = []
        self._taken = 0
        self.size = 1
        """Records that a bucket holds."""

    @property
    def exact(self) -> bool:
        """Whether every row is a record."""
        return self.size <= EXACT

    @property
    def count(self) -> int:
        """How many buckets there are."""
        return len(self._full) + bool(self._open)

    @property
    def rows(self) -> list[Row]:
        return [row for bucket in (*self._full, self._reduced(self._open)) for row in bucket]

    def add(self, row: Row) -> None:
        self._open.append(row)
        self._taken += 1
        if self._taken == self.size:
            self._full.append(self._reduced(self._open))
            self._open, self._taken = [], 0
        elif len(self._open) > PENDING:
            self._open = self._reduced(self._open)
        if len(self._full) == MOST:
            self.size *= 2
            pairs = zip(self._full[::2], self._full[1::2], strict=True)
            self._full = [self._reduced([*one, *other]) for one, other in pairs]

    def _reduced(self, rows: list[Row]) -> list[Row]:
        return rows if self.exact or not rows else self._reduce(rows)


def intervals_reduced(rows: Sequence[Interval]) -> list[Interval]:
    """The intervals that have an extreme, unchanged, and the others added up: no count is lost.

    An interval that was cut short has too few connections for a rate of its own.
    """
    lengths_ns = [row.end_ns - row.start_ns for row in rows]
    least_ns = median(lengths_ns) / 2
    whole = [index for index, length_ns in enumerate(lengths_ns) if length_ns >= least_ns]
    connected = [rows[index].connected / lengths_ns[index] for index in whole]
    kept = {whole[connected.index(min(connected))], whole[connected.index(max(connected))]}
    peaks: list[float]
    for peaks in (
        [(rows[index].exchanges or 0) / lengths_ns[index] for index in whole],
        [float(rows[index].connect_p99_ns or 0) for index in whole],
        [sum((rows[index].errors or {}).values()) / lengths_ns[index] for index in whole],
    ):
        if highest := max(peaks):
            kept.add(whole[peaks.index(highest)])
    others = [row for index, row in enumerate(rows) if index not in kept]
    few = [row for index, row in enumerate(rows) if index in kept]
    return sorted([*few, *([_rest(others)] if others else [])], key=middle_ns)


def middle_ns(interval: Interval) -> int:
    return (interval.start_ns + interval.end_ns) // 2


def _rest(rows: Sequence[Interval]) -> Interval:
    """The rest of a bucket as one interval in its middle, as long as all of them together."""
    length_ns = sum(row.end_ns - row.start_ns for row in rows)
    start_ns = (rows[0].start_ns + rows[-1].end_ns - length_ns) // 2
    return replace(
        together(rows, start_ns, start_ns + length_ns),
        connect_p50_ns=_middle([row.connect_p50_ns for row in rows]),
        connect_p99_ns=_middle([row.connect_p99_ns for row in rows]),
    )


def _middle(values_ns: Sequence[int | None]) -> int | None:
    known = [value_ns for value_ns in values_ns if value_ns is not None]
    return round(median(known)) if known else None


def samples_reduced(rows: Sequence[Sample]) -> list[Sample]:
    """Two: of every state the fewest and the most sockets, in the order in which they occurred."""
    names = [name for name in rows[0].viewpoints if all(name in row.viewpoints for row in rows)]
    ends = {name: _ends([row.viewpoints[name] for row in rows]) for name in names}
    early, late = rows[len(rows) // 4], rows[len(rows) * 3 // 4]
    return [
        replace(early, viewpoints={name: first for name, (first, _) in ends.items()}),
        replace(late, viewpoints={name: last for name, (_, last) in ends.items()}),
    ]


def _ends(rows: Sequence[ViewpointSample]) -> tuple[ViewpointSample, ViewpointSample]:
    first: dict[State, int] = {}
    last: dict[State, int] = {}
    for state in {state for row in rows for state in row.states}:
        first[state], last[state] = _extremes([row.count(state) for row in rows])
    known = [row.ports_held for row in rows if row.ports_held is not None]
    held = _extremes(known) if known else (None, None)
    age_ns = max(row.states_age_ns for row in rows)
    before, after = _tracked_ends([row.conntrack for row in rows if row.conntrack is not None])
    return (
        ViewpointSample(first, held[0], {}, 0, 0, states_age_ns=age_ns, conntrack=before),
        ViewpointSample(last, held[1], {}, 0, 0, states_age_ns=age_ns, conntrack=after),
    )


def _tracked_ends(rows: Sequence[Conntrack]) -> tuple[Conntrack | None, Conntrack | None]:
    """The same of a NAT's conntrack entries; its counters are not drawn."""
    if not rows:
        return None, None
    states = {state for row in rows for state in row.entries}
    ends = {state: _extremes([row.entries.get(state, 0) for row in rows]) for state in states}
    counts, age_ns = _extremes([row.count for row in rows]), max(row.age_ns for row in rows)
    first, last = ({state: pair[place] for state, pair in ends.items()} for place in (0, 1))
    return Conntrack(first, age_ns, counts[0], {}), Conntrack(last, age_ns, counts[1], {})


def _extremes(values: Sequence[int]) -> tuple[int, int]:
    low, high = min(values), max(values)
    return (low, high) if values.index(low) <= values.index(high) else (high, low)
