"""What happened to the connections of a run: the ledger's entries that add up to what was counted.

Pure. The kernels' counters, and the driver's own counts if there are any, are equations; the unknowns are the
numbers of connections of each entry. The explanation is the one that needs the fewest kinds of entries beyond
the ordinary ones. If several need equally few, each of them is possible, and none is chosen.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from loadgen.analysis.counts import Counted, LegCounts
from loadgen.analysis.span import Matrix, Span
from loadgen.ledger.entries import ENTRIES
from loadgen.ledger.entry import ROWS, Entry, Kind, summed
from loadgen.tcp import Ending, Side

MOST_KINDS = 4
"""Kinds of entries, beyond the ordinary ones, that an explanation may have: with more, anything fits."""
MOST_TRIED = 20_000
ANYWAY = 8
"""So many connections are possible whatever an entry's share: a driver may close as many together after one
look."""

Vector = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Explained:
    """So many connections of an entry; a driver counted them as `seen`, None if only the kernels counted.

    `leg` is the number of theirs, if several were explained together.
    """

    entry: Entry
    seen: Ending | None
    count: int
    leg: int = 0


def stories(explained: Sequence[Explained]) -> str:
    """What happened to so many connections, in words."""
    return "; ".join(
        f"{one.count:,} connection{'s' * (one.count != 1)}: {one.entry.story}" for one in explained
    )


@dataclass(frozen=True, slots=True)
class Explanation:
    """The possible explanations, each complete by itself: none if the counts contradict each other."""

    possible: tuple[tuple[Explained, ...], ...]

    @property
    def known(self) -> tuple[Explained, ...] | None:
        """The explanation, if there is exactly one."""
        return self.possible[0] if len(self.possible) == 1 else None

    def moved(self, side: Side, row: str) -> int | None:
        """By how much a row of the ledger moved at a side, as explained; None if nothing is."""
        if not self.possible:
            return None
        return sum(one.count * one.entry.moves(side).get(row, 0) for one in self.possible[0])

    def firsts(self) -> Mapping[Ending, int] | None:
        """Connections by who ended them first, and how, if all possible explanations agree on it."""
        found = [_firsts(one) for one in self.possible]
        return found[0] if found and all(one == found[0] for one in found) else None


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A number to be found: connections of an entry, counted as `seen`.

    `witnessed` is the most that its witness allows, together with other entries of that witness and leg.
    """

    entry: Entry
    seen: Ending | None
    column: Vector
    most: int
    witnessed: int
    leg: int = 0

    @property
    def allowed(self) -> bool:
        """One connection of it is possible."""
        return self.most > 0 and (not self.entry.witness or self.witnessed > 0)


def explain(ends: LegCounts, counted: Counted | None = None, faults: Collection[str] = ()) -> Explanation:
    """The explanation of what the kernels at both ends of a leg counted.

    `counted` are a driver's totals, which have to add up as well; None if only the kernels counted. A counter
    that a kernel does not have is left out. `faults` are those of the script that acted.
    """
    counters = {Side.CLIENT: summed(ends.opener), Side.SERVER: summed(ends.accepter)}
    sides = (Side.CLIENT,) if ends.shared else tuple(Side)
    rows = [(side, row) for side in sides for row in ROWS if row in counters[side]]
    totals = [counters[side][row] for side, row in rows]
    if counted is not None:
        totals += _driven(counted)
    unknowns = [
        unknown
        for entry in ENTRIES
        if not entry.fault or entry.fault in faults
        for unknown in _unknowns(entry, rows, counters, counted, shared=ends.shared)
    ]
    return _fewest(unknowns, np.array(totals))


def explain_both(first: LegCounts, second: LegCounts, counted: Counted | None) -> Explanation:
    """The explanation of two legs that meet in one namespace, whose counters are those of both together.

    It is the namespace that accepts the first leg and opens the second; `counted` is of the first.
    """
    near, middle, far = (summed(one) for one in (first.opener, first.accepter, second.accepter))
    rows = {
        name: [row for row in ROWS if row in one]
        for name, one in zip("nmf", (near, middle, far), strict=True)
    }
    of_driver = 0 if counted is None else 3 + len(Ending)
    totals = [one[row] for name, one in zip("nmf", (near, middle, far), strict=True) for row in rows[name]]
    if counted is not None:
        totals += _driven(counted)
    unknowns: list[_Unknown] = []
    for entry in (entry for entry in ENTRIES if not entry.fault):
        sides = [(Side.CLIENT, row) for row in rows["n"]] + [(Side.SERVER, row) for row in rows["m"]]
        for one in _unknowns(entry, sides, {Side.CLIENT: near, Side.SERVER: middle}, counted, shared=False):
            kernels, driver = one.column[: len(sides)], one.column[len(sides) :]
            column = np.concatenate([kernels, np.zeros(len(rows["f"]), np.int64), driver])
            unknowns.append(replace(one, column=column))
        sides = [(Side.CLIENT, row) for row in rows["m"]] + [(Side.SERVER, row) for row in rows["f"]]
        for one in _unknowns(entry, sides, {Side.CLIENT: middle, Side.SERVER: far}, None, shared=False):
            before, after = np.zeros(len(rows["n"]), np.int64), np.zeros(of_driver, np.int64)
            unknowns.append(replace(one, column=np.concatenate([before, one.column, after]), leg=1))
    return _fewest(unknowns, np.array(totals))


