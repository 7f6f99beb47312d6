"""Where connect() becomes slow because half of the ports are held, and whether the rate falls there.

Pure. Two findings, of which the second needs the first: the search for a port (K8) can slow connect() down
while the rate stays as it is, and a rate can fall for many other reasons. Both are sought where the ports
held cross half; the instant is found in the times of connect() alone, so that it can refute the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from loadgen.analysis.series import Point

LASTING = 3
"""Points that either side of a turn must have at least: a pause of the machine is no turn."""
REACH = 5
"""So many points before and after the crossing of half, the turn is sought."""
AROUND = 20
"""So many points on each side are compared."""
LEAST_SLOWING = 2.5
"""connect() is slower by this factor, at least. The search takes tens of times as long as no search, or five
times with few ports; other causes seldom last, and seldom begin where half of the ports are held."""
LEAST_FALL = 1.5
"""The rate falls to two thirds or less. Connections that are kept for many requests lose little by a slow
connect()."""
STEADY = 0.98
"""The share of half of the ports that is still held after the crossing: they come and go."""


@dataclass(frozen=True, slots=True)
class Turn:
    """connect() becomes slow: when, how many ports the client held, give or take `ports_error`, and how long
    it took before and after, in ns. `fell`: whether the rate fell there, from `rate_before` to
    `rate_after`."""

    time_ns: int
    ports: int
    ports_error: int
    connect_before_ns: float
    connect_after_ns: float
    rate_before: float
    rate_after: float

    @property
    def fell(self) -> bool:
        return self.rate_after * LEAST_FALL <= self.rate_before


def crossing(series: Sequence[Point], ports: int) -> int | None:
    """The index of the first point at whose end more than half of the ports are held, and stay so."""
    half = ports / 2
    held = [0.0 if one.held is None else one.held for one in series]
    for index, count in enumerate(held):
        if count >= half and all(later >= STEADY * half for later in held[index + 1 : index + 1 + LASTING]):
            return index
    return None


def from_the_start(series: Sequence[Point], ports: int) -> bool:
    """Whether more than half of the ports were held before there was a rate to compare with."""
    index = crossing(series, ports)
    return index is not None and index < LASTING


def turn(series: Sequence[Point], ports: int, blind: Sequence[bool]) -> Turn | None:
    """The turn of a load; None if connect() did not become slow where half of the ports are held.

    `blind` says of each point if a gap touches it: what happened there was not seen.
    """
    middle = crossing(series, ports)
    if middle is None or middle < LASTING:
        return None
    gone = next((index for index in range(middle, len(series)) if series[index].no_port), len(series))
    seen = [
        index
        for index in range(max(middle - AROUND - REACH, 0), min(middle + AROUND + REACH + 1, gone))
        if series[index].connect_ns is not None and not blind[index]
    ]
    best: tuple[float, int] | None = None
    for mixed in range(max(middle - REACH, LASTING), min(middle + REACH + 1, len(series))):
        before, after = _around(seen, mixed)
        if blind[mixed] or len(before) < LASTING or len(after) < LASTING:
            continue
        cost = sum(_scatter([series[index] for index in part]) for part in (before, after))
        if best is None or cost < best[0]:
            best = cost, mixed
    if best is None:
        return None
    mixed = best[1]
    before, after = ([series[index] for index in part] for part in _around(seen, mixed))
    fast_ns, slow_ns = (median(one.connect_ns or 0.0 for one in part) for part in (before, after))
    if slow_ns < LEAST_SLOWING * fast_ns:
        return None
    return _placed(series, mixed, gone, blind, fast_ns, slow_ns)


def _around(seen: Sequence[int], mixed: int) -> tuple[list[int], list[int]]:
    """The points before and after one, of those that were seen."""
    before = [index for index in seen if mixed - AROUND <= index < mixed]
    return before, [index for index in seen if mixed < index <= mixed + AROUND]


def _scatter(part: Sequence[Point]) -> float:
    """How much the times of connect() scatter, in the sum of squares of their logarithms."""
    logs = np.log([max(one.connect_ns or 1.0, 1.0) for one in part])
    return float(((logs - logs.mean()) ** 2).sum())


def _placed(
    series: Sequence[Point], mixed: int, gone: int, blind: Sequence[bool], fast_ns: float, slow_ns: float
) -> Turn:
    """The turn within a point that ran partly as before and partly as after.

    If the rate falls, the point's count shows when; otherwise the middle of it is as good as any instant.
    """
    one = series[mixed]
    near = series[max(mixed - LASTING, 0) : mixed], series[mixed + 1 : mixed + 1 + LASTING]
    fast, slow = (median(point.per_s for point in part) for part in near)
    length_s = one.length_ns / 1e9
    if fast >= LEAST_FALL * slow:
        fast_s = min(max((one.connected - slow * length_s) / (fast - slow), 0.0), length_s)
    else:
        fast_s = length_s / 2
    made = min(fast * fast_s / one.connected, 1.0) if one.connected else 0.0
    begun, ended = series[mixed - 1].held or 0.0, one.held or 0.0
    return Turn(
        time_ns=one.start_ns + round(fast_s * 1e9),
        ports=round(begun + made * (ended - begun)),
        ports_error=round(abs(ended - begun) / 2),
        connect_before_ns=fast_ns,
        connect_after_ns=slow_ns,
        rate_before=rate([point for index, point in enumerate(series[:mixed]) if not blind[index]]),
        rate_after=rate([series[index] for index in range(mixed + 1, gone) if not blind[index]]),
    )


def rate(series: Sequence[Point]) -> float:
    """Connections established per second over some points; 0 if they have no length."""
    length_ns = sum(one.length_ns for one in series)
    return sum(one.connected for one in series) * 1e9 / length_ns if length_ns > 0 else 0.0
