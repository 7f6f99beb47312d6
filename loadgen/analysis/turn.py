"""The knee: where connect() becomes slow, half of the ports being held, and whether the rate falls there.

Pure. Two findings, of which the second needs the first: the search for a port (K8) can slow connect() down
while the rate stays as it is, as in an open loop that is slower than the search, and a rate can fall for many
other reasons. Both are sought where the ports held cross half; the instant is found in the times of connect()
alone, so that it can refute the model. If the rate does not fall, connect() has to be fast all the time
before and slow all the time after, and to use more CPU time, as a search does and a call that waits does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from loadgen.analysis.series import LASTING, Point, crossing
from loadgen.model.predict import VISIBLE_FALL

REACH = 5
"""So many points before and after the crossing of half, the turn is sought."""
AROUND = 20
"""So many points on each side are compared."""
NEAR = 0.035
"""If the first point ends with at most so many more than half of the ports, its end is taken for the
crossing: the ports are off by no more than that, and its rate counts as the one before."""
ALIKE = 0.1
"""Two points are equally likely to be the one of the turn if their sums of squares differ by less: connect()
in a single point scatters by that."""
LEAST_SLOWING = 2.5
"""connect() is slower by this factor, at least. The search takes tens of times as long as no search, or five
times with few ports; other causes seldom last, and seldom begin where half of the ports are held."""

APART = 0.75
"""If the rate does not fall, so many of all points before the turn are fast, and of those after it slow: a
machine that other programs keep busy is slow at times, before half of the ports are held and after."""
ENOUGH = 6
"""Then so many points, at least, are on either side: by chance, a few are fast and the next few slow."""

MORE_CPU = 1.5
"""If the rate does not fall, connect() uses this much more CPU time after the turn, at least."""


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
        return self.rate_after * VISIBLE_FALL <= self.rate_before


def from_the_start(series: Sequence[Point], ports: int) -> bool:
    """Whether more than half of the ports were held within the first point: there is no rate before."""
    return crossing(series, ports) == 0 and (series[0].held or 0.0) > (1 + NEAR) * ports / 2


def turn(series: Sequence[Point], ports: int, blind: Sequence[bool]) -> Turn | None:
    """The turn of a load; None if connect() did not become slow where half of the ports are held.

    `blind` says of each point if a gap touches it: what happened there was not seen.
    """
    middle = crossing(series, ports)
    if middle is None or from_the_start(series, ports):
        return None
    gone = next((index for index in range(middle, len(series)) if series[index].no_port), len(series))
    seen = [
        index
        for index in range(max(middle - AROUND - REACH, 0), min(middle + AROUND + REACH + 1, gone))
        if series[index].connect_ns is not None and not blind[index]
    ]
    calm_ns = _calm(series, seen)
    costs = {
        mixed: _scatter([[calm_ns[index] for index in part] for part in parts])
        for mixed in range(max(middle - REACH - LASTING, 1), min(middle + REACH + LASTING + 1, len(series)))
        if all(parts := _around(seen, mixed))
    }
    if not costs:
        return None
    mixed = _mixed(series, seen, costs)
    before, after = _around(seen, mixed)
    # A turn too far off, in a gap or at the end is none, but it is sought there: else it would be seen
    # beside it.
    if abs(mixed - middle) > REACH or any(blind[mixed - 1 : mixed + 2]):
        return None
    # Few ports are half held within two intervals: one before it has to do.
    if len(after) < LASTING:
        return None
    fast_ns, slow_ns = (median(_connect_ns(series, part)) for part in (before, after))
    just_before, just_after = before[-LASTING:], after[:LASTING]
    near_ns = [median(_connect_ns(series, part)) for part in (just_before, just_after)]
    if slow_ns < LEAST_SLOWING * fast_ns or near_ns[1] < LEAST_SLOWING * near_ns[0]:
        return None
    rates = [median(series[index].per_s for index in part) for part in (just_before, just_after)]
    time_ns, held, error = _placed(series[mixed - 1].held or 0.0, series[mixed], rates[0], rates[1])
    found = Turn(
        time_ns=time_ns,
        ports=round(held),
        ports_error=round(error),
        connect_before_ns=fast_ns,
        connect_after_ns=slow_ns,
        rate_before=rate([point for index, point in enumerate(series[:mixed]) if not blind[index]]),
        rate_after=rate([series[index] for index in range(mixed + 1, gone) if not blind[index]]),
    )
    if found.fell:
        return found
    parts = [[series[index] for index in part] for part in (before, after)]
    apart = _apart(series[:gone], blind, ports, mixed, (fast_ns * slow_ns) ** 0.5)
    return found if apart and _works(*parts) else None


def _apart(series: Sequence[Point], blind: Sequence[bool], ports: int, mixed: int, border_ns: float) -> bool:
    """Whether connect() was faster than `border_ns` before a point, and slower after it, half of the ports
    being held: in most points, and not only in those near it."""
    known = [
        (index, one.connect_ns > border_ns)
        for index, one in enumerate(series)
        if one.connect_ns is not None and not blind[index] and index != mixed
    ]
    before = [not slow for index, slow in known if index < mixed]
    after = [slow for index, slow in known if index > mixed and (series[index].held or 0) >= ports / 2]
    return all(len(part) >= ENOUGH and sum(part) >= APART * len(part) for part in (before, after))


def _works(before: Sequence[Point], after: Sequence[Point]) -> bool:
    """Whether connect() used more CPU time after than before, if that was measured."""
    fast_ns, slow_ns = _cpu_ns(before), _cpu_ns(after)
    return fast_ns is None or slow_ns is None or slow_ns >= MORE_CPU * fast_ns


def _cpu_ns(part: Sequence[Point]) -> float | None:
    """The mean CPU time of a call of connect(); None if none was clocked."""
    calls = sum(one.clocked or 0 for one in part)
    return sum(one.clocked_cpu_ns or 0 for one in part) / calls if calls else None


def _mixed(series: Sequence[Point], seen: Sequence[int], costs: Mapping[int, float]) -> int:
    """The point in which connect() becomes slow: it ran partly as before and partly as after.

    Its own connect() is like those of one side, so that the times alone leave two neighbours equal: of those,
    it is the one without which the rates of either side scatter less.
    """
    best = min(costs, key=costs.__getitem__)
    equal = [one for one in (best - 1, best, best + 1) if one in costs and costs[one] <= costs[best] + ALIKE]
    return min(
        equal, key=lambda one: _scatter([[series[i].per_s for i in part] for part in _around(seen, one)])
    )


def _around(seen: Sequence[int], mixed: int) -> tuple[list[int], list[int]]:
    """The points before and after one, of those that were seen."""
    before = [index for index in seen if mixed - AROUND <= index < mixed]
    return before, [index for index in seen if mixed < index <= mixed + AROUND]


def _connect_ns(series: Sequence[Point], part: Sequence[int]) -> list[float]:
    return [series[index].connect_ns or 0.0 for index in part]


def _calm(series: Sequence[Point], seen: Sequence[int]) -> Mapping[int, float]:
    """connect() without what one point alone has: of each three, the one in the middle."""
    times_ns = _connect_ns(series, seen)
    return {
        index: median(times_ns[max(place - 1, 0) : place + 2])
        if 0 < place < len(seen) - 1
        else times_ns[place]
        for place, index in enumerate(seen)
    }


def _scatter(parts: Sequence[Sequence[float]]) -> float:
    """How much values scatter in their parts, in the sum of squares of their logarithms."""
    logs = [np.log(np.maximum(part, 1.0)) for part in parts]
    return sum(float(((one - one.mean()) ** 2).sum()) for one in logs)


def _placed(begun: float, mixed: Point, fast: float, slow: float) -> tuple[int, float, float]:
    """The instant of the turn within its point, the ports held then, and by how many they may be off.

    `begun`: the ports held at its begin; `fast` and `slow`: the rates before and after it. If the rate falls,
    the point's count shows when; otherwise the middle of it is as good as any instant, and a neighbour of it
    may as well be the one.
    """
    length_s = mixed.length_ns / 1e9
    falls = fast >= VISIBLE_FALL * slow
    fast_s = (mixed.connected - slow * length_s) / (fast - slow) if falls else length_s / 2
    fast_s = min(max(fast_s, 0.0), length_s)
    made = min(fast * fast_s / mixed.connected, 1.0) if mixed.connected else 0.0
    grown = (mixed.held or 0.0) - begun
    return mixed.start_ns + round(fast_s * 1e9), begun + made * grown, abs(grown) / (2 if falls else 1)


def rate(series: Sequence[Point]) -> float:
    """Connections established per second over some points; 0 if they have no length."""
    length_ns = sum(one.length_ns for one in series)
    return sum(one.connected for one in series) * 1e9 / length_ns if length_ns > 0 else 0.0
