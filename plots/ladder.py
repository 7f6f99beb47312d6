# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The ladder: two lifelines, the state of each side along them, and every segment between as an arrow."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from loadgen.analysis.packets.connection import Connection, Transit
from loadgen.analysis.packets.wording import flags_of, instant, length, numbers_of, remark
from loadgen.records.segment import Flags
from loadgen.tcp import Side
from plots.ladder_layout import Arrow, Band, Break, Layout, layout
from plots.page import Frame, page
from plots.style import ALARM, BLUE, HALO, INK, QUIET, SMALL, STATES, TEXT, VERMILLION, house_style

LEFT, RIGHT = 2.8, 7.2
"""Where the lifelines stand, in inches of ten."""
BAND = 1.72
"""How wide the states are."""
HEAD = 0.55
"""The room above the first segment, for the names of the sides."""
NOTCH = 0.07


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
                x = LEFT - BAND / 2 if side is Side.CLIENT else RIGHT + BAND / 2
                axes.text(
                    x, bands[-1].bottom + 0.13, "CLOSED", ha="center", va="center", size=SMALL, color=QUIET
                )
        for arrow in placed.arrows:
            _arrow(axes, arrow)
        _times(axes, placed, connection.closer)
        return figure


def _sides(axes: Axes, connection: Connection, placed: Layout) -> None:
    for side, x, (_, port) in (
        (Side.CLIENT, LEFT, connection.client),
        (Side.SERVER, RIGHT, connection.server),
    ):
        axes.plot([x, x], [-0.1, placed.height - 0.05], color=INK, linewidth=1.0, zorder=1)
        axes.text(x, -0.34, side.value, ha="center", size=TEXT + 2, weight="bold")
        axes.text(x, -0.18, f"port {port}", ha="center", size=SMALL, color=QUIET)


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
    words = band.span.state.value
    middle = band.top + tall / 2
    shift = -NOTCH / 2 if side is Side.CLIENT else NOTCH / 2
    if band.open_:
        _tear(axes, left, band.bottom - 0.3)
        middle = band.top + (tall - 0.42) / 2
        below = "expected: ends by its timer" if band.span.expected else "no end in the capture"
        axes.text(
            left + BAND / 2 + shift,
            band.bottom - 0.09,
            below,
            ha="center",
            va="center",
            size=SMALL,
            color=color,
        )
    if band.span.length_ns is not None:
        words += f"   {length(band.span.length_ns)}"
    axes.text(
        left + BAND / 2 + shift,
        middle,
        words,
        ha="center",
        va="center",
        size=TEXT - 0.8,
        weight="bold",
        color=color,
    )


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
    axes.text(
        5,
        one.at,
        f"{left_out}{length(one.length_ns)}",
        ha="center",
        va="center",
        size=SMALL,
        color=QUIET,
        style="italic",
    )


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
        "arrowstyle": "-|>,head_length=0.45,head_width=0.17",
        "color": color,
        "linewidth": 1.25,
    }
    if transit.repeat:
        style["linestyle"] = (0, (5, 2))
    axes.annotate("", tip, (begin, arrow.top), arrowprops={**style, "shrinkA": 0, "shrinkB": 0}, zorder=6)
    if transit.lost:
        axes.plot(
            *([part] for part in tip), marker="x", markersize=9, markeredgewidth=2.2, color=ALARM, zorder=8
        )
    # Where two cross there is no room for text.
    along = 0.5 if arrow.crossed is None else 0.28 if arrow.crossed > 0.5 else 0.72
    x, y = begin + (end - begin) * along, arrow.top + (arrow.bottom - arrow.top) * along
    note = remark(transit)
    text = f"{flags_of(transit)}   {numbers_of(transit)}" + (f"   {note}" if note else "")
    strong = transit.segment.has(Flags.FIN | Flags.RST | Flags.SYN)
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        size=TEXT - 1.2,
        color=color,
        weight="bold" if strong else "normal",
        path_effects=HALO,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
        zorder=7,
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
