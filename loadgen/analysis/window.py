"""The latest records of a variant, so many at most: what a knee and a search for ports are judged by.

Pure. A run may last for a day, and its records are on disk. An interval is judged by a few intervals around
it and by the samples around those, so what is older is judged and dropped (`Recent`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from loadgen.records.events import Gap
from loadgen.records.gaps import hidden, of_load
from loadgen.records.types import Interval, Sample
from loadgen.records.viewpoints import APART

LASTING = 3
"""Intervals that a knee or a search must last for: a pause of the machine is neither. An interval is judged
by so many before it and after it."""
MOST_INTERVALS, MOST_SAMPLES = 4_096, 2_048
"""Records that are kept. A knee lies between two samples, which are a minute apart at most: that are 600
intervals, and a sample is ten times as large as an interval."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a run: its intervals and its samples, in their order; `times_ns` are the samples'.

    Of each interval `hidden` says if a gap hides what the load did in it, `blind` if a gap of any kind
    touches it, one of the sampler's too. `opener` is the viewpoint that opens the connections.
    """

    intervals: Sequence[Interval]
    samples: Sequence[Sample]
    times_ns: Sequence[int]
    hidden: Sequence[bool]
    blind: Sequence[bool]
    opener: str

    @classmethod
    def of(
        cls,
        intervals: Sequence[Interval],
        samples: Sequence[Sample],
        gaps: Sequence[Gap] = (),
        opener: str = APART.leg.opener,
    ) -> "Window":
        """With the gaps of the run. The intervals are all made from samples, or none is."""
        from_samples = bool(intervals) and intervals[0].from_samples
        return cls(
            intervals,
            samples,
            [sample.t_ns for sample in samples],
            hidden(intervals, of_load(gaps, from_samples=from_samples)),
            hidden(intervals, gaps),
            opener,
        )

    def sample_before(self, t_ns: int) -> Sample | None:
        """The last sample at this instant or before it."""
        index = bisect_right(self.times_ns, t_ns)
        return self.samples[index - 1] if index else None

    def sample_after(self, t_ns: int) -> Sample | None:
        """The first sample at this instant or after it."""
        index = bisect_left(self.times_ns, t_ns)
        return self.samples[index] if index < len(self.samples) else None


class Recent:
    """The latest intervals and samples, so many at most, and the samples that are kept for good.

    The first `judged` of the intervals need no more judgement, and stay for those that come after them.
    """

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self.samples: list[Sample] = []
        self.judged = 0

    @property
    def full(self) -> bool:
        return len(self.intervals) > MOST_INTERVALS or len(self.samples) > MOST_SAMPLES

    def due(self) -> int:
        """How many of the intervals are to be judged before anything is dropped.

        The newer half of what is full stays: an interval is judged by what comes after it, too.
        """
        due = len(self.intervals) - MOST_INTERVALS // 2
        if len(self.samples) > MOST_SAMPLES:
            until_ns = self.samples[-MOST_SAMPLES // 2].t_ns
            due = max(due, bisect_right(self.intervals, until_ns, key=lambda one: one.end_ns))
        return max(min(due, len(self.intervals) - LASTING), self.judged)

    def drop(self, judged: int, keep_ns: Collection[int]) -> None:
        """Drop what is judged by now, but for what the judgement of others looks back on.

        Kept for good are the baseline, the first sample of the load, and the last one up to each instant of
        `keep_ns`: rates of the kernel's counters and CPU times lie between two of them.
        """
        window, back = Window.of(self.intervals, self.samples), max(judged - LASTING, 0)
        begin_ns = self.intervals[back].start_ns if self.intervals else window.times_ns[0]
        before = window.sample_before(begin_ns)
        begin_ns = before.t_ns if before else begin_ns
        ends_ns = [one.end_ns for one in self.intervals[:back]]
        first = max(bisect_right(ends_ns, begin_ns), back - MOST_INTERVALS // 4)
        self.intervals, self.judged = self.intervals[first:], judged - first
        if not self.samples:
            return
        newest = len(self.samples) - MOST_SAMPLES * 3 // 4
        oldest = max(min(bisect_left(window.times_ns, begin_ns), len(self.samples) - 1), newest)
        marks = [self.samples[0], window.sample_after(0), *map(window.sample_before, keep_ns)]
        good = {mark.t_ns: mark for mark in marks if mark and mark.t_ns < window.times_ns[oldest]}
        self.samples = [*(good[t_ns] for t_ns in sorted(good)), *self.samples[oldest:]]
