# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The panel of what held the client's ports: its sockets by state, stacked, under the limit.

TIME-WAIT may be at another viewpoint, and then it holds none of them: those are lines over the areas.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from loadgen.tcp import State
from loadgen.text.numbers import count
from plots.columns import Columns
from plots.labels import SIZE, draw_line
from plots.series import broken, thinned
from plots.sockets import Floats, Sockets, gap_s
from plots.style import HALO, LIMIT, QUIET, STATES, UMBER, Stroke, waiting_strokes

PARTS = 200
"""A panel is a part of a page: the extremes of so many parts of the time are kept."""
MADE_BY_THE_END = 0.5
"""The share of the sockets after the load from which on its end is said to have made them."""
MANY = 0.25
"""A state after the load is named if it has so many sockets, of the most that the load itself had in one."""
VISIBLE = 0.01
"""An area below this part of the panel is a line on its axis: the key leaves it out."""
OPACITY = 0.72
"""Of areas: lines over them stay visible."""
SMALL = SIZE - 0.5
ADVANCE = 0.58 * SMALL
"""The mean width of a character of a heading, in points."""


@dataclass(frozen=True, slots=True)
class Holder:
    """States that are one area, and its colour."""

    name: str
    states: tuple[State, ...]
    color: str


def _own(*states: State, name: str = "") -> Holder:
    return Holder(name or str(states[0]), states, STATES[states[-1]].color)


HOLDERS = (
    _own(State.TIME_WAIT),
    _own(State.CLOSE_WAIT),
    _own(State.ESTABLISHED),
    _own(State.FIN_WAIT_1, State.FIN_WAIT_2, name="FIN-WAIT"),
    _own(State.SYN_SENT),
    Holder("other states", (State.SYN_RECEIVED, State.LAST_ACK, State.CLOSING), "#a8a8a8"),
)
"""From the bottom to the top: what lasts longest first."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A line above a panel."""

    text: str
    color: str


@dataclass(frozen=True, slots=True)
class Held:
    """What held the ports of `opener`: shape (n,) each, in the order of `HOLDERS`, empty ones left out."""

    opener: str
    t_s: Floats
    areas: Mapping[Holder, Floats]
    waiting: Mapping[str, Floats]
    """TIME-WAITs at the other viewpoints."""
    load_end_s: float

    @property
    def most(self) -> float:
        """The most sockets that are drawn at any height."""
        lines = [float(np.nanmax(line)) for line in self.waiting.values()]
        return max([0.0, *lines, *([float(np.nanmax(sum(self.areas.values())))] if self.areas else [])])

    @property
    def holder(self) -> Holder | None:
        """What held most ports while the load lasted, on average; None if nothing did."""
        loaded = (self.t_s >= 0) & (self.t_s <= self.load_end_s)
        sums = {holder: float(np.nansum(area[loaded])) for holder, area in self.areas.items()}
        longest = max(sums, key=lambda holder: sums[holder], default=None)
        return longest if longest and sums[longest] else None

    def peak(self, sockets: Floats) -> tuple[float, float]:
        """The most of them while the load lasted, and after it."""
        loaded, known = (self.t_s >= 0) & (self.t_s <= self.load_end_s), np.isfinite(sockets)
        after = self.t_s > self.load_end_s
        during, later = (float(np.max(sockets, initial=0.0, where=part & known)) for part in (loaded, after))
        return during, later


def held_in(columns: Columns) -> Held:
    sockets, opener = columns.sockets, columns.scope.leg.opener
    return Held(
        opener=opener,
        t_s=sockets.t_s,
        areas=_areas(sockets, opener),
        waiting={name: counts[State.TIME_WAIT] for name, counts in sockets.counts.items() if name != opener},
        load_end_s=columns.end_s,
    )


def _areas(sockets: Sockets, opener: str) -> dict[Holder, Floats]:
    counts = sockets.counts.get(opener, {})
    areas = {
        holder: np.sum([counts[state] for state in holder.states if state in counts], axis=0)
        for holder in HOLDERS
        if any(state in counts for state in holder.states)
    }
    return {holder: area for holder, area in areas.items() if np.nanmax(area) > 0}


