"""The figure of punctuality: what came of an open loop's schedule."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.looks import PANEL, frame_of, stroke_of
from bench.results import Punctuality, Results
from loadgen.text.numbers import count, duration
from plots.labels import draw_limit, settle
from plots.page import page
from plots.style import HALO, INK

BOUNDS_S = (0.001, 0.002)
"""Of these the table tells how many were later."""
GROUP = 0.86
"""The part of the way from one rate to the next that its tools take."""
NAME = 7.0
"""The size of a tool's name, in points. Neighbours' stand at two heights: side by side they have no room."""


def punctuality(results: Results) -> Figure:
    """What was achieved of the asked rate in each 100 ms, by tool; below it, how late ours began."""
    frame = frame_of(
        "Open loop: does each connection begin when it is due?",
        "Above: the server kernel's count, blind to bursts within its 100 ms. Below: churn's own records",
        results,
    )
    figure = page(frame, 2.8 * PANEL)
    grid = figure.add_gridspec(2, 1)
    _achieved(figure.add_subplot(grid[0]), results)
    _late(figure.add_subplot(grid[1]), results)
    return settle(figure)


def _achieved(axes: Axes, results: Results) -> None:
    axes.set_title("Achieved over asked, per 100 ms: least, median (dot), most")
    axes.axhline(1.0, color=INK, linewidth=0.8, zorder=1.5)
    for column, x, one in _columns(axes, results):
        color = stroke_of(one.tool).color
        axes.plot([x, x], [min(one.bins), max(one.bins)], color=color, linewidth=2.5)
        axes.plot([x], [median(one.bins)], marker="o", markersize=5, color=color)
        _name(axes, column, x, max(one.bins), one.tool)
    axes.set_ylim(0, 1.25 * max(share for one in results.punctuality for share in one.bins))


def _late(axes: Axes, results: Results) -> None:
    """A ladder for each of ours: from the median to the last, with rungs."""
    axes.set_title("Began late by, log scale: median (dot), p99 and p99.9 (rungs), most (end)")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: duration(value))
    axes.yaxis.set_minor_formatter(NullFormatter())
    known = [one.lateness for one in results.punctuality if one.lateness is not None]
    low_s = min([late.p50_ns / 1e9 for late in known] + [min(BOUNDS_S)])
    high_s = max([late.max_ns / 1e9 for late in known] + [max(BOUNDS_S)])
    # Room above for the names.
    axes.set_ylim(low_s / 2, high_s * (high_s / low_s) ** 0.2)
    for bound_s in BOUNDS_S:
        draw_limit(axes, bound_s, duration(bound_s))
    for column, x, one in _columns(axes, results):
        late = one.lateness
        if late is None:
            continue
        color = stroke_of(one.tool).color
        axes.plot([x, x], [late.p50_ns / 1e9, late.max_ns / 1e9], color=color, linewidth=1.2)
        axes.plot([x], [late.p50_ns / 1e9], marker="o", markersize=5, color=color)
        for rung_ns, size in ((late.p99_ns, 13), (late.p999_ns, 8)):
            axes.plot([x], [rung_ns / 1e9], marker="_", markersize=size, markeredgewidth=2, color=color)
        _name(axes, column, x, late.max_ns / 1e9, one.tool)


def _columns(axes: Axes, results: Results) -> Iterator[tuple[int, float, Punctuality]]:
    """Give the axes a group for each rate, and in it a column for each tool: its number, x, what is there."""
    rates = sorted({one.asked_per_s for one in results.punctuality})
    tools = list(dict.fromkeys(one.tool for one in results.punctuality))
    axes.set_xlim(-0.5, len(rates) - 0.5)
    axes.set_xticks(range(len(rates)), [f"{count(rate)}/s" for rate in rates])
    axes.grid(False, axis="x")
    for one in results.punctuality:
        column = tools.index(one.tool)
        yield column, rates.index(one.asked_per_s) + GROUP * ((column + 0.5) / len(tools) - 0.5), one


def _name(axes: Axes, column: int, x: float, top: float, tool: str) -> None:
    axes.annotate(
        tool,
        (x, top),
        xytext=(0, 4 + 1.2 * NAME * (column % 2)),
        textcoords="offset points",
        ha="center",
        size=NAME,
        path_effects=HALO,
        color=stroke_of(tool).color,
    )
