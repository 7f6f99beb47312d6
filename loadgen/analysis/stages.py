"""The stages of a load as they happened: when each began and ended, and what it made. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from loadgen.analysis.levels import Bin, Level, levels
from loadgen.analysis.series import Point, thinned
from loadgen.records.events import Event, StageBegan
from loadgen.records.types import Sample
from loadgen.tcp import State

MOST_BINS = 1_024
"""Points of a stage that levels are sought among: with more it takes longer than a person waits."""


@dataclass(frozen=True)
class Stage:
    """One stage. `points` lie in it for more than their half, `samples` were taken in it; `observed` are the
    points that no gap of the load touches.
    """

    began: StageBegan
    end_ns: int
    points: Sequence[Point]
    observed: Sequence[Point]
    samples: Sequence[Sample]

    @property
    def start_ns(self) -> int:
        return self.began.t_ns

    @property
    def connected(self) -> int:
        return sum(one.connected for one in self.points)

    @property
    def no_port(self) -> int:
        """Attempts that failed for want of a port."""
        return sum(one.no_port for one in self.points)

    @cached_property
    def rate(self) -> float | None:
        """Connections established per second; None if nothing of it was observed."""
        length_ns = sum(one.length_ns for one in self.observed)
        return sum(one.connected for one in self.observed) * 1e9 / length_ns if length_ns else None

    @cached_property
    def connect_cpu_ns(self) -> float | None:
        """The mean CPU time of a call of connect(); None if it was not measured."""
        calls = [one.clocked for one in self.points if one.clocked is not None]
        used = [one.clocked_cpu_ns for one in self.points if one.clocked_cpu_ns is not None]
        return sum(used) / sum(calls) if len(calls) == len(used) == len(self.points) and sum(calls) else None

    @cached_property
    def levels(self) -> Sequence[Level]:
        """The levels of the rate within the stage: ports may run out in it, or come back."""
        few = thinned(self.observed, MOST_BINS)
        return levels([Bin(one.start_ns, one.end_ns, one.connected) for one in few])

    def time_waits(self, viewpoint: str) -> list[int]:
        """The TIME-WAITs of each of its samples."""
        return [one.viewpoints[viewpoint].count(State.TIME_WAIT) for one in self.samples]

    def mean_time_wait(self, viewpoint: str) -> float | None:
        """The mean over its time, by straight lines from sample to sample; None with fewer than two."""
        counts, at_ns = self.time_waits(viewpoint), [one.t_ns for one in self.samples]
        if len(counts) < 2:
            return None
        areas = [
            (later_ns - earlier_ns) * (earlier + later) / 2
            for (earlier_ns, later_ns), (earlier, later) in zip(
                pairwise(at_ns), pairwise(counts), strict=True
            )
        ]
        return sum(areas) / (at_ns[-1] - at_ns[0])


def begins(events: Sequence[Event]) -> list[StageBegan]:
    """The stages that began, in their order; none if the load has one rate."""
    return sorted((one for one in events if isinstance(one, StageBegan)), key=lambda one: one.number)


def stages(
    events: Sequence[Event],
    end_ns: int,
    points: Sequence[Point],
    hidden: Sequence[bool],
    samples: Sequence[Sample],
) -> list[Stage]:
    """The stages of a load that ended at `end_ns`; `hidden` says of each point if a gap of the load touches
    it."""
    began = begins(events)
    if not began:
        return []
    found: list[Stage] = []
    for one, until_ns in zip(began, [*(later.t_ns for later in began[1:]), end_ns], strict=True):
        within = [
            (point, hide)
            for point, hide in zip(points, hidden, strict=True)
            # The first began with the load, to some milliseconds.
            if (one.t_ns if one.number > 1 else 0) <= (point.start_ns + point.end_ns) // 2 < until_ns
        ]
        found.append(
            Stage(
                began=one,
                end_ns=until_ns,
                points=[point for point, _ in within],
                observed=[point for point, hide in within if not hide],
                samples=[sample for sample in samples if one.t_ns <= sample.t_ns < until_ns],
            )
        )
    return found
