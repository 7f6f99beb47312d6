# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The panels of the samples: sockets by state, a panel for each viewpoint, with the limits."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from loadgen.tcp import State
from loadgen.text.numbers import count, si, significant
from plots.axes import count_axis
from plots.columns import ROUNDING_S, Columns
from plots.facts import Facts
from plots.labels import draw_limit, draw_line, name_end
from plots.panels import Panel
from plots.series import crest
from plots.sockets import Sockets
from plots.style import STATES, Stroke, say
from plots.tracked_panel import tracked_panel

IN_SIGHT = 0.25
"""A limit is drawn if a quarter of it is reached: otherwise it would only flatten the curves."""
MINOR = 0.05
"""States whose peak is below this part of the panel would lie on its axis: those that last have their own."""
MOST = 6
"""The most lines in the panel of minor states; its title counts the others."""
LASTING_S = 0.05
"""Connections pass through most states within milliseconds: one in which they stay so long says something."""
A_FEW = 10
"""So few sockets say nothing."""
WINDOW_S = 1.0
"""It has to be so over such a time."""
CRESTS = 60
"""Minor states change from sample to sample: the outline is drawn, of so many parts of the time."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One state of one viewpoint, and the most sockets that were in it."""

    viewpoint: str
    state: State
    peak: float


def state_panels(columns: Columns, facts: Facts) -> list[Panel]:
    """A panel for each viewpoint, all on one scale, and one for states too few to see there that last."""
    sockets = columns.sockets
    if not sockets.counts:
        return [Panel(0.45, _draw_nothing)]
    curves = [
        Curve(viewpoint, state, sockets.peak(viewpoint, state))
        for viewpoint in sockets.counts
        for state in STATES
        if state in sockets.counts[viewpoint]
    ]
    limits = {viewpoint: limits_of(columns, facts, viewpoint) for viewpoint in sockets.counts}
    top = 1.08 * max([1.0, *(c.peak for c in curves), *(y for ys in limits.values() for y, _ in ys)])
    minor = [c for c in curves if c.state is not State.TIME_WAIT and c.peak < MINOR * top]
    major = [c for c in curves if c not in minor]
    lasting = [c for c in minor if lasts(columns, c)]
    panels = [
        tracked_panel(name, sockets.t_s, columns.tracked[name])
        if name in columns.tracked
        else _viewpoint_panel(sockets, name, [c for c in major if c.viewpoint == name], limits[name], top)
        for name in sockets.counts
    ]
    opener = columns.scope.leg.opener
    # That a load has connections open is no news.
    telling = any(c.state is not State.ESTABLISHED for c in lasting)
    return [*panels, _minor_panel(sockets, lasting, opener)] if telling else panels


def lasts(columns: Columns, curve: Curve) -> bool:
    """Whether connections stayed in a state: for a second, more of them than were opened within `LASTING_S`.

    By Little's law the mean time in it is the mean number over the rate.
    """
    rates, sockets = columns.rates, columns.sockets
    counts = sockets.counts[curve.viewpoint][curve.state]
    known = np.isfinite(counts) & (sockets.t_s >= 0)
    at_s, counts = sockets.t_s[known], counts[known]
    ends_s = rates.t_s + rates.length_s / 2
    opened = rates.connected * rates.length_s
    first, instants_s = 0, at_s.tolist()
    while first < at_s.size:
        last = bisect_left(instants_s, instants_s[first] + WINDOW_S - ROUNDING_S)
        if last >= at_s.size:
            return False
        window = counts[first : last + 1]
        inside = (ends_s > at_s[first]) & (ends_s <= at_s[last])
        per_s = float(opened[inside].sum() / (at_s[last] - at_s[first]))
        if window.min() >= A_FEW and window.mean() >= LASTING_S * per_s:
            return True
        first = last
    return False


