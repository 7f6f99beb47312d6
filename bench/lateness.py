"""The figure of punctuality: what came of an open loop's schedule."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from dataclasses import replace
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.looks import PANEL, frame_of, line, stroke_of
from bench.results import Results
from bench.tables import by_key
from plots.axes import count_axis
from plots.labels import settle
from plots.page import page
from plots.style import DASHED, HALO, INK
from plots.words import count, si


def punctuality(results: Results) -> Figure:
    """What was achieved of the asked rate in each 100 ms, by tool; and how many of ours began late."""
    frame = frame_of(
        "Open loop: does each connection begin when it is due?",
        "Above: the server kernel's count, blind to bursts within its 100 ms. Below: churn's own records",
        results,
    )
    figure = page(frame, 2.4 * PANEL)
    grid = figure.add_gridspec(2, 1, height_ratios=[1.4, 1])
    _achieved(figure.add_subplot(grid[0]), results)
    _late(figure.add_subplot(grid[1]), results)
    return settle(figure)


def _achieved(axes: Axes, results: Results) -> None:
    axes.set_title("Achieved over asked, per 100 ms: least, median, most")
    asked = sorted({one.asked_per_s for one in results.punctuality})
    tools = list(by_key(results.punctuality, lambda one: one.tool))
    for place, rate in enumerate(asked):
        for number, tool in enumerate(tools):
            bins = [
                share
                for one in results.punctuality
                if (one.asked_per_s, one.tool) == (rate, tool)
                for share in one.bins
            ]
            if not bins:
                continue
            x = place + 0.8 * ((number + 0.5) / len(tools) - 0.5)
            color = stroke_of(tool).color
            axes.plot([x, x], [min(bins), max(bins)], color=color, linewidth=2.5)
            axes.plot([x], [median(bins)], marker="o", markersize=5, color=color)
            axes.annotate(
                tool,
                (x, max(bins)),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                size=7,
                path_effects=HALO,
                color=color,
            )
    axes.axhline(1.0, color=INK, linewidth=0.8)
    axes.set_xticks(range(len(asked)), [f"{count(rate)}/s" for rate in asked])
    axes.set_ylim(0, 1.15 * max(share for one in results.punctuality for share in one.bins))
    axes.grid(False, axis="x")


def _late(axes: Axes, results: Results) -> None:
    axes.set_title("Started late, % of the starts")
    known = [one for one in results.punctuality if one.late is not None]
    for (tool, late_ns), found in by_key(known, lambda one: (one.tool, one.late_ns or 0)).items():
        points = by_key(found, lambda one: float(one.asked_per_s))
        stroke = (
            stroke_of(tool) if late_ns == 1_000_000 else replace(stroke_of(tool), dashes=DASHED, width=1.2)
        )
        percent = {x: [100 * (one.late or 0.0) for one in here] for x, here in points.items()}
        line(axes, percent, stroke, f"{tool}, by > {late_ns // 1_000_000} ms")
    count_axis(axes, 1.08 * max((100 * (one.late or 0.0) for one in known), default=0.0) or 1.0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{si(value)}/s")
