# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The phase portrait of a variant: the rate over the ports that are held.

Time is the colour. A client whose connects slow down at half of its ports (K8) and stop at the last
one draws a cliff and a wall here, however fast it got there.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from loadgen.text.numbers import count, rate, seconds, si
from plots.axes import WIDE, count_axis, log_axis
from plots.columns import Columns
from plots.facts import Facts
from plots.labels import SIZE, Mark, draw_limit, draw_marks, mark_rows, name_end, settle, strip_height
from plots.page import nothing_page, page, variant_frame
from plots.series import broken, thinned
from plots.sockets import Floats, gap_s
from plots.states import IN_SIGHT
from plots.style import HALO, INK, QUIET, house_style

LIGHTEST = 0.88
"""The colour map's end is left out: its yellow is hard to see on white."""
FAR = 3.0
"""A ceiling so many times above the highest rate is not drawn."""
MOST, SPIKES = 900, 150
"""The most points of a long run, and the number of equal parts of it whose extremes are kept."""


def ports_ran_short(columns: Columns, facts: Facts) -> bool:
    """Whether a portrait shows something: with few ports held, all of its points are at the left edge."""
    measured = facts.measured_knee_ports is not None or facts.measured_exhaustion_s is not None
    return measured or columns.sockets.most_ports >= IN_SIGHT * facts.ports


def portrait(columns: Columns, facts: Facts) -> Figure:
    """One point an interval: connections established per second, at the ports held in its middle."""
    with house_style():
        # The headline may have times of connect(), which no panel here shows.
        timed = columns.rates.timed
        notes = [] if timed is None else [f"times of connect(): of {count(timed)} timed calls"]
        frame = variant_frame(columns, facts, facts.headline, notes)
        t_s, ports, per_s = _points(columns)
        if not t_s.size:
            return nothing_page(frame, "No interval of the load lies between two samples: nothing to draw")
        # The limit is always shown: the distance from it is a result.
        right = 1.06 * max(float(ports.max()), facts.ports)
        marks = [mark for mark in _marks(facts) if mark.x <= right]
        rows = mark_rows(marks, right)
        figure = page(frame, 4.6 + strip_height(rows))
        grid = figure.add_gridspec(2, 1, height_ratios=[strip_height(rows), 4.6])
        strip = figure.add_subplot(grid[0])
        axes = figure.add_subplot(grid[1], sharex=strip)
        ceiling = _ceiling_in_sight(facts, per_s)
        floor = _scale(axes, per_s if ceiling is None else np.append(per_s, ceiling))
        _draw_path(figure, axes, t_s, ports, np.maximum(per_s, floor))
        if floor and not per_s.all():
            name_end(axes, None, floor, "nothing established", QUIET)
        if ceiling is not None:
            # A higher rate lasts only until the ports are used up: each is held for that time (K2, K7).
            held = seconds(facts.ports / ceiling)
            draw_limit(axes, ceiling, f"sustained ceiling, ports / {held} = {rate(ceiling)}")
        draw_marks(strip, [axes], marks, rows)
        strip.set_xlim(0, right)
        axes.set_xlabel("ports held by the client (TIME-WAIT included)")
        axes.set_ylabel("connections established per second")
        axes.xaxis.set_major_formatter(lambda value, _: si(value))
        return settle(figure)


def _points(columns: Columns) -> tuple[Floats, Floats, Floats]:
    """Time, ports and rate of each interval of the load whose ports are known, thinned."""
    rates = columns.rates
    ports = columns.sockets.ports_at(rates.t_s)
    known = rates.observed & np.isfinite(ports) & (rates.t_s >= 0) & (rates.t_s <= columns.end_s)
    t_s, ports, per_s = rates.t_s[known], ports[known], rates.connected[known]
    # The extremes and every nth of the rest: extremes alone would leave the middle empty.
    kept = np.union1d(thinned(per_s, SPIKES), np.arange(0, t_s.size, 1 + t_s.size // MOST))
    return t_s[kept], ports[kept], per_s[kept]


def _draw_path(figure: Figure, axes: Axes, t_s: Floats, ports: Floats, per_s: Floats) -> None:
    _, line_ports = broken(t_s, ports, gap_s(t_s))
    _, line_per_s = broken(t_s, per_s, gap_s(t_s))
    axes.plot(line_ports, line_per_s, color="#c4c4c4", linewidth=0.6, zorder=2)
    shades: NDArray[np.float64] = colormaps["viridis"](np.linspace(0.0, LIGHTEST, 256))
    points = axes.scatter(
        ports, per_s, c=t_s, cmap=ListedColormap(shades), s=16, linewidths=0, zorder=3, clip_on=False
    )
    bar = figure.colorbar(points, ax=axes, pad=0.02, fraction=0.03, aspect=30)
    bar.set_label("seconds since the load began")
    bar.outline.set_visible(False)
    for index, word, offset in ((0, "start", (-2, 9)), (-1, "end", (7, 0))):
        axes.annotate(
            word,
            (ports[index], per_s[index]),
            xytext=offset,
            textcoords="offset points",
            va="center",
            size=SIZE,
            weight="bold",
            color=INK,
            path_effects=HALO,
        )


def _ceiling_in_sight(facts: Facts, per_s: Floats) -> float | None:
    """The ceiling, unless it is so far above every rate that these would be drawn as zero."""
    ceiling = facts.ceiling_per_s
    return ceiling if ceiling and ceiling <= FAR * float(per_s.max()) else None


def _scale(axes: Axes, per_s: Floats) -> float:
    """Choose the rate axis. Returns where a rate of zero is drawn: at 0, or at a log axis' lower end."""
    some = per_s[per_s > 0]
    if some.size and some.max() > WIDE * some.min():
        floor = float(some.min()) / 2
        log_axis(axes, floor, 1.6 * float(some.max()))
        return floor
    count_axis(axes, 1.15 * max(float(per_s.max()), 1.0), ticks=6)
    return 0.0


def _marks(facts: Facts) -> list[Mark]:
    """The knee, predicted and measured, or where connect() alone became slow, and all ports."""
    marks: list[Mark] = []
    if facts.knee_ports is not None:
        marks.append(Mark(facts.knee_ports, f"predicted knee {count(facts.knee_ports)}"))
    if facts.measured_knee_ports is not None:
        held = count(facts.measured_knee_ports)
        marks.append(Mark(facts.measured_knee_ports, f"measured knee {held}", strong=True))
    if facts.measured_slow_ports is not None:
        held = count(facts.measured_slow_ports)
        marks.append(Mark(facts.measured_slow_ports, f"connect() slow from {held}", strong=True))
    marks.append(Mark(facts.ports, f"all {count(facts.ports)} ports", strong=True))
    return sorted(marks, key=lambda mark: mark.x)
