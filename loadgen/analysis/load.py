"""What the points of a load show: rates and their levels, the turn, the search for ports, the lack of ports.

Pure.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median

from loadgen.analysis.levels import Bin, Level, levels
from loadgen.analysis.search import Connecting, Search, search
from loadgen.analysis.series import Point, crossing, thinned
from loadgen.analysis.shortage import Shortage, shortage, unexplained
from loadgen.analysis.turn import Turn, from_the_start, rate, turn
from loadgen.records.events import Gap
from loadgen.records.gaps import SAMPLER, hidden, of_load

MOST_BINS = 1_024
"""Points that levels are sought among: with more it takes longer than a person waits."""


class UnderLoad:
    """The load of one variant. `ports` are the client's; `workers` make the load.

    `borders_ns`: where its stages meet; with them it has no rate of its own, and each stage has one.
    `no_port_reported`: a program that makes it said at its end that it found no port.

    `series` are the points that lie under load for more than their half: the tail is left out.
    """

    def __init__(
        self,
        points: Sequence[Point],
        end_ns: int,
        gaps: Sequence[Gap],
        ports: int,
        workers: int,
        *,
        borders_ns: Sequence[int] = (),
        no_port_reported: bool = False,
    ) -> None:
        loaded = [one for one in points if (one.start_ns + one.end_ns) // 2 < end_ns]
        self.series = loaded or list(points)
        self._all = points
        self._end_ns = end_ns
        self._ports = ports
        self._workers = workers
        self._borders_ns = borders_ns
        self.no_port_reported = no_port_reported
        # A command's points are made from samples: a gap of the sampler hides what it did.
        from_samples = bool(points) and points[0].attempts is None
        self.hidden = hidden(self.series, of_load(gaps, from_samples=from_samples))
        self.blind = hidden(self.series, gaps)

    @cached_property
    def observed(self) -> Sequence[Point]:
        """The points that no gap of the load touches: rates are read off these."""
        return [one for one, hide in zip(self.series, self.hidden, strict=True) if not hide]

    @property
    def length_ns(self) -> int:
        return self.series[-1].end_ns - self.series[0].start_ns if self.series else 0

    @property
    def observed_ns(self) -> int:
        return sum(one.length_ns for one in self.observed)

    @property
    def staged(self) -> bool:
        """Whether it has stages."""
        return bool(self._borders_ns)

    @property
    def rate(self) -> float:
        """Connections established per second."""
        return rate(self.observed)

    @property
    def requests_per_s(self) -> float | None:
        """Responses per second; None if they were not measured."""
        counts = [one.exchanges for one in self.observed if one.exchanges is not None]
        if len(counts) < len(self.observed) or not self.observed_ns:
            return None
        return sum(counts) * 1e9 / self.observed_ns

    def rates(self) -> tuple[float, float]:
        """The highest rate of an interval, and the last, of those of about the usual length: one cut to a
        millisecond holds too few connections for a rate."""
        least_ns = median(one.length_ns for one in self.observed) / 2
        whole = [one for one in self.observed if one.length_ns >= least_ns]
        return max(one.most_per_s for one in whole), whole[-1].per_s

    @cached_property
    def levels(self) -> Sequence[Level]:
        """The levels of the rate of connections."""
        few = thinned(self.observed, MOST_BINS)
        return levels([Bin(one.start_ns, one.end_ns, one.connected) for one in few])

    @property
    def connect_share(self) -> float | None:
        """The share of the load workers' time inside connect(); None if it was not measured."""
        return Connecting.of(self.observed).share(self._workers)

    @cached_property
    def turn(self) -> Turn | None:
        """Where connect() became slow, half of the ports being held."""
        return next(
            (
                found
                for part in self._parts()
                if (found := turn(self.series[part], self._ports, self.blind[part])) is not None
            ),
            None,
        )

    @property
    def past_half(self) -> bool:
        """Whether more than half of the ports were held from the start on."""
        return from_the_start(self.series, self._ports)

    def _parts(self) -> Iterator[slice]:
        """The series by stages: the rates before and after a turn are of one of them."""
        middles = [(one.start_ns + one.end_ns) // 2 for one in self.series]
        places = [0, *(bisect_left(middles, border_ns) for border_ns in self._borders_ns), len(middles)]
        yield from (slice(start, end) for start, end in pairwise(places))

    @cached_property
    def search(self) -> Search | None:
        """The part of the load in which connect() searched for ports."""
        return search(self.series, self.hidden, self._ports, self._workers)

    @cached_property
    def shortage(self) -> Shortage | None:
        """The part of the load in which the client had no free port.

        A program that found none ends at once, and the point in which it did may lie after its end for the
        most part: what that point holds then was held at its end.
        """
        ended_in = [one for one in self._all if one.start_ns < self._end_ns]
        return shortage(
            ended_in if self.no_port_reported else self.series, self._ports, reported=self.no_port_reported
        )

    @property
    def no_port_unexplained(self) -> int:
        """Attempts that failed as if for want of a port while ports were free."""
        return unexplained(self.series, self._ports)

    @property
    def open_at_end(self) -> int:
        """Connections open at the end of the last point of the load, or attempted since."""
        ended = [one for one in self._all if one.end_ns <= self._end_ns]
        later = [one for one in self._all if one.end_ns > self._end_ns]
        return (ended[-1].in_flight if ended else 0) + sum(one.attempts or 0 for one in later)

    def hides_a_turn(self, gap: Gap) -> bool:
        """Whether half of the ports, or all of them, may have been reached within a gap."""
        index = crossing(self.series, self._ports)
        if index is not None and self.turn is None and gap.touches(*_span(self.series, index)):
            return True
        shortage = self.shortage
        if shortage is None or (gap.what == SAMPLER and not shortage.inferred):
            return False
        # Later, while no port is free, there is no such moment to miss.
        went = [one for one in self.series if one.start_ns <= shortage.first_ns < one.end_ns]
        return any(gap.touches(one.start_ns, one.end_ns) for one in went)


def _span(series: Sequence[Point], index: int) -> tuple[int, int]:
    return series[max(index - 1, 0)].start_ns, series[index].end_ns