def limits_of(columns: Columns, facts: Facts, viewpoint: str) -> list[tuple[float, str]]:
    """The limits of a viewpoint's sockets that are nearly reached, with their names."""
    leg = columns.scope.leg
    waiting = columns.sockets.peak(viewpoint, State.TIME_WAIT)
    held = columns.sockets.most_ports if viewpoint == leg.opener else waiting
    limits: list[tuple[float, float, str]] = []
    if viewpoint == leg.opener:
        limits.append((held, facts.ports, f"all {count(facts.ports)} client ports"))
    if viewpoint == leg.accepter:
        # A tuple in TIME-WAIT is opened again (K13), and a client whose ports come back at once reuses ports
        # of one parity only (K8): there are so many tuples.
        limits.append((held, facts.ports / 2, f"half of {count(facts.ports)} client ports"))
    for other in columns.scope.viewpoints:
        if other.name == viewpoint != leg.opener and other.capacity is not None:
            most = max(columns.sockets.peak(viewpoint, state) for state in STATES)
            limits.append((most, other.capacity, f"all {count(other.capacity)} ports of {viewpoint}"))
    if facts.knee_ports is not None and viewpoint == leg.opener:
        limits.append((held, facts.knee_ports, f"predicted knee, {count(facts.knee_ports)}"))
    buckets = columns.sysctls.get(viewpoint, {}).get("tcp_max_tw_buckets", "")
    if buckets.isdecimal():
        limits.append((waiting, float(buckets), f"tcp_max_tw_buckets, {count(float(buckets))}"))
    return [(y, label) for reached, y, label in limits if y > 0 and reached >= IN_SIGHT * y]


def _viewpoint_panel(
    sockets: Sockets, viewpoint: str, curves: list[Curve], limits: list[tuple[float, str]], top: float
) -> Panel:
    busy = any(curve.peak for curve in curves)

    def draw(axes: Axes) -> None:
        axes.set_title(f"{viewpoint.capitalize()}: sockets by state")
        axes.set_title(_age(sockets, curves), loc="right", weight="normal")
        for curve in curves:
            label = f"{curve.state}, peak {count(curve.peak)}" if curve.peak else f"no {curve.state}"
            draw_line(axes, sockets.t_s, sockets.counts[viewpoint][curve.state], STATES[curve.state], label)
        for y, label in limits:
            draw_limit(axes, y, label)
        count_axis(axes, top, ticks=4 if busy else 2)

    return Panel(1.5 if busy else 0.6, draw)


def _minor_panel(sockets: Sockets, curves: list[Curve], opener: str) -> Panel:
    """The minor states of all viewpoints, down to one socket; lines of others than the opener are thinner."""
    ordered = sorted(curves, key=lambda curve: -curve.peak)

    def name(curve: Curve) -> str:
        return f"{curve.viewpoint} {curve.state}, peak {count(curve.peak)}"

    # The baseline is not drawn: averaged with the begin of the load it would show sockets before it.
    loaded = sockets.t_s >= 0
    at_s = sockets.t_s[loaded]
    buckets = min(CRESTS, at_s.size // 3)
    each = f", the most in every {significant(float(np.ptp(at_s)) / buckets, 2)} s" if buckets else ""

    def draw(axes: Axes) -> None:
        axes.set_title(f"Other states: sockets{each}")
        for curve in ordered[:MOST]:
            look = STATES[curve.state]
            width = look.width * (1.0 if curve.viewpoint == opener else 0.6)
            counts = sockets.counts[curve.viewpoint][curve.state][loaded]
            t_s, counts = crest(at_s, counts, buckets) if buckets else (at_s, counts)
            draw_line(axes, t_s, counts, Stroke(look.color, look.dashes, width), "")
            # Most of these end at zero, when the load does: they are distinguished by their height.
            name_end(axes, None, curve.peak, name(curve), look.color)
        left = len(ordered[MOST:])
        smaller = f"{left} smaller state{'s' if left > 1 else ''} not drawn" if left else ""
        notes = [note for note in (_age(sockets, ordered), smaller) if note]
        axes.set_title("; ".join(notes), loc="right", weight="normal")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, 1.5 * ordered[0].peak)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: si(value))

    return Panel(1.1, draw)


def _age(sockets: Sockets, curves: list[Curve]) -> str:
    """How long before their samples these states were read, TIME-WAIT never; empty if none was."""
    viewpoints = {curve.viewpoint for curve in curves if curve.state is not State.TIME_WAIT}
    oldest_s = max((sockets.oldest_s[viewpoint] for viewpoint in viewpoints), default=0.0)
    named = "all but TIME-WAIT " if any(curve.state is State.TIME_WAIT for curve in curves) else ""
    return f"{named}read up to {oldest_s:.1f} s before" if oldest_s else ""


def _draw_nothing(axes: Axes) -> None:
    axes.set_title("Sockets by state")
    say(axes, "no samples were recorded")
