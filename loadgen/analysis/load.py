"""What the intervals of a load add up to, each taken in once: rates, the knee, and what connect() took.

Pure. Nothing here grows with the length of a run.
"""

from dataclasses import dataclass

from loadgen.analysis.headroom import Connecting, Exhaustion, ExhaustionFinder, Search, SearchFinder
from loadgen.analysis.knee import Knee, KneeFinder, Stretch, rate
from loadgen.analysis.spread import Spread, rounded
from loadgen.analysis.window import Window
from loadgen.records.types import Interval, added


@dataclass(frozen=True, slots=True)
class _Rates:
    """The rates of intervals of one length: the highest, and the last, that of interval `number`."""

    most: float
    last: float
    number: int


class UnderLoad:
    """The load of one variant so far. `ports` are the client's."""

    def __init__(self, ports: int) -> None:
        self.intervals = 0
        self.observed = Stretch()
        """The intervals that no gap of the load touches: rates are read off these."""
        self.exchanges: int | None = 0
        """Responses in those; None if they were not measured."""
        self.connecting = Connecting()
        self._start_ns = self._end_ns = 0
        self._lengths_ns = Spread()
        self._rates: dict[int, _Rates] = {}
        self._knee = KneeFinder()
        self._search = SearchFinder(ports)
        self._exhaustion = ExhaustionFinder()

    def judge(self, window: Window, index: int, workers: int) -> None:
        """Take in the next interval, which stands there in the window; the load has so many workers."""
        one = window.intervals[index]
        if not self.intervals:
            self._start_ns = one.start_ns
        self.intervals += 1
        self._end_ns = one.end_ns
        self._knee.judge(window, index)
        self._exhaustion.judge(one)
        if not window.hidden[index]:
            self.observed += one
            self.exchanges = added(self.exchanges, one.exchanges)
            self.connecting += one
            self._add_rate(one)
            self._search.judge(window, index, workers)

    @property
    def length_ns(self) -> int:
        return self._end_ns - self._start_ns

    @property
    def turns_ns(self) -> list[tuple[int, int]]:
        """Spans of gaps across which the rate falls as at a knee."""
        return self._knee.turns_ns

    def rates(self) -> tuple[float, float]:
        """The highest rate of an interval, and the last, of those of about the usual length: one cut to a
        millisecond holds too few connections for a rate."""
        least_ns = (self._lengths_ns.median() or 0) / 2
        whole = [rates for length_ns, rates in self._rates.items() if length_ns >= least_ns]
        return max(one.most for one in whole), max(whole, key=lambda one: one.number).last

    @property
    def marks_ns(self) -> list[int]:
        """Instants up to which CPU times may be wanted: where a search or a lasting want of ports begins."""
        marks = (self._search.since_ns, self._exhaustion.lasting_ns)
        return [instant_ns for instant_ns in marks if instant_ns is not None]

    def knee(self) -> Knee | None:
        return self._knee.knee()

    def search(self, workers: int) -> Search | None:
        """The part of the load in which connect() searched for ports."""
        return self._search.search(workers)

    def exhaustion(self) -> Exhaustion | None:
        """The part of the load in which the client found no port."""
        return self._exhaustion.exhaustion()

    def _add_rate(self, one: Interval) -> None:
        per_s, length_ns = rate(one), one.end_ns - one.start_ns
        self._lengths_ns.add(length_ns)
        key = rounded(length_ns)
        seen = self._rates.get(key) or _Rates(per_s, per_s, 0)
        self._rates[key] = _Rates(max(seen.most, per_s), per_s, self.intervals)
