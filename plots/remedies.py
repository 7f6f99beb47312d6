# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""One workload beside its remedies: what each buys, and what it costs. A row a remedy, for one slide."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from loadgen.scenario.baseline import Remedies
from loadgen.scenario.document import Scenario
from loadgen.text.numbers import count, duration, significant
from plots.columns import Columns
from plots.facts import Facts, Run
from plots.labels import SIZE, settle
from plots.page import Frame, footer, nothing_page, page
from plots.remedy_rows import Cell, Row, responses, rows_of
from plots.style import ALARM, BLUE, GRID, INK, PURPLE, QUIET, SHADE, SMALL, VERMILLION, WIDTH, house_style

ROW, HEAD = 0.3, 0.62
"""The height of a row, and of the headings, in inches."""
NAMES = 2.9
"""The width of the names, in panels."""
ROOM = 2.6
"""The width of a panel, in its longest bars: the rest is for the number beside it."""
SETTINGS = SMALL - 0.5
"""The size of the settings below a name, in points."""
NOT_MEASURED = "–"


@dataclass(frozen=True, slots=True)
class Panel:
    """A quantity: its heading, its cell of a row, how its numbers are written, and its colour."""

    heading: str
    cell: Callable[[Row], Cell]
    write: Callable[[float], str]
    color: str


def _rate(per_s: float) -> str:
    return significant(per_s)


BUYS = (
    Panel("{done}/s,\nmean", lambda row: row.rate, _rate, BLUE),
    Panel("{done}/s,\nlast quarter", lambda row: row.late, _rate, BLUE),
    Panel("attempts\nthat fail", lambda row: row.failed, count, VERMILLION),
    Panel("connect(),\np99", lambda row: row.connect_p99, duration, VERMILLION),
    Panel("TIME-WAITs,\n{opener}", lambda row: row.held, count, VERMILLION),
)
COSTS = (
    Panel("TIME-WAITs\nelsewhere", lambda row: row.moved, count, PURPLE),
    Panel("TIME-WAITs\ncut short", lambda row: row.cut_short, count, PURPLE),
    Panel("bytes\nlost", lambda row: row.lost, count, PURPLE),
)


def remedies(run: Run, scenario: Scenario, variants: Sequence[tuple[Columns, Facts]]) -> Figure:
    """The figure of a scenario that has `remedies`; its baseline is the first row."""
    about = scenario.remedies
    assert about is not None
    names = about.compared([variant.name for variant in scenario.variants])
    rows = rows_of(scenario, variants, names)
    shown = [(columns, facts) for columns, facts in variants if facts.variant in names]
    with house_style():
        frame = _frame(run, rows, [facts for _, facts in shown], about)
        if not rows or all(columns.empty for columns, _ in shown):
            return nothing_page(frame)
        figure = page(frame, HEAD + ROW * len(rows))
        layout = figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        # No room between the panels, and none for their texts: the shade of a row is one band.
        layout.set(w_pad=0.0, wspace=0.0)
        grid = figure.add_gridspec(
            1, 1 + len(BUYS) + len(COSTS), width_ratios=[NAMES, *[1.0] * (len(BUYS) + len(COSTS))]
        )
        words = {
            "done": "responses" if responses(shown) else "connections",
            "opener": shown[0][0].scope.legs[-1].opener,
        }
        _draw_names(figure.add_subplot(grid[0]), rows)
        for place, panel in enumerate((*BUYS, *COSTS), start=1):
            axes = figure.add_subplot(grid[place])
            _draw(axes, panel, rows, words)
            group = {1: "what it buys", 1 + len(BUYS): "what it costs"}.get(place, "")
            _over(axes, group)
        return settle(figure)


