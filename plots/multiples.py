# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""All variants of a run side by side: rate above TIME-WAIT and its peaks, every row on one scale."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadgen.analysis.headline import comparison
from loadgen.tcp import State
from loadgen.text.numbers import count
from plots.axes import WIDE, count_axis, log_axis, top_of
from plots.columns import Columns
from plots.facts import Facts, Run
from plots.labels import ADVANCE, SIZE, draw_line, hatch, say_silent, settle
from plots.page import Frame, footer, nothing_page, page
from plots.panels import Connections, connections_of, differ
from plots.states import IN_SIGHT
from plots.style import ALARM, FIRST, INK, LIMIT, QUIET, SECOND, WIDTH, house_style, say, viewpoint_strokes

Variant = tuple[Columns, Facts]

ACROSS = 4
"""Columns before a new pair of rows begins."""
HEIGHT = 1.3
"""A panel's, in inches."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The axes of all panels: one of time, and one for each row."""

    first_s: float
    last_s: float
    top_rate: float
    low_rate: float
    """0 for a linear axis, else the floor of a log one."""
    top_sockets: float
    exchanges: bool
    """Whether exchanges are another rate than connections anywhere."""


def multiples(run: Run, variants: Sequence[Variant]) -> Figure:
    """A column a variant, `ACROSS` a row, in the order of the scenario."""
    with house_style():
        frame = _frame(run, [facts for _, facts in variants])
        if all(columns.empty for columns, _ in variants):
            return nothing_page(frame)
        scale = _scale(variants)
        across = min(len(variants), ACROSS)
        blocks = [variants[start : start + across] for start in range(0, len(variants), across)]
        names = [_name(facts, across) for _, facts in variants]
        rates = [connections_of(columns.rates, facts.kept) for columns, facts in variants]
        # If any has a note, all have a line for it, so that the names are at one height.
        notes = [[rate.note] if any(rate.note for rate in rates) else [] for rate in rates]
        lines = max(name.count("\n") + len(note) for name, note in zip(names, notes, strict=True)) + 4
        figure = page(frame, len(blocks) * (2 * HEIGHT + lines * 1.4 * SIZE / 72 + 0.5) + 0.3)
        grid = figure.add_gridspec(2 * len(blocks), across)
        for row, block in enumerate(blocks):
            for column, (variant, facts) in enumerate(block):
                above = figure.add_subplot(grid[2 * row, column])
                below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
                above.set_xlim(scale.first_s, scale.last_s)
                named, index = column == across - 1, row * across + column
                _draw_rate(above, variant, rates[index], scale, named, across)
                _draw_sockets(below, variant, facts, scale, named)
                hatch(above, variant.load_gaps)
                hatch(below, variant.sampler_gaps)
                _head(above, facts, names[index], notes[index])
                above.tick_params(labelbottom=False)
                per_second = "per second\n(dashed: exchanges)" if scale.exchanges else "per second"
                for axes, label in ((above, per_second), (below, "TIME-WAIT sockets\n(peaks above)")):
                    axes.tick_params(labelleft=column == 0)
                    axes.set_ylabel(label if column == 0 else "")
                under = row == len(blocks) - 1 or column >= len(blocks[row + 1])
                hatched = " (hatched: not observed)" if variant.gaps else ""
                below.set_xlabel(f"seconds since the load began{hatched}" if under or hatched else "")
        return settle(figure)


def _draw_rate(
    axes: Axes, columns: Columns, connections: Connections, scale: Scale, named: bool, across: int
) -> None:
    rates = columns.rates
    if not rates.t_s.size:
        say(axes, "no intervals")
    if differ(rates.connected, rates.exchanges):
        draw_line(axes, rates.t_s, rates.seen(rates.exchanges), SECOND, "exchanges" if named else "")
    draw_line(axes, connections.t_s, connections.per_s, FIRST, "connections" if named else "")
    if scale.low_rate:
        log_axis(axes, scale.low_rate, scale.top_rate)
        say_silent(axes, connections.t_s, connections.per_s, columns.end_s, _width(across))
    else:
        count_axis(axes, scale.top_rate)


