# matplotlib's stubs leave **kwargs untyped, which makes each drawing call "partially unknown".
# pyright: reportUnknownMemberType=false
"""The axes of rates and counts: their ends and their ticks."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from loadgen.text.numbers import si
from plots.sockets import Floats

WIDE = 30
"""Quantities further apart than this factor need a log axis to be seen together."""
MANY = 300
"""On an axis that spans more than this factor, ticks between the powers of ten would crowd."""


def log_axis(axes: Axes, low: float, high: float) -> None:
    """A log axis of rates from `low` to `high`: a rate of zero is drawn at its lower end."""
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < MANY * low else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: si(value))
    axes.yaxis.set_minor_locator(NullLocator())


def count_axis(axes: Axes, top: float, ticks: int = 4) -> None:
    """A linear axis from zero, with ticks at round numbers."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: si(value))


def top_of(rates: Iterable[Floats]) -> float:
    """The upper end of a linear axis of these rates."""
    return 1.08 * max((float(rate.max()) for rate in rates if rate.size), default=0.0) or 1.0