def _draw_names(axes: Axes, rows: Sequence[Row]) -> None:
    """The name of each remedy above the settings that it changes."""
    _stripe(axes, rows)
    axes.set_xlim(0, 1)
    width = int(0.98 * NAMES / (NAMES + len(BUYS) + len(COSTS)) * WIDTH * 72 / (0.56 * SETTINGS))
    for place, row in enumerate(rows):
        color = ALARM if row.invalid else INK
        name = f"INVALID: {row.name}" if row.invalid else row.name
        axes.text(
            0.02, place - 0.2, name, size=SIZE, weight="bold", color=color, va="center", in_layout=False
        )
        changes = textwrap.shorten(row.changes or "the workload as it is", width, placeholder=" ...")
        axes.text(0.02, place + 0.22, changes, size=SETTINGS, color=QUIET, va="center", in_layout=False)


def _draw(axes: Axes, panel: Panel, rows: Sequence[Row], words: dict[str, str]) -> None:
    """A bar a row, the number beside it; a dash if it was not measured."""
    _stripe(axes, rows)
    cells = [panel.cell(row) for row in rows]
    most = max((cell.value for cell in cells if cell.value is not None), default=0.0) or 1.0
    axes.set_xlim(0, ROOM * most)
    axes.set_title(panel.heading.format(**words), size=SIZE, color=INK, weight="normal")
    for place, cell in enumerate(cells):
        if cell.value is None:
            text, value, color = NOT_MEASURED, 0.0, QUIET
        else:
            text, value, color = panel.write(cell.value), cell.value, INK
            axes.barh(place, value, height=0.56, color=panel.color, linewidth=0)
        axes.annotate(
            "\n".join(part for part in (text, cell.word) if part),
            (value, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=color,
            size=SETTINGS if cell.word else SIZE,
            in_layout=False,
        )


def _stripe(axes: Axes, rows: Sequence[Row]) -> None:
    """Rows from top to bottom, every other one shaded, the workload itself above a line."""
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place in range(1, len(rows), 2):
        axes.axhspan(place - 0.5, place + 0.5, color=SHADE, linewidth=0, zorder=0)
    axes.axhline(0.5, color=INK, linewidth=0.8, zorder=1)
    axes.patch.set_visible(False)
    axes.axvline(0, color=GRID, linewidth=0.8, zorder=1)


def _over(axes: Axes, group: str) -> None:
    """The name of a group of panels, above the heading of its first."""
    axes.annotate(
        group or " ",
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4 + 3.1 * SIZE),
        textcoords="offset points",
        size=SIZE,
        weight="bold",
        color=QUIET,
        annotation_clip=False,
    )


def _frame(run: Run, rows: Sequence[Row], variants: Sequence[Facts], about: Remedies) -> Frame:
    found = headline(rows, about.baseline)
    alarms = [f"INVALID, {facts.variant}: {cause}" for facts in variants for cause in facts.invalid]
    if run.broken_off:
        alarms.append(f"CUT SHORT: the run was {run.status}")
    by_reason: dict[str, list[str]] = {}
    for name, reason in about.left_out.items():
        by_reason.setdefault(reason, []).append(name)
    notes = [
        *([f"{NOT_MEASURED} not measured"] if any(None in row.values for row in rows) else []),
        *(f"left out: {', '.join(names)} ({reason})" for reason, names in by_reason.items()),
    ]
    return Frame(found or run.title, run.title if found else run.question, alarms, footer(run, notes))


def headline(rows: Sequence[Row], baseline: str) -> str:
    """Which remedies leave no attempt that fails; empty if none failed without one, or it is not known.

    Of rows that are invalid, or whose load did not come to its end, it is not known.
    """
    known = [row for row in rows if row.comparable and row.failed.value is not None]
    if len(known) < 2 or known[0].name != baseline or not known[0].failed.value:
        return ""
    known = known[1:]
    cured = [row.name for row in known if not row.failed.value]
    if not cured:
        return f"Attempts still fail with each of {len(known)} remedies"
    return f"{len(cured)} of {len(known)} remedies leave no attempt that fails: {', '.join(cured)}"
