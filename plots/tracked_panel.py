# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The panel of a NAT's conntrack entries by state, beside its ports."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from loadgen.tcp import State, Tracked
from loadgen.text.numbers import count
from plots.axes import count_axis
from plots.labels import draw_limit, draw_line
from plots.panels import Panel
from plots.sockets import Floats
from plots.style import STATES, Stroke
from plots.tracked import TrackedEntries

STROKES: Mapping[Tracked, Stroke] = {
    Tracked.TIME_WAIT: STATES[State.TIME_WAIT],
    Tracked.ESTABLISHED: STATES[State.ESTABLISHED],
    Tracked.SYN_SENT: STATES[State.SYN_SENT],
    Tracked.CLOSE: STATES[State.LAST_ACK],
    Tracked.CLOSE_WAIT: STATES[State.CLOSE_WAIT],
    Tracked.FIN_WAIT: STATES[State.FIN_WAIT_2],
    Tracked.LAST_ACK: STATES[State.FIN_WAIT_1],
    Tracked.SYN_RECV: STATES[State.SYN_RECEIVED],
    Tracked.SYN_SENT2: STATES[State.CLOSING],
}
"""conntrack's states in the order in which the panel names them, in the colours of the TCP states nearest."""
MINOR = 0.05
"""States whose peak is below this part of the panel would lie on its axis."""
IN_SIGHT = 0.25
"""The NAT's ports are drawn as a limit if a quarter of them had an entry."""


def tracked_panel(viewpoint: str, t_s: Floats, entries: TrackedEntries) -> Panel:
    """conntrack's entries by state, beside the NAT's ports."""
    peaks = {state: float(np.nanmax(counts)) for state, counts in entries.counts.items()}
    highest = max([1.0, *peaks.values()])
    limited = highest >= IN_SIGHT * entries.ports
    top = 1.08 * max(highest, entries.ports if limited else 0.0)
    drawn = {state: peak for state in STROKES if (peak := peaks.get(state, 0.0)) >= MINOR * top}
    small = len(peaks) - len(drawn)
    notes = [f"{small} smaller state{'s' if small > 1 else ''} not drawn"] if small else []
    notes += [f"read up to {entries.oldest_s:.1f} s before"] if entries.oldest_s else []

    def draw(axes: Axes) -> None:
        axes.set_title(f"{viewpoint.upper()}: conntrack entries by state")
        axes.set_title("; ".join(notes), loc="right", weight="normal")
        for state, peak in drawn.items():
            draw_line(axes, t_s, entries.counts[state], STROKES[state], f"{state}, peak {count(peak)}")
        if limited:
            draw_limit(axes, entries.ports, f"all {count(entries.ports)} ports of the {viewpoint.upper()}")
        count_axis(axes, top, ticks=4)

    return Panel(1.5, draw)
