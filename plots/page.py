# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The page around the panels: headline above, footer below; and writing it to a file.

Lengths are in points, 72 an inch.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from loadgen.text.visible import LINE_BREAKS, visible
from plots.columns import Columns
from plots.facts import Facts, Run
from plots.labels import settle
from plots.style import ALARM, INK, QUIET, SMALL, TEXT, TITLE, WIDTH, house_style, say

MARGIN = 12.0
LEADING = 1.4
"""From line to line, in sizes of the type."""
SYSCTLS = ("ip_local_port_range", "tcp_tw_reuse", "tcp_fin_timeout", "tcp_max_tw_buckets")
"""The client's sysctls that affect its ports: shown under every figure (K7, K12, K5, K14)."""


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a line: its size in points, colour and weight."""

    size: float
    color: str
    weight: str = "normal"

    def keywords(self) -> dict[str, Any]:
        return {"size": self.size, "color": self.color, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class Frame:
    """The texts around the panels. Alarms are shown in red boxes."""

    title: str
    subtitle: str
    alarms: Sequence[str]
    footer: str


def variant_frame(columns: Columns, facts: Facts, title: str) -> Frame:
    """The frame of a figure of one variant."""
    alarms = [f"INVALID: {cause}" for cause in facts.invalid]
    if not columns.empty and (columns.load_end_s is None or facts.run.broken_off):
        alarms.append(f"CUT SHORT: the records end at {columns.last_s:.1f} s")
    values = columns.sysctls.get(columns.scope.leg.opener, {})
    names = dict.fromkeys((*facts.asked_sysctls, *SYSCTLS))
    sysctls = [f"{name} {values[name]}" for name in names if name in values]
    subtitle = ": ".join(part for part in (facts.variant, facts.configuration) if part)
    notes = [
        *([f"client {', '.join(sysctls)}"] if sysctls else []),
        *(f"note: {note}" for note in facts.caveats),
    ]
    return Frame(title, subtitle, alarms, footer(facts.run, notes))


def footer(run: Run, notes: Sequence[str]) -> str:
    """The origin of a figure."""
    parts = [f"run {run.id}"]
    parts += [f"churn {run.churn}"] if run.churn else []
    parts += [f"kernel {run.kernel}"] if run.kernel else []
    parts += ["--quick: narrowed and shortened"] if run.quick else []
    return " · ".join([*parts, *notes])


def page(frame: Frame, height: float) -> Figure:
    """A figure whose panels get `height` inches; the frame's lines are added above and below."""
    head = [
        *_lines(frame.title, Type(TITLE, INK, "bold")),
        *_lines(frame.subtitle, Type(TEXT + 0.5, QUIET)),
        *(line for alarm in frame.alarms for line in _lines(alarm, Type(TEXT + 1, ALARM, "bold"))),
    ]
    foot = _lines(frame.footer, Type(SMALL, QUIET))
    above = 1.5 * MARGIN + sum(LEADING * type_.size for _, type_ in head)
    below = MARGIN + sum(LEADING * type_.size for _, type_ in foot)
    total = height * 72 + above + below
    figure = Figure(figsize=(WIDTH, total / 72))
    left = MARGIN / (WIDTH * 72)
    y = total - MARGIN
    for text, type_ in head:
        alarm = type_.color == ALARM
        box = {"edgecolor": ALARM, "facecolor": "#fff0f0", "linewidth": 1.0, "pad": 1.5} if alarm else None
        # An alarm's box needs some air above.
        at = (y - 3 * alarm) / total
        figure.text(left, at, text, va="top", in_layout=False, bbox=box, **type_.keywords())
        y -= LEADING * type_.size
    y = below - MARGIN / 2
    for text, type_ in foot:
        figure.text(left, y / total, text, va="top", in_layout=False, **type_.keywords())
        y -= LEADING * type_.size
    room = (left / 2, below / total, 1 - left, height * 72 / total)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=room))
    return figure


def nothing_page(frame: Frame, why: str = "There are no samples and no intervals: nothing to draw") -> Figure:
    """A figure without data, which says so."""
    figure = page(frame, 1.5)
    axes = figure.add_subplot()
    axes.axis("off")
    say(axes, why)
    return settle(figure)


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix: the same figure gives the same bytes."""
    dated = {"Date": None} if path.suffix == ".svg" else {}
    with house_style():
        figure.savefig(path, metadata={"Title": path.stem, **dated})


def _lines(text: str, type_: Type) -> list[tuple[str, Type]]:
    """`text` in lines that fit the page, by the mean width of a character, rounded up."""
    advance = type_.size * (0.6 if type_.weight == "bold" else 0.56)
    # A control character has no picture, and no place in an SVG.
    shown = visible(text, keep=LINE_BREAKS)
    return [(line, type_) for line in textwrap.wrap(shown, int((WIDTH * 72 - 2 * MARGIN) / advance))]
