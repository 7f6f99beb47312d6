# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""Labels beside what they name, which never overlap.

A line is named right of the panel, or beside its last point if there is room for it in the panel; a limit
right of the panel; a place on the x axis in a strip above the panels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import offset_copy

from loadgen.records.events import Gap
from plots.columns import Floats
from plots.series import drawable, lone
from plots.style import HALO, HATCH, INK, LEADER, LIMIT, QUIET, SHADE, TEXT, WIDTH, Stroke

END = "end-label"
"""The gid of labels that `settle` may move."""
SIZE = TEXT - 1
PITCH = 1.25 * SIZE
"""Points from one label's middle to the next one's."""
ADVANCE = 0.62 * SIZE
"""The mean width of a character, rounded up, in points."""
INDENT = 10.0
"""Points between an end label and what it stands beside: the panel's edge, or a line's last point."""
ROW = 1.5 * SIZE
STRIP = 0.62 * WIDTH * 72
"""The least width of a strip, in points: what the end labels and the y ticks leave of a page."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place on the x axis; `strong` if it is a result and not only an event."""

    x: float
    text: str
    strong: bool = False


def draw_line(axes: Axes, t_s: Floats, y: Floats, stroke: Stroke, label: str) -> None:
    """A line named at its end; single points get a dot. Nothing if all values are missing."""
    if not np.isfinite(y).any():
        return
    t_s, y = drawable(t_s, y)
    axes.plot(t_s, y, **stroke.keywords())
    alone = lone(y)
    if alone.any():
        axes.plot(
            t_s[alone],
            y[alone],
            linestyle="none",
            marker="o",
            markersize=3,
            color=stroke.color,
        )
    last = np.flatnonzero(np.isfinite(y))[-1]
    name_end(axes, float(t_s[last]), float(y[last]), label, stroke.color)


def hatch(axes: Axes, gaps: Sequence[Gap]) -> None:
    """Hatch the spans in which nothing was observed: the lines are broken there."""
    spans = [(gap.start_ns / 1e9, (gap.end_ns - gap.start_ns) / 1e9) for gap in gaps]
    if spans:
        axes.broken_barh(
            spans,
            (0, 1),
            transform=axes.get_xaxis_transform(),
            facecolor="none",
            edgecolor=HATCH,
            hatch="////",
            linewidth=0,
            zorder=0,
        )


def shade(axes: Axes, load_end_s: float | None) -> None:
    """Shade the time without load, before it and after its end."""
    first_s, last_s = axes.get_xlim()
    if first_s < 0:
        axes.axvspan(first_s, 0, color=SHADE, linewidth=0, zorder=0)
    if load_end_s is not None and load_end_s < last_s:
        axes.axvspan(load_end_s, last_s, color=SHADE, linewidth=0, zorder=0)


def rule(axes: Axes, instants_s: Sequence[float]) -> None:
    """Vertical lines at instants that the timeline names."""
    for instant_s in instants_s:
        axes.axvline(instant_s, color="#777777", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1.4)


def draw_limit(axes: Axes, y: float, label: str) -> None:
    """A horizontal limit line, named at the right."""
    axes.axhline(y, **LIMIT.keywords(), zorder=1.5)
    name_end(axes, None, y, label, INK)


def name_end(axes: Axes, x: float | None, y: float, text: str, color: str) -> None:
    """Put `text` right of the panel and join it to (x, y); to the panel's edge if x is None.

    If the text fits between x and the edge, `settle` puts it there.
    """
    if not text:
        return
    column = offset_copy(axes.transAxes, axes.get_figure(root=True), x=INDENT, units="points")
    axes.annotate(
        text,
        (1.0 if x is None else x, y),
        xycoords=axes.get_yaxis_transform() if x is None else "data",
        xytext=(1.0, 0.5),
        textcoords=column,
        annotation_clip=False,
        arrowprops={
            "arrowstyle": "-",
            **LEADER.keywords(),
            "shrinkA": 1,
            "shrinkB": 0,
            "relpos": (0, 0.5),
        },
        color=color,
        size=SIZE,
        va="center",
        gid=END,
    )


