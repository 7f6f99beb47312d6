"""The figures, from the results alone: SVG for documents, PNG for chats."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from bench.results import Quantity, Reading, Results
from bench.studies import Section
from bench.tables import by_key, ratio_within_rounds, values_of
from loadgen.text.numbers import si, significant
from plots import style
from plots.labels import name_end, settle
from plots.page import Frame, page, save
from plots.style import Stroke

STROKES: Mapping[str, Stroke] = {
    "uring": Stroke(style.VERMILLION, width=2.2),
    "protocol": Stroke(style.BLUE, width=1.8),
    "aiohttp": Stroke(style.PURPLE, style.MIXED),
    "floor": Stroke(style.INK, style.DOTTED),
    "wrk": Stroke(style.ORANGE, style.DASHED),
    "ab": Stroke(style.GREEN, style.MIXED),
    "h2load": Stroke(style.SKY, style.DASHED),
    "hey": Stroke(style.QUIET, style.DOTTED),
    "httperf": Stroke(style.QUIET, style.DASHED),
}
OURS = frozenset({"uring", "protocol", "aiohttp"})
PANEL = 1.75
"""A panel's height in inches."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A quantity over what grows, a line of medians for each tool; `band` are the quantities around it."""

    title: str
    readings: Sequence[Reading]
    quantity: Quantity = Quantity.PER_S
    band: tuple[Quantity, Quantity] | None = None
    log: bool = False


def draw(results: Results, directory: Path) -> list[Path]:
    """Write the figures that there is something for. Returns their paths."""
    paths: list[Path] = []
    for make, *sections in (
        (rates, Section.SHORT, Section.KEPT),
        (sizes, Section.SIZES),
        (scaling, Section.SCALING),
        (punctuality, Section.PUNCTUALITY),
    ):
        if results.of(*sections):
            with style.house_style():
                figure = make(results)
            for suffix in ("svg", "png"):
                paths.append(directory / f"{make.__name__}.{suffix}")
                save(figure, paths[-1])
    return paths


def rates(results: Results) -> Figure:
    """Short and kept connections: a panel for each load, a bar for each tool."""
    loads = by_key(results.of(Section.SHORT, Section.KEPT), lambda reading: reading.title)
    rows = -(-len(loads) // 2)
    frame = _frame(_headline(loads), "Bars: medians; lines: least to most", results)
    figure = page(frame, rows * PANEL * 1.15)
    grid = figure.add_gridspec(rows, 2)
    for number, (title, readings) in enumerate(loads.items()):
        axes = figure.add_subplot(grid[number // 2, number % 2])
        axes.set_title(f"{title}: {'requests' if 'kept' in title else 'connections'}/s")
        _bars(axes, by_key(readings, lambda reading: reading.tool))
    return settle(figure)


def sizes(results: Results) -> Figure:
    return _growth(
        results, Section.SIZES, "What the size of a response costs", "Responses a second, by nginx"
    )


def scaling(results: Results) -> Figure:
    subtitle = (
        "Short connections that nginx closes, a second. TIME-WAITs on the same path take the load's ports"
    )
    return _growth(results, Section.SCALING, "What a rate does as the load grows", subtitle)


def punctuality(results: Results) -> Figure:
    """What was achieved of the asked rate in each 100 ms, by tool; below it, how late ours began."""
    title = "Open loop: does each connection begin when it is due?"
    subtitle = (
        "Above: the server kernel's count, blind to bursts within its 100 ms. Below: churn's own records"
    )
    readings = results.of(Section.PUNCTUALITY)
    known = [reading for reading in readings if Quantity.LATE_P99 in reading.values]
    achieved = "Achieved over asked, by the rate asked; line: median of 100 ms, band: least to most"
    late = "Began late by, ms, log scale; line: 99 %, band: median to most"
    bins, latest = (Quantity.LEAST_BIN, Quantity.MOST_BIN), (Quantity.LATE_P50, Quantity.LATE_MOST)
    panels = [Panel(achieved, readings, Quantity.MIDDLE_BIN, bins)]
    panels += [Panel(late, known, Quantity.LATE_P99, latest, log=True)] if known else []
    return _lines(_frame(title, subtitle, results), panels)


def _frame(title: str, subtitle: str, results: Results) -> Frame:
    """The words around a figure: where it was measured stands below, and what is missing above."""
    alarms = [] if results.complete else ["CUT SHORT: what was measured until then"]
    return Frame(title, subtitle, alarms, str(results.environment))


def _headline(loads: Mapping[str, Sequence[Reading]]) -> str:
    """Our fastest beside wrk, under the first load that both had."""
    for title, readings in loads.items():
        tools = by_key(readings, lambda reading: reading.tool)
        ratios = {
            name: ratio_within_rounds(tools[name], tools.get("wrk", ())) for name in tools if name in OURS
        }
        if known := {name: ratio for name, ratio in ratios.items() if ratio is not None}:
            best = max(known, key=lambda name: known[name])
            return f"{best}: {known[best]:.2f} × wrk on one core ({title})"
    return "churn's drivers beside other tools"


def _bars(axes: Axes, tools: Mapping[str, Sequence[Reading]]) -> None:
    """A bar for each tool, as long as the median rate, and a line from the least to the most."""
    for row, (name, readings) in enumerate(tools.items()):
        found = values_of(readings, Quantity.PER_S)
        middle, most = median(found), max(found)
        color, opacity = STROKES[name].color, 0.85 if name in OURS else 0.35
        axes.barh(row, middle, height=0.62, color=color, alpha=opacity)
        axes.plot([min(found), most], [row, row], color=style.INK, linewidth=1.0)
        axes.text(most, row, f" {significant(middle)}", va="center", size=8)
    axes.set_yticks(range(len(tools)), list(tools))
    axes.set_ylim(len(tools) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: si(value))


def _growth(results: Results, section: Section, title: str, subtitle: str) -> Figure:
    studies = by_key(results.of(section), lambda reading: reading.title)
    panels = [Panel(f"Over the {study}", readings) for study, readings in studies.items()]
    return _lines(_frame(title, subtitle, results), panels)


def _lines(frame: Frame, panels: Sequence[Panel]) -> Figure:
    """Panels one below the other."""
    figure = page(frame, len(panels) * PANEL)
    grid = figure.add_gridspec(len(panels), 1)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(grid[number])
        axes.set_title(panel.title)
        numbers = sorted({reading.x or 0 for reading in panel.readings})
        if 0 < 50 * numbers[0] < numbers[-1]:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        for tool, found in by_key(panel.readings, lambda reading: reading.tool).items():
            x, stroke = sorted({reading.x or 0 for reading in found}), STROKES[tool]
            medians = _medians(found, panel.quantity)
            axes.plot(x, medians, marker="o", markersize=3.5, clip_on=False, **stroke.keywords())
            if panel.band:
                low, high = (_medians(found, quantity) for quantity in panel.band)
                axes.fill_between(x, low, high, color=stroke.color, alpha=0.2, linewidth=0)
            name_end(axes, x[-1], medians[-1], tool, stroke.color)
        if panel.log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.yaxis.set_major_formatter(lambda value, _: si(value))
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.xaxis.set_major_formatter(lambda value, _: si(value))
    return settle(figure)


def _medians(readings: Sequence[Reading], quantity: Quantity) -> list[float]:
    """Over what grows, in its order."""
    points = by_key(sorted(readings, key=lambda reading: reading.x or 0), lambda reading: reading.x)
    return [median(values_of(found, quantity)) for found in points.values()]
