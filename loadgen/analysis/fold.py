"""The fold: records in, what a variant has shown so far out; the same for live view, table and figures.

Pure. What a fold keeps does not grow with the run: sums, extremes, and a series of points (`series`).
Records come as they are made, or as a run directory gives them back: each kind in its own order, and the
kinds in any order, but in that of time where they are more than a fold keeps.
"""

import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from loadgen.analysis.cores import Core, cores, cores_used
from loadgen.analysis.counts import Counted, LegCounts
from loadgen.analysis.explanation import Explanation, explain
from loadgen.analysis.legs import apart
from loadgen.analysis.load import UnderLoad
from loadgen.analysis.sampled import Sampled
from loadgen.analysis.series import Series
from loadgen.analysis.stages import Stage, begins, stages
from loadgen.records.damage import Damage
from loadgen.records.events import CommandEnded, Event, FaultBegan, Gap, LabOpened, LoadEnds, Settled
from loadgen.records.gaps import SAMPLER, gaps_of
from loadgen.records.latency import Distribution, Latency, Tag
from loadgen.records.types import COUNTS, TIMES, Interval, Record, Sample
from loadgen.records.viewpoints import APART
from loadgen.tcp import OUT_OF_TIME, Ending, Failure

E = TypeVar("E", bound=Event)

NO_PORT_WORDS = (
    *(os.strerror(number) for number in (errno.EADDRNOTAVAIL, errno.EADDRINUSE)),
    "EADDRNOTAVAIL",
    "EADDRINUSE",
)
"""How a program says that it found no port."""