def say_silent(axes: Axes, t_s: Floats, rate: Floats, end_s: float, width: float) -> None:
    """Name the longest stretch before `end_s` in which a rate is zero, which a log axis has no place for.

    Nothing is said of one too short for the words, in a panel of `width` points.
    """
    silent = np.flatnonzero((rate == 0) & (t_s <= end_s))
    if not silent.size:
        return
    stretches = np.split(t_s[silent], np.flatnonzero(np.diff(silent) > 1) + 1)
    longest = max(stretches, key=lambda stretch: float(np.ptp(stretch)))
    first_s, last_s = axes.get_xlim()
    if np.ptp(longest) / (last_s - first_s) * width < ADVANCE * len("established"):
        return
    axes.annotate(
        "nothing\nestablished",
        ((longest[0] + longest[-1]) / 2, 0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        size=SIZE,
        color=QUIET,
        ha="center",
        va="bottom",
    )


def draw_marks(strip: Axes, panels: Sequence[Axes], marks: Sequence[Mark], rows: Sequence[int]) -> None:
    """Vertical lines through the panels, named in the strip above them at the given `rows`."""
    height = max(rows, default=0) + 1
    strip.set_ylim(0, height)
    strip.axis("off")
    for mark, row in zip(marks, rows, strict=True):
        width, color = (1.1, INK) if mark.strong else (0.7, "#777777")
        for panel in panels:
            panel.axvline(mark.x, color=color, linewidth=width, linestyle=(0, (2, 2)), zorder=1.4)
        if not mark.text:
            continue
        strip.plot([mark.x, mark.x], [0, row + 0.85], color=color, linewidth=width, clip_on=False)
        strip.annotate(
            mark.text,
            (mark.x, row + 0.5),
            xytext=(3, 0),
            textcoords="offset points",
            annotation_clip=False,
            size=SIZE,
            color=color,
            weight="bold" if mark.strong else "normal",
            va="center",
        )


def strip_height(rows: Sequence[int]) -> float:
    """The height of a strip of marks, in inches."""
    return ROW / 72 * (max(rows, default=-1) + 1) + 0.01


def mark_rows(marks: Sequence[Mark], span: float) -> list[int]:
    """The strip's row of each mark, 0 the lowest; marks come in order of x, as wide an axis as `span`.

    A label runs to the right of its line. So an earlier one goes above all later ones that begin
    beneath it, and no line crosses a label.
    """
    starts = [mark.x / span * STRIP for mark in marks]
    rows = [0] * len(marks)
    named = [index for index, mark in enumerate(marks) if mark.text]
    for index in reversed(named):
        end = starts[index] + ADVANCE * len(marks[index].text) * (1.1 if marks[index].strong else 1) + 6
        under = [rows[later] for later in named if later > index and starts[later] < end]
        rows[index] = max(under, default=-1) + 1
    return rows


def settle(figure: Figure) -> Figure:
    """Lay the figure out for good, then move the end labels of each panel apart. Returns the figure."""
    for axes in figure.axes:
        low, high = sorted(axes.get_ylim())
        for label in _end_labels(axes):
            # A rate of zero has no place on a log axis: its label points to the edge it fell off.
            label.xy = (label.xy[0], min(max(label.xy[1], low), high))
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    # None at all: before it writes a file, matplotlib would draw once more for one that does nothing.
    figure.set_layout_engine(None)
    for axes in figure.axes:
        # The layout's solver leaves the last bits of a position to chance, and files would show it.
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))
        labels = _end_labels(axes)
        box = axes.get_window_extent()
        width, height = box.width / figure.dpi * 72, box.height / figure.dpi * 72
        named = [_named(axes, label) for label in labels]
        beside = [
            (1 - x) * width > INDENT + ADVANCE * len(label.get_text())
            for label, (x, _) in zip(labels, named, strict=True)
        ]
        # On the floor of a panel a label would lie on the axis; right of it, it continues the line.
        margin = PITCH / 2 if any(beside) else 0.0
        placed = spread([y * height for _, y in named], PITCH, margin, height - margin)
        for label, (x, _), inside, y in zip(labels, named, beside, placed, strict=True):
            label.set_position((x if inside else 1.0, y / height))
            label.set_path_effects([*HALO] if inside else [])
    return figure


def _end_labels(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation) and text.get_gid() == END]


def spread(wanted: Sequence[float], pitch: float, low: float, high: float) -> list[float]:
    """Positions at least `pitch` apart inside [low, high], as near to the wanted ones as can be.

    Least squares, by pooling neighbours that touch (isotonic regression). Where they cannot all fit,
    they share the room evenly.
    """
    count = len(wanted)
    if count > 1:
        pitch = min(pitch, (high - low) / (count - 1))
    order = sorted(range(count), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        total, size = wanted[index] - rank * pitch, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            total, size = total + pools[-1][0], size + pools[-1][1]
            pools.pop()
        pools.append((total, size))
    bases = [total / size for total, size in pools for _ in range(size)]
    top = max(low, high - (count - 1) * pitch)
    placed = [0.0] * count
    for rank, index in enumerate(order):
        placed[index] = min(max(bases[rank], low), top) + rank * pitch
    return placed


def _named(axes: Axes, label: Annotation) -> tuple[float, float]:
    """Where in the panel the point is that a label names, 0 to 1 both ways."""
    transform = axes.transData if label.xycoords == "data" else axes.get_yaxis_transform()
    x, y = axes.transAxes.inverted().transform(transform.transform(label.xy))
    return min(max(float(x), 0.0), 1.0), min(max(float(y), 0.0), 1.0)
