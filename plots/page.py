# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The page around the panels: headline above, footer below; and writing it to a file.

Lengths are in points, 72 an inch.
"""

import textwrap
from collections.abc import Mapping, Sequence
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


def variant_frame(columns: Columns, facts: Facts, title: str, notes: Sequence[str] = ()) -> Frame:
    """The frame of a figure of one variant; `notes` are of this figure alone."""
    alarms = [f"INVALID: {cause}" for cause in facts.invalid]
    if not columns.empty and (columns.load_end_s is None or facts.run.broken_off):
        alarms.append(f"CUT SHORT: the records end at {columns.last_s:.1f} s")
    subtitle = ": ".join(part for part in (facts.variant, facts.configuration) if part)
    notes = [
        *notes,
        *(f"{side} {', '.join(sysctls)}" for side, sysctls in _sysctls(columns, facts).items()),
        *(f"note: {note}" for note in facts.caveats),
    ]
    return Frame(title, subtitle, alarms, footer(facts.run, notes))


def _sysctls(columns: Columns, facts: Facts) -> Mapping[str, Sequence[str]]:
    """Those that the scenario sets on each side, before those that every figure shows of the client.

    Values are those in force; of a sysctl that was not read back, the one that was set.
    """
    shown: dict[str, Sequence[str]] = {}
    opener = columns.scope.leg.opener
    for side in dict.fromkeys((opener, *facts.asked_sysctls)):
        asked, in_force = facts.asked_sysctls.get(side, {}), columns.sysctls.get(side, {})
        names = dict.fromkeys((*asked, *(SYSCTLS if side == opener else ())))
        values = {**asked, **in_force}
        shown[side] = [f"{name} {values[name]}" for name in names if name in values]
    return {side: sysctls for side, sysctls in shown.items() if sysctls}


def asked_sysctls(variants: Sequence[Facts]) -> list[str]:
    """The sysctls that a scenario sets, each with the variants that it is set for unless these are all."""
    setters: dict[str, list[str]] = {}
    for facts in variants:
        for side, asked in facts.asked_sysctls.items():
            for name, value in asked.items():
                setters.setdefault(f"{side} {name} {value}", []).append(facts.variant)
    return [
        setting if len(names) == len(variants) else f"{', '.join(names)}: {setting}"
        for setting, names in setters.items()
    ]


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
    width = int((WIDTH * 72 - 2 * MARGIN) / advance)
    # Names of variants have hyphens.
    return [(line, type_) for line in textwrap.wrap(shown, width, break_on_hyphens=False)]