class Fold:
    """What the records of one variant add up to. `ports` are the client's, over all its paths."""

    def __init__(self, ports: int) -> None:
        self.ports = ports
        self.events: list[Event] = []
        self.damage: list[Damage] = []
        self.errors: Counter[Failure] = Counter()
        self.closes: Counter[Ending] = Counter()
        self.sampled = Sampled()
        self.scope = APART
        """What is sampled; the event `lab` says so."""
        self.pool_idle: int | None = None
        """The most connections that were idle at once in a load worker's pool; None if there is none."""
        self._counts: Counter[str] = Counter()
        self._unmeasured: set[str] = set()
        """Fields of `Interval` that an interval did not have."""
        self._latencies = {tag: Distribution() for tag in Tag}
        self._series = Series()
        self._load: UnderLoad | None = None
        self._explanation: Explanation | None = None
        self._legs: Sequence[LegCounts] | None = None
        self._stages: list[Stage] | None = None

    def add(self, record: Record | Latency | Damage) -> None:
        self._load = self._explanation = self._legs = self._stages = None
        match record:
            case Interval():
                self._series.intervals.append(record)
                self._add_counts(record)
            case Sample():
                self._series.samples.append(record)
                self.sampled.add(record)
            case Event():
                self.events.append(record)
                self._note_gap(record)
                if isinstance(record, LabOpened):
                    self.scope = record.scope
                    self.sampled.capacity = {
                        one.name: most for one in self.scope.viewpoints if (most := one.capacity) is not None
                    }
            case Latency():
                self._latencies[record.tag].add(record)
            case Damage():
                self.damage.append(record)
        if self._series.full:
            ends = self.event(LoadEnds)
            self._series.settle(self.scope.leg.opener, self.ports, ends.t_ns if ends else None)

    @property
    def intervals(self) -> Sequence[Interval]:
        """The latest intervals, all of them if they are few (`series.MOST_POINTS`)."""
        return self._series.intervals

    @property
    def samples(self) -> Sequence[Sample]:
        """The samples; if there are many, the older ones are thinned out, and the first two are kept."""
        return self._series.samples

    @property
    def counted(self) -> Counted | None:
        """The driver's totals, as the audit takes them; None if no driver has counted them."""
        names = ("attempts", "opened", "connected", "succeeded", "server_fin_reset")
        if not self._unmeasured.isdisjoint((*names, "errors", "closes")):
            return None
        totals = {name: self._counts[name] for name in names}
        given_up = sum(count for failure, count in self.errors.items() if failure.kind in OUT_OF_TIME)
        return Counted(**totals, failed=self.errors.total(), given_up=given_up, closes=self.closes)

    def total(self, name: str) -> int | None:
        """A total of the intervals, by the field's name; None if it was not measured."""
        return self._counts[name] if self._measured(name) else None

    def ended(self) -> Mapping[Ending, int] | None:
        """Connections by who ended them first, and how: as the driver saw it, or as the kernels' counters
        explain it; None if neither shows it."""
        if self._measured("closes"):
            return self.closes
        return self.explanation.firsts() if self.samples else None

    @property
    def explanation(self) -> Explanation:
        """What happened to the connections of the first leg."""
        if self._explanation is None:
            self._explanation = explain(self.legs()[0], self.counted, self.faults)
        return self._explanation

    @property
    def faults(self) -> frozenset[str]:
        """The faults of the script that acted."""
        return frozenset(event.do for event in self.events if isinstance(event, FaultBegan))

    def failed(self) -> int | None:
        """Attempts that failed; None if that was not measured."""
        return self.errors.total() if self._measured("errors") else None

    def latency(self, tag: Tag) -> Distribution:
        """All latencies of a tag."""
        return self._latencies[tag]

    def event(self, kind: type[E]) -> E | None:
        """The first event of a kind."""
        return next((event for event in self.events if isinstance(event, kind)), None)

    @property
    def complete(self) -> bool:
        """Whether the records go to the end: the last sample came after the last count, so both compare."""
        return self.event(Settled) is not None

    def kernel(self) -> Mapping[str, Mapping[str, int]]:
        """Each viewpoint's kernel counters: the last sample's less the baseline's, empty without samples."""
        if not self.samples:
            return {viewpoint: {} for viewpoint in self.scope.names}
        first, last = self.samples[0], self.samples[-1]
        return {
            viewpoint: {
                name: value - first.viewpoints[viewpoint].counters.get(name, 0)
                for name, value in last.viewpoints[viewpoint].counters.items()
            }
            for viewpoint in self.scope.names
        }

    def legs(self) -> Sequence[LegCounts]:
        """The kernel's counters at both ends of each leg; the driver's connections are on the first."""
        if self._legs is None:
            kernel, shares = self.kernel(), self.scope.shares
            together = [
                LegCounts(leg, kernel[leg.opener], kernel[leg.accepter], shares(leg))
                for leg in self.scope.legs
            ]
            self._legs = apart(self.scope, together, self.counted)
        return self._legs

    def load_end_ns(self) -> int:
        """When the load ended: the event, or where it is missing the last interval."""
        ends = self.event(LoadEnds)
        if ends is not None:
            return ends.t_ns
        return self.intervals[-1].end_ns if self.intervals else 0

    def under_load(self) -> UnderLoad:
        """What the intervals and samples show of the load."""
        if self._load is None:
            opener = self.scope.leg.opener
            points = self._series.points(opener)
            ended = self.event(CommandEnded)
            self._load = UnderLoad(
                points,
                self.load_end_ns(),
                self.gaps,
                self.ports,
                self.workers(opener),
                borders_ns=[one.t_ns for one in begins(self.events)[1:]],
                no_port_reported=ended is not None and any(words in ended.stderr for words in NO_PORT_WORDS),
            )
        return self._load

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages of the load, as far as they began; none if it has one rate."""
        if self._stages is None:
            load = self.under_load()
            self._stages = stages(self.events, self.load_end_ns(), load.series, load.hidden, self.samples)
        return self._stages

    @property
    def gaps(self) -> list[Gap]:
        """The spans that were not observed."""
        return gaps_of(self.events)

    def workers(self, viewpoint: str) -> int:
        """The processes that serve, or make the load, as far as the samples show."""
        return max(1, len(self.samples[-1].viewpoints[viewpoint].workers_cpu_ns)) if self.samples else 1

    def busy(self, viewpoint: str, until_ns: int | None = None) -> float:
        """Cores that a viewpoint's processes used, on average, while under load, or until then."""
        return cores_used(self.samples, viewpoint, self.load_end_ns() if until_ns is None else until_ns)

    def mean_busy(self, viewpoint: str) -> float | None:
        """Cores that each of its processes used, on average, while under load; None if it has none."""
        return None if self.cpu_ns(viewpoint) is None else self.busy(viewpoint) / self.workers(viewpoint)

    def cores(self, viewpoint: str, until_ns: int | None = None) -> list[Core]:
        """What each of its processes used of a core meanwhile; none if they are not known one by one."""
        return cores(self.samples, viewpoint, self.load_end_ns() if until_ns is None else until_ns)

    def cpu_ns(self, viewpoint: str) -> int | None:
        """CPU time of a viewpoint's processes from the first sample to the last; None if it has none."""
        first_ns, last_ns = (self.samples[index].viewpoints[viewpoint].cpu_ns for index in (0, -1))
        return None if first_ns is None or last_ns is None else last_ns - first_ns

    def _add_counts(self, one: Interval) -> None:
        for name in (*COUNTS, *TIMES):
            count: int | None = getattr(one, name)
            if count is None:
                self._unmeasured.add(name)
            else:
                self._counts[name] += count
        if one.pool_idle is not None:
            self.pool_idle = max(one.pool_idle, self.pool_idle or 0)
        if one.closes is None:
            self._unmeasured.add("closes")
        else:
            self.closes.update(one.closes)
        if one.errors is None:
            self._unmeasured.add("errors")
        else:
            self.errors.update(one.errors)

    def _measured(self, name: str) -> bool:
        """Whether every interval had this field, and there was one."""
        return bool(self.intervals) and name not in self._unmeasured

    def _note_gap(self, event: Event) -> None:
        """Have the sample that ends a gap of the sampler counted as such."""
        if isinstance(event, Gap) and event.what == SAMPLER:
            self.sampled.end_gap(event.end_ns, self._series.samples)