def _driven(counted: Counted) -> list[int]:
    """A driver's totals that have to add up."""
    totals = [counted.opened, counted.connected, counted.server_fin_reset]
    return [*totals, *(counted.closes[ending] for ending in Ending)]


def _fewest(unknowns: Sequence[_Unknown], total: Vector) -> Explanation:
    """The solutions that need the fewest kinds of entries beyond the ordinary ones."""
    unknowns = [one for one in unknowns if not np.any(one.column > total)]
    base = [one for one in unknowns if one.entry.kind is Kind.ORDINARY]
    others = [one for one in unknowns if one.entry.kind is not Kind.ORDINARY]
    span = Span(_columns(base, total), _columns(others, total), total.astype(float))
    left = MOST_TRIED
    for kinds in range(MOST_KINDS + 1):
        sets = list(islice(combinations(range(len(others)), kinds), left))
        found: list[tuple[Explained, ...]] = []
        for numbers, reached in zip(sets, span.reaches(sets, kinds), strict=True):
            chosen = [others[number] for number in numbers]
            if reached and all(one.allowed for one in chosen):
                found += [solution for solution in _solved(base, chosen, total) if solution not in found]
        left -= len(sets)
        if found or not left:
            return Explanation(tuple(found))
    return Explanation(())


def _unknowns(
    entry: Entry,
    rows: Sequence[tuple[Side, str]],
    counters: Mapping[Side, Mapping[str, int]],
    counted: Counted | None,
    *,
    shared: bool,
) -> Iterator[_Unknown]:
    """The unknowns of an entry: one for each ending that a driver may count it as."""
    # A witness that the kernel does not count confirms nothing.
    most = max(counters[Side.CLIENT].values(), default=0)
    witnessed = min((counters[side].get(name, 0) for side, name in entry.witness), default=most)
    if entry.gauge:
        most = min(most, counters[Side.CLIENT].get(entry.gauge, 0))
    moved = [
        sum(entry.moves(each).get(row, 0) for each in (tuple(Side) if shared else (side,)))
        for side, row in rows
    ]
    if counted is None:
        if not entry.driver_only:
            yield _Unknown(entry, None, np.array(moved), most, witnessed)
        return
    driven = [*moved, 1, int(bool(entry.counted_as)), int(entry.late_data)]
    possible = min(most, counted.given_up) if entry.given_up else most
    if not entry.counted_as:
        yield _Unknown(entry, None, np.array([*driven, *(0 for _ in Ending)]), possible, witnessed)
    for seen in entry.counted_as:
        closes = counted.closes[seen]
        share = closes if entry.most_share == 1.0 else max(round(entry.most_share * closes), ANYWAY)
        column = np.array([*driven, *(int(ending is seen) for ending in Ending)])
        yield _Unknown(entry, seen, column, min(possible, share), witnessed)


def _columns(unknowns: Sequence[_Unknown], total: Vector) -> Matrix:
    """A column for each unknown, and as many rows as the total has."""
    columns = [one.column for one in unknowns]
    return np.array(columns, dtype=float).reshape(len(columns), len(total)).T


def _solved(
    base: Sequence[_Unknown], chosen: Sequence[_Unknown], total: Vector
) -> list[tuple[Explained, ...]]:
    """How many there are of each, if all of `chosen` are needed; empty if they do not add up to the total.

    Several, if ordinary entries look alike: in one namespace, or without a counter that the kernel lacks.
    """
    for left_out in range(len(base) + 1):
        ranks: list[bool] = []
        found: list[tuple[Explained, ...]] = []
        for kept in combinations(base, len(base) - left_out):
            unknowns = [*kept, *chosen]
            if not unknowns:
                return [()] if not total.any() else []
            matrix = np.stack([one.column for one in unknowns], axis=1)
            counts, _, rank, _ = np.linalg.lstsq(matrix.astype(float), total.astype(float), rcond=None)
            ranks.append(rank == len(unknowns))
            if ranks[-1] and (solution := _whole(unknowns, len(kept), counts, matrix, total)) is not None:
                found.append(solution)
        if any(ranks):
            return found
    return []


def _whole(
    unknowns: Sequence[_Unknown], ordinary: int, found: NDArray[np.float64], matrix: Vector, total: Vector
) -> tuple[Explained, ...] | None:
    """The solution in whole connections: none below 0, and some of each kind beyond the ordinary ones."""
    counts = np.rint(found).astype(np.int64)
    fits = (
        np.array_equal(matrix @ counts, total)
        and bool(np.all(counts >= 0))
        and bool(np.all(counts[ordinary:] > 0))
        and all(count <= one.most for one, count in zip(unknowns, counts.tolist(), strict=True))
        and all(
            sum(
                counts[
                    [(other.entry.witness, other.leg) == (one.entry.witness, one.leg) for other in unknowns]
                ]
            )
            <= one.witnessed
            for one in unknowns
            if one.entry.witness
        )
    )
    if not fits:
        return None
    return tuple(
        Explained(one.entry, one.seen, count, one.leg)
        for one, count in zip(unknowns, counts.tolist(), strict=True)
        if count
    )


def _firsts(explained: Sequence[Explained]) -> dict[Ending, int]:
    found: dict[Ending, int] = {}
    for one in explained:
        if one.entry.first is not None:
            found[one.entry.first] = found.get(one.entry.first, 0) + one.count
    return found
