# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The ladder: two lifelines, the state of each side along them, and every segment between as an arrow."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from loadgen.analysis.packets.connection import Connection, Transit
from loadgen.analysis.packets.wording import flags_of, instant, lasted, length, numbers_of, remark
from loadgen.records.segment import Flags
from loadgen.tcp import Side
from plots.ladder_layout import Arrow, Band, Break, Layout, layout
from plots.page import Frame, page
from plots.style import ALARM, BLUE, HALO, INK, QUIET, STATES, TEXT, VERMILLION, house_style

LEFT, RIGHT = 2.8, 7.2
"""Where the lifelines stand, in inches of ten."""
BAND = 1.72
"""How wide the states are."""
HEAD = 0.62
"""The room above the first segment, for the names of the sides."""
NOTCH = 0.07
SMALL = TEXT - 0.5
"""The smallest type: a page of documents shows the figure at half of its size."""
TWO_LINES = 0.46
"""A state that is so tall has its length below its name."""
LIFT, CHARACTER, STEEP = 0.03, 0.062, 0.3
"""From an arrow to its text; how wide a character is; and how far an arrow falls whose text falls with it."""


def ladder(connection: Connection, title: str, subtitle: str, footer: str) -> Figure:
    """The figure of one connection."""
    with house_style():
        placed = layout(connection)
        height = placed.height + HEAD
        figure = page(Frame(title, subtitle, (), footer), height)
        axes = figure.add_subplot()
        axes.set_xlim(0, 10)
        axes.set_ylim(placed.height, -HEAD)
        axes.axis("off")
        _sides(axes, connection, placed)
        for at in placed.breaks:
            _broken(axes, at)
        for side, bands in placed.bands.items():
            for band in bands:
                _band(axes, side, band)
            if bands and not bands[-1].open_:
                _beside(axes, side, bands[-1].bottom + 0.14, "CLOSED", color=QUIET)
        for arrow in placed.arrows:
            _arrow(axes, arrow)
        _times(axes, placed, connection.closer)
        _marks(axes, placed)
        return figure


def _sides(axes: Axes, connection: Connection, placed: Layout) -> None:
    for side, x, (_, port) in (
        (Side.CLIENT, LEFT, connection.client),
        (Side.SERVER, RIGHT, connection.server),
    ):
        axes.plot([x, x], [-0.1, placed.height - 0.05], color=INK, linewidth=1.0, zorder=1)
        axes.text(x, -0.36, side.value, ha="center", size=TEXT + 3, weight="bold")
        axes.text(x, -0.17, f"port {port}", ha="center", size=SMALL, color=QUIET)
        # What a side is in before its first segment, where there is room for it.
        if side is Side.SERVER and placed.bands[side] and placed.bands[side][0].top > 0.3:
            _beside(axes, side, placed.bands[side][0].top - 0.13, "LISTEN", color=QUIET)


def _beside(axes: Axes, side: Side, y: float, words: str, **style: Any) -> None:
    """A text in the middle of a side's states."""
    out = -1 if side is Side.CLIENT else 1
    x = (LEFT if side is Side.CLIENT else RIGHT) + out * (BAND + NOTCH) / 2
    looks: dict[str, Any] = {"size": SMALL, **style}
    axes.text(x, y, words, ha="center", va="center", **looks)


def _band(axes: Axes, side: Side, band: Band) -> None:
    """A state beside the lifeline, with its name and length inside."""
    color = STATES[band.span.state].color
    left = LEFT - BAND if side is Side.CLIENT else RIGHT
    tint = tuple(0.80 + 0.20 * part for part in to_rgb(color))
    tall = band.bottom - band.top
    edge = LEFT - NOTCH if side is Side.CLIENT else RIGHT
    axes.add_patch(Rectangle((left, band.top), BAND, tall, facecolor=tint, edgecolor="white", linewidth=1.2))
    axes.add_patch(
        Rectangle((edge, band.top), NOTCH, tall, facecolor=color, edgecolor="white", linewidth=0.8)
    )
    middle = band.top + tall / 2
    if band.open_:
        _tear(axes, left, band.bottom - 0.33)
        middle = band.top + (tall - 0.45) / 2
        below = "expected: ends by timer" if band.span.expected else "no end captured"
        if band.span.restarted:
            below = "60 s from the last FIN"
        _beside(axes, side, band.bottom - 0.13, below, color=color)
    name, how_long = band.span.state.value, "" if band.span.length_ns is None else lasted(band.span)
    strong: dict[str, Any] = {"weight": "bold", "color": color, "size": TEXT}
    if how_long and tall - 0.45 * band.open_ >= TWO_LINES:
        _beside(axes, side, middle - 0.085, name, **strong)
        _beside(axes, side, middle + 0.095, how_long, color=color)
    else:
        _beside(axes, side, middle, f"{name}  {how_long}".strip(), **{**strong, "size": TEXT - 0.6})


def _tear(axes: Axes, left: float, at: float) -> None:
    """Two zigzags across a state: it is longer than drawn."""
    steps = 12
    xs = [left + BAND * step / steps for step in range(steps + 1)]
    ys = [at + (0.035 if step % 2 else -0.035) for step in range(steps + 1)]
    axes.fill_between(
        xs, [y - 0.03 for y in ys], [y + 0.03 for y in ys], color="white", linewidth=0, zorder=3
    )


