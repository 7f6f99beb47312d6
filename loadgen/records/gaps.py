"""Spans of a run that were not observed: a process was held up, or its records found no reader.

Pure. A gap is known from the clock of the process itself and is recorded as an event. Rates are read off
the intervals that no gap of the load touches, knees between gaps of any kind.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Protocol

from loadgen.records.events import Event, Gap


class Timed(Protocol):
    """What lies between two instants."""

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...


SAMPLER = "sampler"
"""What the sampler is called. Its gaps hide the sockets; those of all others hide what the load did."""


def gaps_of(events: Iterable[Event]) -> list[Gap]:
    """The gaps among a variant's events, by their begin."""
    return sorted((event for event in events if isinstance(event, Gap)), key=lambda gap: gap.start_ns)


def of_load(gaps: Iterable[Gap], *, from_samples: bool) -> list[Gap]:
    """Those that hide what the load did; if its intervals were made from samples, the sampler's too."""
    return [gap for gap in gaps if from_samples or gap.what != SAMPLER]


def hidden(intervals: Iterable[Timed], gaps: Iterable[Gap]) -> list[bool]:
    """Of each interval, or whatever else has a begin and an end, whether a gap touches it."""
    spans = _spans(gaps)
    ends_ns = [end_ns for _, end_ns in spans]

    def touched(interval: Timed) -> bool:
        place = bisect_right(ends_ns, interval.start_ns)
        return place < len(spans) and spans[place][0] < interval.end_ns

    return [touched(interval) for interval in intervals]


def covered_ns(gaps: Iterable[Gap], start_ns: int, end_ns: int) -> int:
    """How much of a span is in gaps."""
    return sum(max(min(end, end_ns) - max(start, start_ns), 0) for start, end in _spans(gaps))


def _spans(gaps: Iterable[Gap]) -> list[tuple[int, int]]:
    """The time in gaps as spans apart from each other, in order."""
    spans: list[tuple[int, int]] = []
    for start_ns, end_ns in sorted((gap.start_ns, gap.end_ns) for gap in gaps):
        if spans and start_ns <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end_ns)
        else:
            spans.append((start_ns, end_ns))
    return spans
