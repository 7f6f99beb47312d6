"""Numbers as people read them: in tables, axis ticks, labels and sentences. Never nan."""

import math


def count(value: float) -> str:
    """A count in full: `14,116`."""
    return f"{round(value):,}"


def significant(value: float, most: int = 3) -> str:
    """Three significant digits, or `most`, no exponent: `17,300`, `639`, `0.85`."""
    if value == 0:
        return "0"
    digits = most - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    if digits <= 0:
        return f"{rounded:,.0f}"
    return f"{rounded:,.{digits}f}".rstrip("0").rstrip(".")


def rate(per_s: float) -> str:
    """A rate with three significant digits: `17,300/s`."""
    return f"{significant(per_s)}/s"


def seconds(value: float) -> str:
    """Seconds with three significant digits: `22.5 s`."""
    return f"{significant(value)} s"


def percent(share: float) -> str:
    """A share of one: `43%`."""
    return f"{share:.0%}"


def si(value: float) -> str:
    """An axis tick: `0`, `500`, `28k`, `1.5M`."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def duration(value_s: float) -> str:
    """A time in the unit that fits, with three digits: `10 µs`, `1.5 ms`, `2 s`."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        # Within rounding: 1e-3 may come as 0.00099999.
        if value_s >= factor * 0.9999:
            return f"{value_s / factor:.3g} {unit}"
    return f"{value_s / 1e-9:.3g} ns"