def _draw_sockets(axes: Axes, columns: Columns, facts: Facts, scale: Scale, named: bool) -> None:
    sockets = columns.sockets
    if not sockets.counts:
        say(axes, "no samples")
    strokes = viewpoint_strokes(sockets.counts)
    for viewpoint, states in sockets.counts.items():
        label = viewpoint if named else ""
        draw_line(axes, sockets.t_s, states[State.TIME_WAIT], strokes[viewpoint], label)
    # Against another variant's thousands a curve of hundreds lies on the axis.
    names = list(sockets.counts)
    places: Mapping[Literal["left", "center", "right"], Sequence[str]] = {
        "left": names[:1],
        "center": names[1:-1],
        "right": names[1:][-1:],
    }
    for loc, here in places.items():
        peaks = ", ".join(f"{name} {count(sockets.peak(name, State.TIME_WAIT))}" for name in here)
        # Above the line of the others: a panel may be too narrow for all of them beside each other.
        peaks += "\n" if loc == "center" and here else ""
        color = strokes[here[0]].color if len(here) == 1 else INK
        axes.set_title(peaks, loc=loc, size=SIZE - 0.5, weight="normal", color=color)
    count_axis(axes, scale.top_sockets)
    if facts.ports <= scale.top_sockets:
        axes.axhline(facts.ports, **LIMIT.keywords(), zorder=1.5)
        axes.annotate(
            f"all {count(facts.ports)} client ports",
            (0, facts.ports),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, 2),
            textcoords="offset points",
            size=SIZE - 0.5,
            color=QUIET,
        )


def _scale(variants: Sequence[Variant]) -> Scale:
    drawn = [columns for columns, _ in variants if not columns.empty]
    exchanges = any(differ(columns.rates.connected, columns.rates.exchanges) for columns in drawn)
    rates = [columns.rates.connected for columns in drawn]
    # A command reports no exchanges.
    measured = [columns.rates.exchanges for columns in drawn if not columns.rates.from_samples]
    rates += measured if exchanges else []
    means = [float(rate.mean()) for rate in rates if rate.any()]
    log = bool(means) and max(means) > WIDE * min(means)
    peaks = [columns.sockets.peak(name, State.TIME_WAIT) for columns in drawn for name in columns.scope.names]
    walls = [facts.ports for _, facts in variants if max(peaks) >= IN_SIGHT * facts.ports]
    return Scale(
        first_s=min([0.0, *(float(columns.sockets.t_s.min(initial=0.0)) for columns in drawn)]),
        last_s=max([columns.last_s for columns in drawn]) or 1.0,
        top_rate=1.4 * top_of(rates) if log else top_of(rates),
        low_rate=min(means) / 10 if log else 0.0,
        # Room for the limit's name above its line.
        top_sockets=max([1.0, 1.08 * max(peaks), *(1.22 * wall for wall in walls)]),
        exchanges=exchanges,
    )


def _name(facts: Facts, across: int) -> str:
    """A variant's name in lines that fit its column, under INVALID if the measurement is."""
    width = int(_width(across) / ADVANCE)
    mark = ["INVALID"] if facts.invalid else []
    return "\n".join([*mark, *textwrap.wrap(facts.variant.replace(",", ", "), width)])


def _width(across: int) -> float:
    """A panel's, about, in points."""
    return 0.78 * WIDTH * 72 / across


def _head(axes: Axes, facts: Facts, name: str, notes: Sequence[str]) -> None:
    """Name, connection and notes above a column: the title keeps blank lines free for all but the name."""
    lines = [*facts.connection.split(", "), *notes]
    axes.set_title(name + "\n" * len(lines), size=SIZE, color=ALARM if facts.invalid else INK)
    axes.annotate(
        "\n".join(lines),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        size=SIZE,
        color=QUIET,
    )


def _frame(run: Run, variants: Sequence[Facts]) -> Frame:
    subtitle = f"{run.title}. {run.question}" if run.question else run.title
    found = comparison({facts.variant: facts.metrics for facts in variants})
    alarms = [f"INVALID, {facts.variant}: {cause}" for facts in variants for cause in facts.invalid]
    if run.broken_off:
        alarms.append(f"CUT SHORT: the run was {run.status}")
    claims = [run.claims] if run.claims else []
    return Frame(found or run.title, subtitle if found else run.question, alarms, footer(run, claims))
