"""A figure of each study, from the results alone: SVG for documents, PNG for chats."""
# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.growth import scaling
from bench.lateness import punctuality
from bench.looks import OURS, PANEL, bars, frame_of, line, stroke_of
from bench.reading import Study
from bench.results import Results
from bench.tables import by_key, ratio_within_rounds
from loadgen.text.numbers import count, si, significant
from plots.axes import count_axis
from plots.labels import settle
from plots.page import page, save
from plots.style import INK, QUIET, house_style


def draw(results: Results, directory: Path) -> list[Path]:
    """Write the figures that there is something for. Returns their paths."""
    figures: tuple[tuple[str, bool, Callable[[Results], Figure]], ...] = (
        ("rates", bool(results.of(Study.SHORT, Study.KEPT)), rates),
        ("sizes", bool(results.of(Study.SIZE)), sizes),
        ("scaling", bool(results.of(Study.IN_FLIGHT, Study.WORKERS, Study.TIME_WAIT)), scaling),
        ("punctuality", bool(results.punctuality), punctuality),
        ("sampler", bool(results.sampler), sampler),
        ("held", bool(results.held), held),
        ("startup", bool(results.starts), startup),
    )
    paths: list[Path] = []
    for name, wanted, make in figures:
        if wanted:
            with house_style():
                figure = make(results)
            for suffix in ("svg", "png"):
                paths.append(directory / f"{name}.{suffix}")
                save(figure, paths[-1])
    return paths


def rates(results: Results) -> Figure:
    """Short and kept connections."""
    return _contest(results, Study.SHORT, Study.KEPT)


def sizes(results: Results) -> Figure:
    """The same over the size of a response."""
    return _contest(results, Study.SIZE)


def _contest(results: Results, *studies: Study) -> Figure:
    """A panel for each load, a bar for each tool."""
    loads = by_key(results.of(*studies), lambda reading: reading.load)
    rows = -(-len(loads) // 2)
    figure = page(
        frame_of(_headline(results, *studies), "Bars: medians; lines: least to most", results),
        rows * PANEL * 1.15,
    )
    grid = figure.add_gridspec(rows, 2)
    # Rows by what is done, columns by the server: alike beside alike.
    ordered = sorted(loads, key=lambda load: (load.exchange.value != "short", load.client_closes))
    for number, load in enumerate(ordered):
        axes = figure.add_subplot(grid[number // 2, number % 2])
        what = "requests" if load.exchange.value == "kept" else "connections"
        axes.set_title(f"{load}: {what}/s")
        by_tool = by_key(loads[load], lambda reading: reading.tool)
        bars(axes, {tool: [reading.per_s for reading in found] for tool, found in by_tool.items()})
        axes.xaxis.set_major_formatter(lambda value, _: si(value))
    return settle(figure)


def sampler(results: Results) -> Figure:
    most = max(results.sampler, key=lambda cost: cost.time_wait)
    title = (
        f"Ten samples a second take {100 * most.share:.1f} % of a core at {count(most.time_wait)} TIME-WAITs"
    )
    figure = page(
        frame_of(title, "The sampler reads both sides; the client's holds the TIME-WAITs", results), PANEL
    )
    axes = figure.add_subplot()
    axes.set_title("Part of a core, %")
    points = {float(cost.time_wait): [100 * cost.share] for cost in results.sampler}
    line(axes, points, stroke_of("protocol"), "sampler")
    count_axis(axes, 1.3 * max(100 * cost.share for cost in results.sampler) or 1.0)
    axes.xaxis.set_major_formatter(lambda value, _: si(value))
    return settle(figure)


def held(results: Results) -> Figure:
    most = max(one.connections for one in results.held)
    fewer = [f"{one.tool} holds {count(one.connections)}" for one in results.held if one.connections < most]
    told = "; ".join(["For each connection", *fewer])
    figure = page(frame_of(f"{count(most)} connections held open in one worker", told, results), PANEL)
    grid = figure.add_gridspec(1, 2)
    memory, cpu = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    memory.set_title("Memory, KiB")
    bars(memory, {one.tool: [one.kib_each] for one in results.held})
    cpu.set_title("CPU time to open it and for its first exchange, µs")
    bars(cpu, {one.tool: [one.us_each] for one in results.held})
    return settle(figure)


def startup(results: Results) -> Figure:
    """Every start a dot, their median a line."""
    commands = by_key(results.starts, lambda start: start.command)
    medians_s = {name: median(start.elapsed_ns for start in found) / 1e9 for name, found in commands.items()}
    told = " · ".join(f"{name}: {1000 * value:.0f} ms" for name, value in medians_s.items())
    figure = page(frame_of("What a command costs before it does anything", told, results), PANEL)
    axes = figure.add_subplot()
    axes.set_title("Milliseconds")
    for row, (name, found) in enumerate(commands.items()):
        axes.plot(
            [start.elapsed_ns / 1e6 for start in found],
            [row] * len(found),
            linestyle="none",
            marker="o",
            markersize=4,
            alpha=0.4,
            color=stroke_of("protocol").color,
        )
        middle = 1000 * medians_s[name]
        axes.plot([middle, middle], [row - 0.3, row + 0.3], color=INK, linewidth=1.5)
        axes.annotate(
            significant(middle), (middle, row - 0.32), ha="center", va="bottom", size=8, color=QUIET
        )
    axes.set_yticks(range(len(commands)), list(commands))
    axes.set_ylim(len(commands) - 0.4, -0.8)
    axes.set_xlim(left=0)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(False, axis="y")
    return settle(figure)


def _headline(results: Results, *studies: Study) -> str:
    """Our fastest beside wrk, under the first load that both had."""
    for load, readings in by_key(results.of(*studies), lambda reading: reading.load).items():
        tools = by_key(readings, lambda reading: reading.tool)
        ours = [tool for tool in tools if tool in OURS]
        if ours and "wrk" in tools:
            best = max(ours, key=lambda tool: median(reading.per_s for reading in tools[tool]))
            ratio = ratio_within_rounds(tools[best], tools["wrk"])
            if ratio is not None:
                return f"{best}: {ratio:.2f} × wrk on one core ({load})"
    return "churn's drivers beside other tools"
