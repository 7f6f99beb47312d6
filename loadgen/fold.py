"""The fold: records in, what a variant has shown so far out; the same for live view, table and figures.

Pure. Records may come in any order of kinds, each kind in its own order, as they are made or as
a run directory gives them back.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import mean, median

from loadgen.audit import Counted
from loadgen.gaps import Gap, gaps_of, observed, of_load, stretches
from loadgen.headroom import (
    Core,
    Exhaustion,
    Search,
    connect_share,
    cores,
    cores_used,
    exhaustion,
    search,
)
from loadgen.knee import LEAST_RATE, Knee, exhaustion_ns, knee, mean_rate, rate
from loadgen.latency import Distribution, Latency, Tag
from loadgen.records import COUNTS, Closes, Event, Interval, Record, Sample
from loadgen.tcp import Failure, Side, State

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

_KERNELS = frozenset({"opened", "connected"})
"""Of these counts, those that the kernel has where a command drives."""

_CLOSES = tuple(field.name for field in fields(Closes))


def metric_names() -> list[str]:
    """Every metric that a fold can give, `errors.KIND` apart."""
    sides = [
        f"{side}.{name}"
        for side in Side
        for name in (
            *(f"{state.key}.{end}" for state in State for end in ("max", "end")),
            "cpu_ns",
            "busy",
            "busy.max",
            "waiting",
        )
    ]
    closes = [f"closes.{name}" for name in _CLOSES]
    latencies = [f"{tag}.{name}_ns" for tag in Tag for name in (*QUANTILES, "max")]
    return [
        *COUNTS,
        *closes,
        *sides,
        *latencies,
        "connect.share",
        "client.ports",
        "client.ports_held.max",
        "client.ports_held.end",
        "rate.mean",
        "rate.max",
        "rate.end",
        "rate.requests",
        "knee.ports",
        "knee.time_ns",
        "knee.rate_before",
        "knee.rate_after",
        "exhaustion.time_ns",
        "load.time_ns",
        "samples.count",
        "samples.late",
        "samples.missed",
        "samples.cost_ns",
    ]


class Fold:
    """What the records of one variant add up to. `ports` are the client's, over all its paths."""

    def __init__(self, ports: int) -> None:
        self.ports = ports
        self.intervals: list[Interval] = []
        self.samples: list[Sample] = []
        self.events: list[Event] = []
        self.errors: Counter[Failure] = Counter()
        self._counts: Counter[str] = Counter()
        self._closes: Counter[str] = Counter()
        self._latencies = {tag: Distribution() for tag in Tag}

    def add(self, record: Record | Latency) -> None:
        match record:
            case Interval():
                self.intervals.append(record)
                self.errors.update(record.errors)
                self._counts.update({name: getattr(record, name) for name in COUNTS})
                self._closes.update({name: getattr(record.closes, name) for name in _CLOSES})
            case Sample():
                self.samples.append(record)
            case Event():
                self.events.append(record)
            case Latency():
                self._latencies[record.tag].add(record)

    @property
    def counted(self) -> Counted:
        """The driver's totals, as the audit takes them."""
        return Counted(
            attempts=self._counts["attempts"],
            opened=self._counts["opened"],
            connected=self._counts["connected"],
            succeeded=self._counts["succeeded"],
            failed=self.errors.total(),
            closes=self.closes,
        )

    @property
    def closes(self) -> Closes:
        return Closes(**self._closes)

    @property
    def by_kernel(self) -> bool:
        """Whether a command drives, so that the kernel alone has counted."""
        return any(interval.by_kernel for interval in self.intervals)

    def count(self, name: str) -> int:
        """A total of the intervals, by the field's name."""
        return self._counts[name]

    def event(self, kind: str) -> Event | None:
        """The first event of a kind."""
        return next((event for event in self.events if event.kind == kind), None)

    @property
    def complete(self) -> bool:
        """Whether the records go to the end: the last sample came after the last count, so both compare."""
        return self.event("settled") is not None

    def kernel(self) -> Mapping[Side, Mapping[str, int]]:
        """Each side's kernel counters: the last sample's less the baseline's, empty without samples."""
        if not self.samples:
            return {side: {} for side in Side}
        first, last = self.samples[0], self.samples[-1]
        return {
            side: {
                name: value - first.sides[side].counters.get(name, 0)
                for name, value in last.sides[side].counters.items()
            }
            for side in last.sides
        }

    def load_end_ns(self) -> int:
        """When the load ended: the event, or where it is missing the last interval."""
        ends = self.event("load_ends")
        if ends is not None:
            return ends.t_ns
        return self.intervals[-1].end_ns if self.intervals else 0

    def under_load(self) -> list[Interval]:
        """The intervals that lie under load for more than their half: the tail is left out."""
        end_ns = self.load_end_ns()
        loaded = [one for one in self.intervals if (one.start_ns + one.end_ns) // 2 < end_ns]
        return loaded or self.intervals

    @property
    def gaps(self) -> list[Gap]:
        """The spans that were not observed."""
        return gaps_of(self.events)

    def observed(self) -> list[Interval]:
        """The intervals under load that tell rates: those that no gap of the load touches."""
        return observed(self.under_load(), of_load(self.gaps, by_kernel=self.by_kernel))

    def workers(self, side: Side) -> int:
        """The processes that serve, or make the load, as far as the samples tell."""
        return max(1, len(self.samples[-1].sides[side].workers_cpu_ns)) if self.samples else 1

    def busy(self, side: Side, until_ns: int | None = None) -> float:
        """Cores that a side's processes used, on average, while under load, or until then."""
        return cores_used(self.samples, side, self.load_end_ns() if until_ns is None else until_ns)

    def cores(self, side: Side, until_ns: int | None = None) -> list[Core]:
        """What each process of a side used of its core meanwhile; none where they were not told apart."""
        return cores(self.samples, side, self.load_end_ns() if until_ns is None else until_ns)

    def search(self) -> Search | None:
        """The part of the load in which connect() searched for ports."""
        return search(self.observed(), self.samples, self.workers(Side.CLIENT), self.ports)

    def exhaustion(self) -> Exhaustion | None:
        """The part of the load in which the client found no port."""
        return exhaustion(self.under_load())

    def knee(self) -> Knee | None:
        """The deepest knee between two gaps of any kind: what hides the sockets hides the ports held."""
        parts = (knee(stretch, self.samples) for stretch in stretches(self.under_load(), self.gaps))
        found = [one for one in parts if one is not None]
        return max(found, key=lambda one: one.rate_before / max(one.rate_after, LEAST_RATE), default=None)

    def metrics(self) -> dict[str, float]:
        """Every metric that was measured, by name; one that was not is absent, and is not 0."""
        found: dict[str, float] = {"client.ports": self.ports}
        if self.intervals:
            found |= self._load_metrics()
        if self.samples:
            found |= self._state_metrics()
        for tag, distribution in self._latencies.items():
            for name, quantile in QUANTILES.items():
                value_ns = distribution.quantile_ns(quantile)
                if value_ns is not None:
                    found[f"{tag}.{name}_ns"] = value_ns
            if distribution.count:
                found[f"{tag}.max_ns"] = distribution.max_ns
        return found

    def _load_metrics(self) -> dict[str, float]:
        by_kernel = self.by_kernel
        found: dict[str, float] = {
            name: self._counts[name] for name in COUNTS if not by_kernel or name in _KERNELS
        }
        if not by_kernel or not self._shared():
            found |= {f"closes.{name}": count for name, count in self._closes.items()}
        if not by_kernel:
            found["errors.total"] = self.errors.total()
        for failure, count in self.errors.items():
            found[f"errors.{failure.kind}"] = found.get(f"errors.{failure.kind}", 0) + count
        loaded = self.under_load()
        found["load.time_ns"] = loaded[-1].end_ns - loaded[0].start_ns
        seen = self.observed()
        length_ns = sum(interval.end_ns - interval.start_ns for interval in seen)
        if length_ns > 0:
            found["rate.mean"] = mean_rate(seen)
            if not by_kernel:
                found["rate.requests"] = sum(interval.exchanges for interval in seen) * 1e9 / length_ns
            rates = [rate(interval) for interval in _whole(seen)]
            found["rate.max"] = max(rates)
            found["rate.end"] = rates[-1]
        share = connect_share(seen, self.workers(Side.CLIENT))
        if share is not None:
            found["connect.share"] = share
        fallen = self.knee()
        if fallen is not None:
            found["knee.ports"] = fallen.ports
            found["knee.time_ns"] = fallen.time_ns
            found["knee.rate_before"] = fallen.rate_before
            found["knee.rate_after"] = fallen.rate_after
        gone_ns = exhaustion_ns(self.intervals)
        if gone_ns is not None:
            found["exhaustion.time_ns"] = gone_ns
        return found

    def _shared(self) -> bool:
        """Whether both sides live in one namespace, whose counters do not tell them apart."""
        return any(sample.full for sample in self.samples)

    def _state_metrics(self) -> dict[str, float]:
        found: dict[str, float] = {
            "samples.count": len(self.samples),
            "samples.late": sum(sample.late for sample in self.samples),
            "samples.missed": sum(sample.missed for sample in self.samples),
            "samples.cost_ns": mean(sample.cost_ns for sample in self.samples),
        }
        first, last = self.samples[0], self.samples[-1]
        for side in last.sides:
            for state in State:
                found[f"{side}.{state.key}.max"] = max(
                    sample.sides[side].count(state) for sample in self.samples
                )
                found[f"{side}.{state.key}.end"] = last.sides[side].count(state)
            found[f"{side}.cpu_ns"] = _cpu_ns(last, side) - _cpu_ns(first, side)
            found[f"{side}.busy"] = self.busy(side) / self.workers(side)
            shares = self.cores(side)
            if shares:
                found[f"{side}.busy.max"] = max(core.used for core in shares)
                found[f"{side}.waiting"] = sum(core.waited for core in shares) / len(shares)
        # With states of an earlier sample, a connection that closed since would hold two.
        clients = [sample.sides[Side.CLIENT] for sample in self.samples]
        held = [client.ports_held for client in clients if not client.states_age_ns]
        found["client.ports_held.max"] = max(held)
        found["client.ports_held.end"] = held[-1]
        return found


def _cpu_ns(sample: Sample, side: Side) -> int:
    return sample.sides[side].cpu_user_ns + sample.sides[side].cpu_system_ns


def _whole(intervals: Sequence[Interval]) -> list[Interval]:
    """Those of about the usual length: one cut to a millisecond holds too few connections for a rate."""
    least_ns = median(one.end_ns - one.start_ns for one in intervals) / 2
    return [one for one in intervals if one.end_ns - one.start_ns >= least_ns]