def _broken(axes: Axes, one: Break) -> None:
    """A span of time that is not to scale, across both lifelines."""
    for x in (LEFT, RIGHT):
        axes.plot([x, x], [one.at - 0.06, one.at + 0.06], color="white", linewidth=3, zorder=4)
        for y in (one.at - 0.06, one.at + 0.06):
            axes.plot([x - 0.08, x + 0.08], [y + 0.03, y - 0.03], color=INK, linewidth=0.9, zorder=5)
    left_out = f"{one.segments:,} segments left out, " if one.segments else ""
    axes.plot(
        [LEFT + 0.15, RIGHT - 0.15], [one.at, one.at], color=QUIET, linewidth=0.7, linestyle=(0, (1, 3))
    )
    words = f"{left_out}{length(one.length_ns)}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2.5}
    style: dict[str, Any] = {"size": SMALL, "color": QUIET, "style": "italic", "bbox": box}
    axes.text(5, one.at, words, ha="center", va="center", **style)


def _color(transit: Transit) -> str:
    segment = transit.segment
    if segment.has(Flags.RST):
        return ALARM
    if segment.has(Flags.FIN):
        return VERMILLION
    if segment.has(Flags.SYN):
        return INK
    return BLUE if segment.size else QUIET


def _arrow(axes: Axes, arrow: Arrow) -> None:
    transit, color = arrow.transit, _color(arrow.transit)
    begin, end = (LEFT, RIGHT) if transit.by is Side.CLIENT else (RIGHT, LEFT)
    reach = 0.84 if transit.received_ns is None else 0.97 if transit.ignored else 1.0
    tip = begin + (end - begin) * reach, arrow.top + (arrow.bottom - arrow.top) * reach
    style: dict[str, Any] = {
        "arrowstyle": "-|>,head_length=0.5,head_width=0.2",
        "color": color,
        "linewidth": 1.3,
    }
    if transit.repeat:
        style["linestyle"] = (0, (5, 2))
    axes.annotate("", tip, (begin, arrow.top), arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, zorder=6)
    if transit.lost:
        axes.plot(
            *([part] for part in tip), marker="x", markersize=9, markeredgewidth=2.2, color=ALARM, zorder=8
        )
    # Where two cross there is no room for text.
    along = 0.5 if arrow.crossed is None else 0.23 if arrow.crossed > 0.5 else 0.77
    x, y = begin + (end - begin) * along, arrow.top + (arrow.bottom - arrow.top) * along
    strong = transit.segment.has(Flags.FIN | Flags.RST | Flags.SYN)
    text = f"{flags_of(transit)}   {numbers_of(transit)}"
    fall = arrow.bottom - arrow.top
    if fall > STEEP:
        # The axes are in inches.
        slope = math.degrees(math.atan2(-fall if transit.by is Side.CLIENT else fall, RIGHT - LEFT))
        lift = LIFT
    else:
        slope, lift = 0.0, LIFT + fall / (RIGHT - LEFT) * CHARACTER * len(text) / 2
    upright: dict[str, Any] = {
        "ha": "center",
        "rotation": slope,
        "rotation_mode": "anchor",
        "path_effects": HALO,
        "zorder": 7,
    }
    axes.text(
        x,
        y - lift,
        text,
        va="bottom",
        size=TEXT - 0.3,
        color=color,
        weight="bold" if strong else "normal",
        **upright,
    )
    if note := remark(transit):
        axes.text(
            x,
            y + lift,
            note,
            va="top",
            size=SMALL,
            color=ALARM if transit.lost else color,
            style="italic",
            **upright,
        )


def _times(axes: Axes, placed: Layout, closer: Transit | None) -> None:
    """The instants at the outer side of each side's states; the first closer is marked."""
    for side, instants in placed.instants.items():
        client = side is Side.CLIENT
        x = LEFT - BAND - 0.1 if client else RIGHT + BAND + 0.1
        align = "right" if client else "left"
        for t_ns, y in instants:
            axes.text(x, y, instant(t_ns), ha=align, va="center", size=SMALL, color=QUIET)
            edge = LEFT - BAND if client else RIGHT + BAND
            axes.plot(
                [edge, edge + (0.09 if client else -0.09)], [y, y], color="white", linewidth=1.0, zorder=2
            )
        if closer is not None and closer.by is side:
            y = next((y for t_ns, y in instants if t_ns == closer.at_ns), 0.0)
            axes.text(
                x, y + 0.15, "closes first", ha=align, va="center", size=SMALL, weight="bold", color=ALARM
            )
            axes.plot([LEFT if client else RIGHT], [y], marker="o", markersize=6, color=ALARM, zorder=9)


def _marks(axes: Axes, placed: Layout) -> None:
    """What the script did: on the lifeline of its side, with its name below the instant."""
    for side, marks in placed.marks.items():
        client = side is Side.CLIENT
        x = LEFT - BAND - 0.1 if client else RIGHT + BAND + 0.1
        for words, y in marks:
            style: dict[str, Any] = {"ha": "right" if client else "left", "va": "center", "size": SMALL}
            axes.text(x, y + 0.15, words, weight="bold", color=INK, **style)
            line = LEFT if client else RIGHT
            axes.plot([line], [y], marker="D", markersize=6, color=INK, markeredgecolor="white", zorder=9)
