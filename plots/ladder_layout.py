"""Where the segments of a ladder stand: their order kept, and time stretched where they crowd. Pure.

Lengths are in inches, downwards. Time is not to scale: an instant stands below the one before by a little,
and by the logarithm of the time between them; instants of one side far enough apart for their texts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen.analysis.packets.beside import Happening
from loadgen.analysis.packets.connection import Connection, Transit, arrivals
from loadgen.analysis.packets.states import Span, shown, spans
from loadgen.analysis.packets.wording import remark
from loadgen.tcp import Side

LEAST, DECADE = 0.06, 0.06
"""From one instant to the next, and more for each power of ten of the microseconds between them."""
ROW = 0.25
"""From one instant of a side to its next: a line of text."""
NOTE = 0.17
"""Room for a remark below a segment."""
SLOPE = 0.15
"""How far an arrow falls at least."""
BREAK_NS, BREAK = 100_000_000, 0.5
"""The time from which on the axis is broken, and the room for that."""
MARK = 0.17
"""Room for a second line below an instant."""
TAIL = 0.9
"""The room of a state whose end is after the last segment."""
HEAD_SEGMENTS, TAIL_SEGMENTS = 24, 40
"""Of a longer connection the first and the last segments are drawn."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """A segment: where it leaves its side and arrives at the other. `crossed`: the part of its way, from 0 to
    1, at which another one crosses it; None if none does."""

    transit: Transit
    top: float
    bottom: float
    crossed: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """A state of a side. `open_`: it goes on below, broken or without an end."""

    span: Span
    top: float
    bottom: float
    open_: bool


@dataclass(frozen=True, slots=True)
class Break:
    """The axis is broken around this height; `length_ns` of it, or `segments`, are left out."""

    at: float
    length_ns: int
    segments: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a ladder shows, placed. `instants` are those at the side of each: when, and where; `marks`
    what the script did there, in words."""

    arrows: Sequence[Arrow]
    bands: Mapping[Side, Sequence[Band]]
    breaks: Sequence[Break]
    instants: Mapping[Side, Sequence[tuple[int, float]]]
    marks: Mapping[Side, Sequence[tuple[str, float]]]
    height: float


def layout(connection: Connection) -> Layout:
    left_out = max(len(connection.transits) - HEAD_SEGMENTS - TAIL_SEGMENTS, 0)
    hidden = {id(one) for one in connection.transits[HEAD_SEGMENTS : HEAD_SEGMENTS + left_out]}
    closer = connection.closer
    heights: dict[tuple[int, bool], float] = {}
    last: dict[Side, float] = {}
    instants: dict[Side, list[tuple[int, float]]] = {side: [] for side in Side}
    marks: dict[Side, list[tuple[str, float]]] = {side: [] for side in Side}
    breaks: list[Break] = []
    y, before_ns, gap = 0.0, 0, False
    for t_ns, side, one, sent in _everything(connection):
        if not isinstance(one, Happening) and id(one) in hidden:
            gap = True
            continue
        step = LEAST + DECADE * math.log10(1 + (t_ns - before_ns) / 1000)
        if t_ns - before_ns >= BREAK_NS or gap:
            step = BREAK
            breaks.append(Break(y + BREAK / 2, t_ns - before_ns, left_out if gap else 0))
        y = max(y + step, last.get(side, -ROW) + ROW)
        if isinstance(one, Happening):
            marks[side].append((one.words, y))
            instants[side].append((t_ns, y))
            last[side] = y + MARK
            before_ns, gap = t_ns, False
            continue
        if not sent and (id(one), True) in heights:
            y = max(y, heights[id(one), True] + SLOPE)
        heights[id(one), sent] = y
        instants[side].append((t_ns, y))
        below = NOTE if remark(one) else 0
        last[side] = y + (MARK if one is closer and sent else below)
        # One that does not arrive has no lower end that would keep its room.
        y += SLOPE if one.received_ns is None else 0
        before_ns, gap = t_ns, False
    drawn = [one for one in connection.transits if id(one) not in hidden]
    arrows = _arrows(drawn, heights)
    found = spans(connection)
    lasting = any(
        of_side and (of_side[-1].expected or of_side[-1].end_ns is None) for of_side in found.values()
    )
    bottom = y + (TAIL if lasting else ROW)
    bands = {
        side: [_band(span, instants[side], bottom) for span in of_side] for side, of_side in found.items()
    }
    bands = {side: [band for band in placed if band.bottom > band.top] for side, placed in bands.items()}
    return Layout(arrows, bands, breaks, instants, marks, bottom + ROW)


def _everything(connection: Connection) -> list[tuple[int, Side, Transit | Happening, bool]]:
    """What each side sees, and what the script does, in order of time."""
    done = [(one.t_ns, one.side, one, False) for one in shown(connection)]
    return sorted([*arrivals(connection), *done], key=lambda each: each[0])


def _arrows(drawn: Sequence[Transit], heights: Mapping[tuple[int, bool], float]) -> list[Arrow]:
    """The arrows, and where they cross, so that their texts can keep away from there."""
    ends = [
        (
            heights.get((id(one), True), heights.get((id(one), False), 0.0) - SLOPE),
            heights.get((id(one), False), heights.get((id(one), True), 0.0) + SLOPE),
        )
        for one in drawn
    ]

    def crossed(place: int) -> float | None:
        top, bottom = ends[place]
        for number, other in enumerate(drawn):
            above, below = ends[number]
            if other.by is not drawn[place].by and above <= bottom and top <= below:
                return (below - top) / (bottom - top + below - above)
        return None

    return [Arrow(one, *ends[place], crossed(place)) for place, one in enumerate(drawn)]


def _band(span: Span, instants: Sequence[tuple[int, float]], bottom: float) -> Band:
    """A state from the instant that begins it to the one that ends it; the nearest drawn ones."""
    top = next((y for t_ns, y in instants if t_ns >= span.start_ns), bottom)
    if span.end_ns is None or span.expected:
        return Band(span, top, bottom, open_=True)
    end = next((y for t_ns, y in instants if t_ns >= (span.end_ns or 0)), bottom)
    return Band(span, top, end, open_=False)
