"""The results as Markdown: medians, spreads, and ratios within rounds. Pure."""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from bench.results import Quantity, Reading, Results
from bench.studies import Section
from loadgen.text.numbers import significant

K = TypeVar("K")
V = TypeVar("V")

UNKNOWN = "–"


def by_key(values: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    """In the order of first appearance."""
    groups: dict[K, list[V]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups


def values_of(readings: Iterable[Reading], quantity: Quantity) -> list[float]:
    """The values that are known."""
    return [reading.values[quantity] for reading in readings if quantity in reading.values]


def ratio_within_rounds(
    readings: Iterable[Reading], peers: Iterable[Reading], quantity: Quantity = Quantity.PER_S
) -> float | None:
    """Median ratio of the rates, or of another quantity, over the rounds that both have; None if none."""
    of_peer = {peer.round: peer.values.get(quantity) for peer in peers}
    ratios = [one.values[quantity] / peer for one in readings if (peer := of_peer.get(one.round))]
    return median(ratios) if ratios else None


@dataclass(frozen=True, slots=True)
class Column:
    """What a table has of each tool; the file says what its fields are."""

    head: str
    of: tuple[Quantity, ...] = ()
    form: str = ""
    spread: bool = False
    over: str = ""

    def cell(self, found: Sequence[Reading], tools: Mapping[str, Sequence[Reading]]) -> str:
        """From a tool's readings, and those of all tools under the same load."""
        if self.over:
            quantity = self.of[0] if self.of else Quantity.PER_S
            return self._number(ratio_within_rounds(found, tools.get(self.over, ()), quantity))
        known = [values_of(found, quantity) for quantity in self.of]
        if not any(known):
            return UNKNOWN
        if self.spread:
            return f"{self._number(min(known[0]))} – {self._number(max(known[-1]))}"
        return " + ".join(self._number(median(values) if values else None) for values in known)

    def _number(self, value: float | None) -> str:
        if value is None:
            return UNKNOWN
        return format(value, self.form) if self.form else significant(value)


@dataclass(frozen=True, slots=True)
class Table:
    sections: tuple[Section, ...]
    columns: tuple[Column, ...]


_FILE = tomllib.loads(Path(__file__).with_name("tables.toml").read_text())
TABLES = msgspec.convert(_FILE, dict[str, Table])


def markdown(results: Results) -> str:
    """A table for each load that was measured."""
    parts = [str(results.environment)]
    if not results.complete:
        parts.append("**Cut short**: what was measured until then.")
    for table in TABLES.values():
        for title, readings in by_key(results.of(*table.sections), lambda reading: reading.title).items():
            rounds = max(reading.round for reading in readings)
            counted = "one round" if rounds == 1 else f"{rounds} rounds"
            parts.append(f"### {title}, {counted}\n\n{_table(readings, table.columns)}")
    if results.missing:
        rows = [[missing.section, missing.what, missing.tool, missing.why] for missing in results.missing]
        parts.append(f"### Not measured\n\n{_grid(['section', 'load', 'tool', 'why'], rows)}")
    return "\n\n".join(parts) + "\n"


def _table(readings: Sequence[Reading], columns: Sequence[Column]) -> str:
    """A row for each tool, and for each number that a study goes through."""
    rows: list[list[str]] = []
    for x, here in by_key(readings, lambda reading: reading.x).items():
        tools = by_key(here, lambda reading: reading.tool)
        for tool, found in tools.items():
            number = UNKNOWN if x is None else f"{x:,}"
            rows.append([number, tool, *(column.cell(found, tools) for column in columns)])
    heads = ["number", "tool", *(column.head for column in columns)]
    kept = [place for place in range(len(heads)) if any(row[place] != UNKNOWN for row in rows)]
    return _grid([heads[place] for place in kept], [[row[place] for place in kept] for row in rows])


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers, to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
