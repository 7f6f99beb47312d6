"""What several load workers counted, as if one had: their intervals become one stream.

Pure. Nothing is split and nothing is estimated: an interval of the stream holds whole intervals of
every worker, so it ends only where all of them end one. Workers end theirs at the same multiples of one
length; where one was held up and missed some, the stream's interval is as long as its was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from loadgen.records.latency import Counts, Tag
from loadgen.records.types import Interval, together


@dataclass(frozen=True, slots=True)
class Taken:
    """An interval, and the latencies of what ended in it: for each tag at most one."""

    interval: Interval
    latencies: Sequence[Counts] = ()


@dataclass(slots=True)
class _Worker:
    """What one worker has said and the stream does not hold yet, by the multiple that each ends at."""

    waiting: list[tuple[int, Taken]] = field(default_factory=list[tuple[int, Taken]])
    in_flight: int = 0
    working: bool = True

    def ends(self) -> set[int]:
        return {end for end, _ in self.waiting}

    def give(self, end: int) -> list[Taken]:
        """Everything up to this multiple."""
        given = [taken for at, taken in self.waiting if at <= end]
        self.waiting = self.waiting[len(given) :]
        if given:
            self.in_flight = given[-1].interval.in_flight
        return given


class Aggregation:
    """One stream out of those of `workers`, whose intervals are about `interval_ns` long.

    A worker that has ended, in its turn or before its time, is waited for no more. All that it said
    counts; its connections in flight are gone with it.
    """

    def __init__(self, workers: int, interval_ns: int) -> None:
        self._workers = [_Worker() for _ in range(workers)]
        self._interval_ns = interval_ns
        self._end_ns = 0

    def add(self, worker: int, taken: Taken) -> Iterator[Taken]:
        """Take in an interval of one worker; what the stream gains by it."""
        # Not the multiple below: the loop's timers ring up to a millisecond early.
        end = round(taken.interval.end_ns / self._interval_ns)
        self._workers[worker].waiting.append((end, taken))
        return self._gained()

    def leave(self, worker: int) -> Iterator[Taken]:
        """This worker has nothing more to say; what the stream gains by it."""
        self._workers[worker].working = False
        return self._gained()

    def _gained(self) -> Iterator[Taken]:
        while (end := self._common_end()) is not None:
            yield self._take(end)

    def _common_end(self) -> int | None:
        """The first multiple at which every worker that is still at work ends an interval."""
        working = [worker.ends() for worker in self._workers if worker.working]
        common = (
            set[int].intersection(*working)
            if working
            else set[int]().union(*(worker.ends() for worker in self._workers))
        )
        return min(common, default=None)

    def _take(self, end: int) -> Taken:
        last = [
            taken.interval.end_ns for worker in self._workers for at, taken in worker.waiting if at == end
        ]
        parts = [taken for worker in self._workers for taken in worker.give(end)]
        # The mean, for theirs differ a little: rates are exact where the workers share evenly.
        start_ns, self._end_ns = self._end_ns, max(self._end_ns, round(sum(last) / len(last)))
        if len(parts) == 1:
            (only,) = parts
            if (only.interval.start_ns, only.interval.end_ns) == (start_ns, self._end_ns):
                return only
        in_flight = sum(worker.in_flight for worker in self._workers if worker.working or worker.waiting)
        return merged(start_ns, self._end_ns, in_flight, parts)


def merged(start_ns: int, end_ns: int, in_flight: int, parts: Sequence[Taken]) -> Taken:
    """One interval of several: counts added up, percentiles of all latencies together, for those of the parts
    do not give them."""
    intervals = [taken.interval for taken in parts]
    latencies = {
        tag: Counts.merged(of_tag)
        for tag in Tag
        if (of_tag := [counts for taken in parts for counts in taken.latencies if counts.tag is tag])
    }
    connect, response = latencies.get(Tag.CONNECT), latencies.get(Tag.RESPONSE)
    interval = replace(
        together(intervals, start_ns, end_ns),
        in_flight=in_flight,
        connect_p50_ns=connect and connect.quantile_ns(0.5),
        connect_p99_ns=connect and connect.quantile_ns(0.99),
        response_p50_ns=response and response.quantile_ns(0.5),
        response_p99_ns=response and response.quantile_ns(0.99),
    )
    return Taken(interval, tuple(latencies.values()))
