# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The panels of the driver's counts over time: rates, connect time, errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from loadgen.text.numbers import count, duration, significant
from plots.axes import WIDE, count_axis, log_axis, top_of
from plots.columns import Floats, Rates
from plots.labels import STRIP, draw_line, say_silent
from plots.series import averaged
from plots.style import ERRORS, FIRST, FOURTH, SECOND, THIRD, say

ROUNDS = 10
"""Kept connections that begin together end together: the rate is averaged over so many rounds of them."""
LEFT = 10
"""The fewest points that averaging leaves of a short run."""
FEW, ENOUGH = 10, 40
"""If intervals have fewer connections than `FEW`, a mean is drawn over as many as have `ENOUGH`."""
LEFT_OF_FEW = 100
"""The fewest points that this leaves: a short run is drawn as it was recorded."""
DIFFERENT = 0.05
"""Rates whose means differ by less are one line: connections in flight alone make such a difference."""


NOT_AVAILABLE = "not available: the load generator is an external program"
"""The panel of a quantity that only churn's own drivers count."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a figure: its height in inches, and what draws it."""

    height: float
    draw: Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class Connections:
    """The rate of connections as it is drawn; `note` names the mean that it is, if it is one."""

    t_s: Floats
    per_s: Floats
    note: str


def connections_of(rates: Rates, kept: int | None) -> Connections:
    """Connections established per second, of `kept` ones the mean over several rounds of them, of few the
    mean over as many intervals as have enough.

    Kept ones begin and end in lockstep: an interval of 100 ms sees 64 of them end once or twice, or not at
    all.
    """
    recorded = Connections(rates.t_s, rates.seen(rates.connected), "")
    total = rates.total(rates.connected)
    if not total:
        return recorded
    span_s, step_s = float(rates.length_s.sum()), float(np.median(rates.length_s))
    if kept:
        steps = round(min(ROUNDS * kept * span_s / total, span_s / LEFT) / step_s)
    else:
        # Of four or five in an interval the rate would jump between two values.
        each = rates.connected * rates.length_s
        usual = float(np.median(each[each > 0]))
        steps = int(min(ENOUGH / usual, span_s / step_s / LEFT_OF_FEW)) if usual < FEW else 1
    if steps <= 1 and not rates.bucket_s:
        return recorded
    over_s = max(steps * step_s, 2 * rates.bucket_s)
    seen = rates.observed
    if not seen.any():
        return recorded
    t_s, per_s = averaged(rates.t_s[seen], rates.length_s[seen], rates.connected[seen], over_s)
    return Connections(t_s, per_s, f"connections: means of {significant(over_s, 2)} s")


def rate_panel(rates: Rates, kept: int | None, end_s: float) -> Panel:
    """Connections established; exchanges, attempts and offered requests if their rates differ."""

    def draw(axes: Axes) -> None:
        connections = connections_of(rates, kept)
        axes.set_title("; ".join(part for part in ("Rates, per second", connections.note) if part))
        if not rates.t_s.size:
            return say(axes, "no intervals were recorded")
        shown = [("connections established", rates.connected, FIRST)]
        for label, rate, stroke in (
            ("exchanges", rates.exchanges, SECOND),
            ("attempts", rates.attempts, FOURTH),
            ("offered", rates.offered, THIRD),
        ):
            if rate.any() and all(differ(rate, other) for _, other, _ in shown):
                shown.append((label, rate, stroke))
        (label, _, stroke), *others = shown
        draw_line(axes, connections.t_s, connections.per_s, stroke, label)
        for other, rate, look in others:
            draw_line(axes, rates.t_s, rates.seen(rate), look, other)
        means = [float(rate.mean()) for _, rate, _ in shown if rate.any()]
        if means and max(means) > WIDE * min(means):
            drawn = np.concatenate([connections.per_s, *(rate for _, rate, _ in others)])
            some = drawn[drawn > 0]
            log_axis(axes, float(some.min()) / 1.5, 1.5 * float(some.max()))
            say_silent(axes, connections.t_s, connections.per_s, end_s, STRIP)
        else:
            count_axis(axes, top_of(rate for _, rate, _ in shown))
        return None

    return Panel(1.45, draw)


def connect_panel(rates: Rates) -> Panel:
    """Quantiles of the connect time of each interval, and the mean CPU time of the calls in it."""
    known = np.concatenate([rates.connect_p50_s, rates.connect_p99_s, rates.connect_cpu_s])
    known = known[known > 0]

    def draw(axes: Axes) -> None:
        axes.set_title("Connect time, from connect() to established")
        if rates.timed is not None and known.size:
            axes.set_title(f"of {count(rates.timed)} timed calls", loc="right", weight="normal")
        if not known.size and rates.from_samples:
            return say(axes, NOT_AVAILABLE)
        if not known.size:
            return say(axes, "nothing was established" if rates.t_s.size else "no intervals were recorded")
        axes.set_yscale("log")
        draw_line(axes, rates.t_s, rates.seen(rates.connect_p99_s), SECOND, "p99")
        draw_line(axes, rates.t_s, rates.seen(rates.connect_p50_s), FIRST, "p50")
        if np.isfinite(rates.connect_cpu_s).any():
            draw_line(axes, rates.t_s, rates.seen(rates.connect_cpu_s), THIRD, "CPU, mean")
        # Whole decades, so that there are always two ticks at least.
        low, high = np.floor(np.log10(0.9 * known.min())), np.ceil(np.log10(known.max()))
        axes.set_ylim(10**low, 10 ** max(high, low + 1))
        axes.yaxis.set_major_formatter(lambda value, _: duration(value))
        axes.yaxis.set_minor_locator(NullLocator())
        return None

    return Panel(1.2 if known.size else 0.45, draw)


def error_panel(rates: Rates) -> Panel:
    """Errors by kind; one line of text if there were none."""

    def draw(axes: Axes) -> None:
        axes.set_title("Errors, per second")
        errors = rates.errors
        if errors is None:
            return say(axes, NOT_AVAILABLE)
        kinds = list(errors)
        if not kinds:
            cut = f"; the end of the run cut {count(rates.cut)} attempts" if rates.cut else ""
            return say(axes, f"no errors{cut}" if rates.t_s.size else "no intervals were recorded")
        for kind, stroke in zip(kinds, ERRORS, strict=False):
            label = f"{count(rates.total(errors[kind]))} {kind}"
            draw_line(axes, rates.t_s, rates.seen(errors[kind]), stroke, label)
        if kinds[len(ERRORS) :]:
            axes.set_title(f"and {len(kinds) - len(ERRORS)} rarer kinds", loc="right", weight="normal")
        count_axis(axes, top_of(errors.values()))
        return None

    return Panel(1.0 if rates.errors else 0.45, draw)


def differ(rate: Floats, other: Floats) -> bool:
    """Whether two rates are worth two lines."""
    return bool(rate.size and np.abs(rate - other).mean() > DIFFERENT * max(rate.mean(), other.mean()))