def draw_held(axes: Axes, held: Held, strokes: Mapping[str, Stroke]) -> None:
    """The areas, and the lines over them, each viewpoint's in its stroke."""
    at_s, _ = broken(held.t_s, held.t_s, gap_s(held.t_s))
    areas = [broken(held.t_s, area, gap_s(held.t_s))[1] for area in held.areas.values()]
    tops = np.cumsum(areas, axis=0) if areas else np.zeros((0, at_s.size))
    kept = np.unique(np.concatenate([np.zeros(0, np.intp), *(thinned(top, PARTS) for top in tops)]))
    below = np.zeros(kept.size)
    for holder, top in zip(held.areas, tops, strict=True):
        axes.fill_between(
            at_s[kept], below, top[kept], color=holder.color, alpha=OPACITY, linewidth=0, label=holder.name
        )
        below = top[kept]
    for name, line in held.waiting.items():
        if np.nanmax(line) > 0:
            draw_line(axes, held.t_s, line, strokes[name], "")


def headings(held: Held, width: float) -> list[Heading]:
    """What held most ports, and the TIME-WAITs elsewhere: the most during the load, and what its end made.

    Against another variant's thousands an area of hundreds lies on the axis. A line is `width` points wide.
    """
    if not held.t_s.size:
        return [Heading("", QUIET)]
    peaks = {holder: held.peak(area) for holder, area in held.areas.items()}
    lines: list[Heading] = []
    if during := held.holder:
        lines.append(Heading(f"{held.opener} {count(peaks[during][0])} {during.name}", during.color))
    else:
        lines.append(Heading(f"{held.opener}: no ports held", QUIET))
    least = MANY * max((before for before, _ in peaks.values()), default=0.0)
    lines += [
        Heading(f"after the load {count(later)} {holder.name}", holder.color)
        for holder, (before, later) in peaks.items()
        if later >= least and _made(before, later)
    ]
    for name, line in held.waiting.items():
        before, later = held.peak(line)
        text = f"{name} {count(before)} TIME-WAIT"
        text += f", after the load {count(later)}" if _made(before, later) else ""
        lines.append(Heading(text, UMBER if before or later else QUIET))
    characters = int(width / ADVANCE)
    return [Heading(part, one.color) for one in lines for part in textwrap.wrap(one.text, characters)]


def _made(during: float, after: float) -> bool:
    return after > 0 and after - during >= MADE_BY_THE_END * after


def head(axes: Axes, lines: Sequence[Heading]) -> None:
    """Write the lines above a panel, each in its colour; the title keeps their room free."""
    first, *others = lines
    axes.set_title(first.text + "\n" * len(others), size=SMALL, weight="normal", color=first.color)
    for left, line in zip(range(len(others) - 1, -1, -1), others, strict=True):
        axes.annotate(
            line.text + "\n" * left,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            size=SMALL,
            color=line.color,
        )


def draw_ports(axes: Axes, ports: int) -> None:
    """The limit of the ports, named on its line."""
    axes.axhline(ports, **LIMIT.keywords(), zorder=1.5)
    axes.annotate(
        f"all {count(ports)} client ports",
        (0, ports),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, 4),
        textcoords="offset points",
        size=SMALL,
        color=QUIET,
        path_effects=HALO,
    )


def strokes_of(held: Sequence[Held]) -> dict[str, Stroke]:
    """The line of each viewpoint, the same in every panel."""
    return waiting_strokes(dict.fromkeys(name for one in held for name in one.waiting))


def key(held: Sequence[Held], top: float) -> dict[str, Artist]:
    """The areas and lines that any panel as high as `top` shows, by name."""
    found = {
        holder
        for one in held
        for holder, area in one.areas.items()
        if holder is one.holder or np.nanmax(area) >= VISIBLE * top
    }
    entries: dict[str, Artist] = {
        f"{_openers(held)} {holder.name}": Patch(facecolor=holder.color, alpha=OPACITY, linewidth=0)
        for holder in HOLDERS
        if holder in found
    }
    for name, stroke in strokes_of(held).items():
        if any(np.nanmax(one.waiting[name]) > 0 for one in held if name in one.waiting):
            entries[f"{name} TIME-WAIT"] = Line2D([], [], **stroke.keywords())
    return entries


def _openers(held: Sequence[Held]) -> str:
    return " or ".join(dict.fromkeys(one.opener for one in held))
