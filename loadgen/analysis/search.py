"""The part of a load in which connect() searches for ports, and the load workers do little else.

Pure. A load that reaches a limit starts late and its rate does not grow, whatever the limit is. So connect()
must be slow, must take most of the time, and the client must hold the ports: each of the three alone has
other causes, such as a machine that is shared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loadgen.analysis.series import Point
from loadgen.analysis.shortage import delayed

SEARCH_SHARE = 0.5
"""The share of the load workers' time inside connect() from which on connect() is most of their work."""
SLOW_CALL_NS = 100_000
"""A connect() that finds its port at once takes some ten microseconds, including the handshake that the
kernel may carry out within it; one that searches takes hundreds and more (K8)."""
SEARCH_HELD = 0.4
"""The share of its ports that a client holds at least when connect() has to search: about half (K8)."""
LEAST_SLOWING = 5.0
"""A call takes this much longer than before, at least."""
LASTING = 3
"""Points that a search lasts at least: a pause of the machine is none."""


@dataclass(frozen=True, slots=True)
class Search:
    """connect() searches for ports.

    since_ns     when it begins
    share        the share of the load workers' time from then on that is spent inside connect()
    call_ns      the mean time of a call from then on; `before_ns`: the median before, None if there is none
    ports_held   by the client when it begins
    late         starts that were late because of it
    """

    since_ns: int
    share: float
    call_ns: int
    before_ns: int | None
    ports_held: int
    late: int


@dataclass(frozen=True, slots=True)
class Connecting:
    """Time spent inside connect() in some points, over all load workers, and the number of calls.

    They are None if they were not measured in each of the points. `length_ns` is the time of the points.
    """

    spent_ns: int | None = 0
    calls: int | None = 0
    length_ns: int = 0

    @classmethod
    def of(cls, series: Sequence[Point]) -> "Connecting":
        spent = [one.connecting_ns for one in series if one.connecting_ns is not None]
        calls = [one.attempts for one in series if one.attempts is not None]
        return cls(
            sum(spent) if len(spent) == len(series) else None,
            sum(calls) if len(calls) == len(series) else None,
            sum(one.length_ns for one in series),
        )

    def share(self, workers: int) -> float | None:
        """The share of the load workers' time; None if it was not measured.

        At most 1: the uring driver times a part of the calls, and its estimate for all can be too high.
        """
        if self.spent_ns is None or not self.length_ns:
            return None
        return min(self.spent_ns / (self.length_ns * workers), 1.0)

    @property
    def call_ns(self) -> int | None:
        """The mean time of a call, None if there was none or it was not measured."""
        return None if self.spent_ns is None or not self.calls else self.spent_ns // self.calls


def search(series: Sequence[Point], hidden: Sequence[bool], ports: int, workers: int) -> Search | None:
    """The search of a load; None if there is none, or if it does not last."""
    searches = [not hide and _searches(one, ports, workers) for one, hide in zip(series, hidden, strict=True)]
    during = [one for one, yes in zip(series, searches, strict=True) if yes]
    if len(during) < LASTING:
        return None
    first = searches.index(True)
    connecting = Connecting.of(during)
    share, call_ns = connecting.share(workers), connecting.call_ns
    assert share is not None  # it was measured in each of them
    assert call_ns is not None
    calls_before = [
        before_ns
        for one, hide in zip(series[:first], hidden, strict=False)
        if not hide and (before_ns := Connecting.of([one]).call_ns) is not None
    ]
    before_ns = round(median(calls_before)) if calls_before else None
    if before_ns is not None and call_ns < LEAST_SLOWING * before_ns:
        return None
    held = series[first].held
    late = _late(series, hidden, searches, ports)
    return Search(series[first].start_ns, share, call_ns, before_ns, round(held or 0), late)


def _searches(one: Point, ports: int, workers: int) -> bool:
    connecting = Connecting.of([one])
    share, call_ns = connecting.share(workers), connecting.call_ns
    return (
        share is not None
        and share >= SEARCH_SHARE
        and call_ns is not None
        and call_ns >= SLOW_CALL_NS
        and (one.held or 0) >= SEARCH_HELD * ports
    )


def _late(series: Sequence[Point], hidden: Sequence[bool], searches: Sequence[bool], ports: int) -> int:
    """Late starts that the search explains: those during it, in the point in which it begins, and after it as
    long as there are any: starts that it delayed come then. Those without a port do not count."""
    explained, late, short = False, 0, delayed(series, ports)
    for index, one in enumerate(series):
        soon = index + 1 < len(series) and searches[index + 1]
        explained = searches[index] or soon or (explained and one.late > 0)
        if explained and not hidden[index] and not short[index]:
            late += one.late
    return late
