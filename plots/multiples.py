# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""All variants of a run side by side: rate above what held the ports, every row on one scale."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from loadgen.analysis.headline import comparison
from plots.axes import WIDE, count_axis, log_axis, top_of
from plots.columns import Columns
from plots.facts import Facts, Run
from plots.holders import Held, draw_held, draw_ports, head, headings, held_in, key, strokes_of
from plots.labels import ADVANCE, SIZE, draw_line, hatch, rule, say_silent, settle, shade
from plots.page import Frame, asked_sysctls, footer, nothing_page, page
from plots.panels import Connections, connections_of, differ
from plots.states import IN_SIGHT
from plots.style import ALARM, FIRST, HATCH, INK, QUIET, SECOND, SHADE, WIDTH, Stroke, house_style, say

Variant = tuple[Columns, Facts]

ACROSS = 4
"""Columns before a new pair of rows begins."""
TICKS = 16
"""Ticks of time, over all columns of a row."""
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
        held = [held_in(columns) for columns, _ in variants]
        strokes, scale = strokes_of(held), _scale(variants, held)
        entries = _key(held, variants, scale)
        across = min(len(variants), ACROSS)
        blocks = [variants[start : start + across] for start in range(0, len(variants), across)]
        names = [_name(facts, across) for _, facts in variants]
        rates = [connections_of(columns.rates, facts.kept) for columns, facts in variants]
        # If any has a note, all have a line for it, so that the names are at one height.
        notes = [[rate.note] if any(rate.note for rate in rates) else [] for rate in rates]
        lines = max(name.count("\n") + len(note) for name, note in zip(names, notes, strict=True)) + 4
        heads = max(len(headings(one, _width(across))) for one in held)
        block_height = 2 * HEIGHT + (lines * 1.4 + heads * 1.2) * SIZE / 72 + 0.4
        key_height = _key_rows(entries) * 1.5 * SIZE / 72
        figure = page(frame, len(blocks) * block_height + key_height + 0.4)
        heights = [*[HEIGHT] * (2 * len(blocks)), key_height]
        grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
        for row, block in enumerate(blocks):
            for column, (variant, facts) in enumerate(block):
                above = figure.add_subplot(grid[2 * row, column])
                below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
                above.set_xlim(scale.first_s, scale.last_s)
                above.xaxis.set_major_locator(MaxNLocator(min(TICKS // across, 10), steps=[1, 2, 5, 10]))
                named, index = column == across - 1, row * across + column
                _draw_rate(above, variant, rates[index], scale, named, across)
                _draw_sockets(below, held[index], strokes, facts, scale, across)
                for axes, gaps in ((above, variant.load_gaps), (below, variant.sampler_gaps)):
                    shade(axes, variant.load_end_s)
                    hatch(axes, gaps)
                    rule(axes, variant.changes_s)
                _head(above, facts, names[index], notes[index])
                above.tick_params(labelbottom=False)
                per_second = "per second\n(dashed: exchanges)" if scale.exchanges else "per second"
                for axes, label in ((above, per_second), (below, f"{held[index].opener}'s ports,\nby state")):
                    axes.tick_params(labelleft=column == 0)
                    axes.set_ylabel(label if column == 0 else "")
                under = row == len(blocks) - 1 or column >= len(blocks[row + 1])
                below.set_xlabel("seconds since the load began" if under else "")
        _draw_key(figure.add_subplot(grid[-1, :]), entries)
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


def _draw_sockets(
    axes: Axes, held: Held, strokes: Mapping[str, Stroke], facts: Facts, scale: Scale, across: int
) -> None:
    if not held.t_s.size:
        say(axes, "no samples")
    draw_held(axes, held, strokes)
    head(axes, headings(held, _width(across)))
    count_axis(axes, scale.top_sockets)
    if facts.ports <= scale.top_sockets:
        draw_ports(axes, facts.ports)


def _draw_key(strip: Axes, entries: Mapping[str, Artist]) -> None:
    strip.axis("off")
    strip.legend(
        entries.values(),
        entries.keys(),
        loc="center left",
        bbox_to_anchor=(0, 0.5),
        ncols=-(-len(entries) // _key_rows(entries)),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.7,
        columnspacing=1.4,
        fontsize=SIZE,
        labelcolor=QUIET,
    )


def _key_rows(entries: Mapping[str, Artist]) -> int:
    """How many rows the key needs: each entry is its name, a swatch and some room."""
    width = sum(ADVANCE * len(name) + 4.5 * SIZE for name in entries)
    return max(1, ceil(width / (0.9 * WIDTH * 72)))


def _key(held: Sequence[Held], variants: Sequence[Variant], scale: Scale) -> dict[str, Artist]:
    entries = key(held, scale.top_sockets)
    if scale.first_s < 0 or any(columns.end_s < scale.last_s for columns, _ in variants):
        entries["no load"] = Patch(facecolor=SHADE, edgecolor=HATCH, linewidth=0.5)
    if any(columns.gaps for columns, _ in variants):
        entries["not observed"] = Patch(facecolor="none", edgecolor=HATCH, hatch="////", linewidth=0)
    return entries


def _scale(variants: Sequence[Variant], held: Sequence[Held]) -> Scale:
    drawn = [columns for columns, _ in variants if not columns.empty]
    exchanges = any(differ(columns.rates.connected, columns.rates.exchanges) for columns in drawn)
    rates = [columns.rates.connected for columns in drawn]
    # A command reports no exchanges.
    measured = [columns.rates.exchanges for columns in drawn if not columns.rates.from_samples]
    rates += measured if exchanges else []
    means = [float(rate.mean()) for rate in rates if rate.any()]
    log = bool(means) and max(means) > WIDE * min(means)
    most = max(one.most for one in held)
    walls = [facts.ports for _, facts in variants if most >= IN_SIGHT * facts.ports]
    return Scale(
        first_s=min([0.0, *(float(columns.sockets.t_s.min(initial=0.0)) for columns in drawn)]),
        last_s=max([columns.last_s for columns in drawn]) or 1.0,
        top_rate=1.4 * top_of(rates) if log else top_of(rates),
        low_rate=min(means) / 10 if log else 0.0,
        # Room for the limit's name above its line.
        top_sockets=max([1.0, 1.08 * most, *(1.22 * wall for wall in walls)]),
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
    lines = [*(facts.connection or facts.load).split(", "), *notes]
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
    notes = [*([run.claims] if run.claims else []), *asked_sysctls(variants)]
    return Frame(found or run.title, subtitle if found else run.question, alarms, footer(run, notes))
