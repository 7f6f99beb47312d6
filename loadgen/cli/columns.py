"""Columns with one row a variant, in as many tables as the width of the screen requires."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from loadgen.text.visible import LINE_BREAKS, visible

PIPE_COLUMNS = 120
LEAST_COLUMNS = 60
"""A narrower screen wraps the lines itself: a table laid out for it would cut numbers."""
GAP = 2
NONE = "–"
"""Stands for a number that is not known."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and a cell for each row."""

    heading: str
    cells: Sequence[str]
    numeric: bool = True

    @property
    def width(self) -> int:
        return max(cell_len(visible(text)) for text in (self.heading, *self.cells))


class Screen(Console):
    """A console that prints text as text: the only control sequences that reach a terminal are rich's own."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Before anything is measured: an escape is wider than the character, and rich drops some of them."""
        return super().render_str(visible(text, keep=LINE_BREAKS), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else visible(segment.text, keep=LINE_BREAKS)
            yield Segment(shown, segment.style, segment.control)


def screen() -> Screen:
    """Stdout. Pipes and logs have no width of their own: they get one that fits into a review."""
    console = Screen(highlight=False)
    width = max(console.width, LEAST_COLUMNS) if console.is_terminal else PIPE_COLUMNS
    return Screen(highlight=False, width=width)


def print_columns(console: Console, columns: Sequence[Column]) -> None:
    """Print them in as many tables as the width requires, each of which begins with the first column.

    No cell is folded or cut: the terminal wraps one that is wider than the screen.
    """
    first, *others = columns
    shown = [first]
    for column in others:
        if len(shown) > 1 and _width([*shown, column]) > console.width:
            _print_table(console, shown)
            shown = [first]
        shown.append(column)
    _print_table(console, shown)


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _print_table(console: Console, columns: Sequence[Column]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", width=_width(columns))
    for column in columns:
        table.add_column(column.heading, justify="right" if column.numeric else "left", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console.print(table, crop=False)
    console.print()
