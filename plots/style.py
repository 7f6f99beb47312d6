# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""How every figure looks: colours, dashes, weights, type.

Colours are Okabe and Ito's, safe for colour-blind readers; dashes and weights distinguish the lines
in grey as well. Lengths are in points, 72 an inch.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from loadgen.tcp import State

INK, QUIET, GRID, SHADE, ALARM = "#1a1a1a", "#595959", "#e3e3e3", "#f1f1f1", "#a40000"
HATCH = "#c9c9c9"
UMBER = "#7a3400"
"""The colour of TIME-WAIT, dark enough for a line over an area of it."""
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#007a5a",
    "#a8497f",
    "#b87b00",
    "#3a94c9",
)
"""Okabe-Ito, the light ones darkened until their labels can be read on white."""

WIDTH = 10.0
"""Inches: a slide's width at 150 dots an inch is 1,500 pixels."""
TITLE, TEXT, SMALL = 13.0, 9.0, 7.5


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line's look."""

    color: str
    dashes: str | tuple[float, tuple[float, ...]] = "-"
    width: float = 1.5

    def keywords(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.dashes, "linewidth": self.width}


DASHED, DOTTED, MIXED, LONG = (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2))
LIMIT = Stroke(INK, LONG, 0.9)
LEADER = Stroke("#8c8c8c", (0, (1, 2)), 0.7)
"""The line from a label to its place: thin, light and dotted, so that it is not taken for data."""
FIRST, SECOND = Stroke(BLUE, width=1.8), Stroke(ORANGE, DASHED)
THIRD, FOURTH = Stroke(QUIET, DOTTED), Stroke(PURPLE, MIXED)
"""The lines of quantities without a style of their own, by weight."""
ERRORS = (
    Stroke(VERMILLION, width=1.8),
    Stroke(BLUE, DASHED),
    Stroke(PURPLE, MIXED),
    Stroke(GREEN, DOTTED),
    Stroke(ORANGE, LONG),
)
HALO = (withStroke(linewidth=3, foreground="white"),)
"""Keeps text readable that is drawn on lines."""
STATES: Mapping[State, Stroke] = {
    State.TIME_WAIT: Stroke(VERMILLION, width=2.2),
    State.ESTABLISHED: Stroke(BLUE, width=1.3),
    State.CLOSE_WAIT: Stroke(PURPLE, DASHED, 1.8),
    State.LAST_ACK: Stroke(ORANGE, DASHED),
    State.FIN_WAIT_1: Stroke(SKY, DOTTED),
    State.FIN_WAIT_2: Stroke(GREEN, MIXED),
    State.CLOSING: Stroke(INK, MIXED),
    State.SYN_SENT: Stroke(INK, DOTTED),
    State.SYN_RECEIVED: Stroke(QUIET, DASHED),
}
"""The states of connections, in the order in which panels name them; listeners are none."""
_ELSEWHERE = (DASHED, MIXED, DOTTED)


def waiting_strokes(viewpoints: Iterable[str]) -> dict[str, Stroke]:
    """The line of TIME-WAITs at each viewpoint that does not open connections: their dashes differ."""
    return {name: Stroke(UMBER, dashes, 1.8) for name, dashes in zip(viewpoints, cycle(_ELSEWHERE))}


_RC: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    # A dollar sign in a title is a dollar sign.
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": "#8c8c8c",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": QUIET,
    "axes.labelsize": TEXT,
    "axes.titlelocation": "left",
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlepad": 4.0,
    # Set, because matplotlib would otherwise search for ticks above the panel at each step of each drawing.
    "axes.titley": 1.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": "#8c8c8c",
    "ytick.color": "#8c8c8c",
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": TEXT - 1,
    "ytick.labelsize": TEXT - 1,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.dpi": 150,
    # Outlines look the same in every viewer and slide, whatever fonts it has.
    "svg.fonttype": "path",
    # Ids come from this salt and not from chance: the same records give the same bytes.
    "svg.hashsalt": "churn",
    "hatch.linewidth": 0.5,
}


@contextmanager
def house_style() -> Generator[None]:
    """The look, in force inside the block only, whatever the user's own matplotlib settings are."""
    with matplotlib.style.context(dict(_RC), after_reset=True):
        yield


def say(axes: Axes, text: str) -> None:
    """Write a text in the middle of a panel that has nothing to draw."""
    axes.set_yticks([])
    axes.grid(False)
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=QUIET, path_effects=HALO
    )
