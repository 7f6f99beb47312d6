"""How the bench's figures look: a stroke for each tool, and lines and bars by tool."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes

from bench.results import Results
from loadgen.text.numbers import significant
from plots.labels import name_end
from plots.page import Frame
from plots.style import (
    BLUE,
    DASHED,
    DOTTED,
    GREEN,
    INK,
    MIXED,
    ORANGE,
    PURPLE,
    QUIET,
    SKY,
    VERMILLION,
    Stroke,
)

STROKES: Mapping[str, Stroke] = {
    "uring": Stroke(VERMILLION, width=2.2),
    "protocol": Stroke(BLUE, width=1.8),
    "aiohttp": Stroke(PURPLE, MIXED),
    "floor": Stroke(INK, DOTTED),
    "wrk": Stroke(ORANGE, DASHED),
    "ab": Stroke(GREEN, MIXED),
    "h2load": Stroke(SKY, DASHED),
    "hey": Stroke(QUIET, DOTTED),
    "httperf": Stroke(QUIET, DASHED),
}
PANEL = 1.75
"""A panel's height in inches."""
OURS = frozenset({"uring", "protocol", "aiohttp"})


def stroke_of(tool: str) -> Stroke:
    return STROKES.get(tool, Stroke(QUIET))


def bars(axes: Axes, values: Mapping[str, Sequence[float]]) -> None:
    """A bar for each name, as long as the median; a line from the least to the most; the number beside."""
    names = list(values)
    for row, name in enumerate(names):
        found = values[name]
        ours = name in OURS
        axes.barh(row, median(found), height=0.62, color=stroke_of(name).color, alpha=0.85 if ours else 0.35)
        axes.plot([min(found), max(found)], [row, row], color=INK, linewidth=1.0)
        axes.annotate(
            significant(median(found)),
            (max(found), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            size=8,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.18 * max((max(found) for found in values.values()), default=1.0) or 1.0)
    axes.grid(False, axis="y")


def line(axes: Axes, points: Mapping[float, Sequence[float]], stroke: Stroke, label: str) -> None:
    """The medians over x, in the order of x."""
    x = sorted(points)
    medians = [median(points[at]) for at in x]
    axes.plot(x, medians, marker="o", markersize=3.5, clip_on=False, **stroke.keywords())
    name_end(axes, x[-1], medians[-1], label, stroke.color)


def frame_of(title: str, subtitle: str, results: Results) -> Frame:
    """The words around a figure: where it was measured stands below, and what is missing above."""
    alarms = [] if results.complete else ["CUT SHORT: what was measured until then"]
    return Frame(title, subtitle, alarms, str(results.environment))
