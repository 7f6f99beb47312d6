"""The figure of scaling: rates over what grows."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from bench.looks import PANEL, frame_of, line, stroke_of
from bench.reading import Reading, Study
from bench.results import Results
from bench.tables import by_key
from loadgen.text.numbers import count, si
from plots.axes import count_axis
from plots.labels import settle
from plots.page import page
from plots.style import DASHED


def scaling(results: Results) -> Figure:
    """Rates over what grows: a panel each for connections in flight, workers, TIME-WAITs."""
    frame = frame_of(
        "What a rate does as the load grows",
        "Short connections that nginx closes, a second. TIME-WAITs on the same path take the load's ports",
        results,
    )
    figure = page(frame, 3 * PANEL)
    grid = figure.add_gridspec(3, 1)
    _in_flight(figure.add_subplot(grid[0]), results.of(Study.IN_FLIGHT))
    _workers(figure.add_subplot(grid[1]), results.of(Study.WORKERS))
    _time_wait(figure.add_subplot(grid[2]), results.of(Study.TIME_WAIT))
    return settle(figure)


def _in_flight(axes: Axes, readings: Sequence[Reading]) -> None:
    axes.set_title("Over the connections in flight")
    axes.set_xscale("log")
    _lines(axes, readings, lambda reading: reading.load.in_flight)
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _workers(axes: Axes, readings: Sequence[Reading]) -> None:
    axes.set_title("Over the workers, 64 connections in flight in all")
    _lines(axes, readings, lambda reading: reading.load.workers)
    axes.xaxis.set_major_locator(FixedLocator(sorted({reading.load.workers for reading in readings})))


def _time_wait(axes: Axes, readings: Sequence[Reading]) -> None:
    axes.set_title("Over the TIME-WAITs that the client held before")
    none = [reading for reading in readings if not reading.held]
    for same_path in (False, True):
        there = [reading for reading in readings if reading.held and reading.same_path is same_path]
        where = "same path" if same_path else "towards others"
        for tool, found in by_key([*none, *there], lambda reading: reading.tool).items():
            if any(reading.held for reading in found):
                stroke = replace(stroke_of(tool), dashes=DASHED if same_path else "-")
                points = by_key(found, lambda reading: float(reading.held))
                per_s = {x: [reading.per_s for reading in here] for x, here in points.items()}
                line(axes, per_s, stroke, f"{tool}, {where}")
    count_axis(axes, 1.08 * max((reading.per_s for reading in readings), default=1.0))
    axes.xaxis.set_major_formatter(lambda value, _: si(value))


def _lines(axes: Axes, readings: Sequence[Reading], x: Callable[[Reading], float]) -> None:
    for tool, found in by_key(readings, lambda reading: reading.tool).items():
        points = {at: [reading.per_s for reading in here] for at, here in by_key(found, x).items()}
        line(axes, points, stroke_of(tool), tool)
    count_axis(axes, 1.08 * max((reading.per_s for reading in readings), default=1.0))
