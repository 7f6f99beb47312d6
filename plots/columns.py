"""A variant's records as columns: one numpy array a quantity, one row a record.

Seconds count from the instant the load began; rates are per second. What was not measured is nan,
never zero.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from loadgen.records.events import Event, FaultBegan, FaultEnded, Gap, LabOpened, LoadEnds, StageBegan
from loadgen.records.gaps import SAMPLER, gaps_of, hidden, of_load
from loadgen.records.types import Interval, Sample, ViewpointSample, together
from loadgen.records.viewpoints import APART, Scope
from loadgen.tcp import Failure, Fault, State
from plots.buckets import Buckets, intervals_reduced, middle_ns, samples_reduced
from plots.sockets import Floats, Sockets
from plots.tracked import TrackedEntries, tracked_of

ROUNDING_S = 1e-6
"""Instants that differ by less are the same: halves of floats do not add up exactly."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The driver's intervals, shape (n,) each: counts over the interval's real length.

    If a command drives, requests and attempts are not measured: they are nan, and `errors` are None.

    `connect_cpu_s` is the mean CPU time of a call of connect(); the percentiles go up to ESTABLISHED.
    `t_s` is the middle of an interval and `length_s` its length; `observed` is false if a gap of the load
    touches it: then its counts are right, and its rates mean nothing. `errors` are per second by
    `phase:kind`, the most frequent first. `cut` counts the attempts that the end of the run
    cut off: they are not errors.
    """

    t_s: Floats
    length_s: Floats
    observed: NDArray[np.bool_]
    offered: Floats
    attempts: Floats
    connected: Floats
    exchanges: Floats
    connect_p50_s: Floats
    connect_p99_s: Floats
    connect_cpu_s: Floats
    errors: Mapping[str, Floats] | None
    cut: int
    timed: int | None = None
    """Calls of connect() that its percentiles are of, if these are a part of all; else None."""
    bucket_s: float = 0.0
    """The span of a bucket if the run is too long for a row per interval, else 0."""

    @property
    def from_samples(self) -> bool:
        """Whether the intervals were made from samples: no driver counted attempts, or timed connect()."""
        return bool(np.isnan(self.attempts).any())

    def total(self, rate: Floats) -> float:
        """How many there were, all intervals together."""
        return float(np.sum(rate * self.length_s))

    def seen(self, values: Floats) -> Floats:
        """The values to draw: nan if the load was not observed."""
        return np.where(self.observed, values, np.nan)

    def mean(self, rate: Floats, from_s: float, to_s: float) -> float | None:
        """The mean rate over the intervals that lie inside [from_s, to_s]; None if none does."""
        half_s = self.length_s / 2 - ROUNDING_S
        inside = self.observed & (self.t_s - half_s >= from_s) & (self.t_s + half_s <= to_s)
        if not inside.any():
            return None
        return float(np.sum((rate * self.length_s)[inside]) / np.sum(self.length_s[inside]))


@dataclass(frozen=True, slots=True)
class Columns:
    """All that figures draw of one variant. `load_end_s` is None if the run ended before it."""

    rates: Rates
    sockets: Sockets
    events: tuple[Event, ...]
    sysctls: Mapping[str, Mapping[str, str]]
    scope: Scope
    load_end_s: float | None
    gaps: tuple[Gap, ...]
    tracked: Mapping[str, TrackedEntries] = field(default_factory=dict[str, TrackedEntries])
    """The conntrack entries of each NAT, at the instants of `sockets`."""

    @property
    def load_gaps(self) -> list[Gap]:
        """Those that hide what the load did; those of the sampler hide the sockets."""
        return of_load(self.gaps, from_samples=self.rates.from_samples)

    @property
    def sampler_gaps(self) -> list[Gap]:
        return [gap for gap in self.gaps if gap.what == SAMPLER]

    @property
    def changes_s(self) -> list[float]:
        """When faults of the script began and ended, and stages of the load but the first began."""
        return [
            event.t_ns / 1e9
            for event in self.events
            if isinstance(event, FaultBegan | FaultEnded)
            or (isinstance(event, StageBegan) and event.number > 1)
        ]

    @property
    def empty(self) -> bool:
        return not self.rates.t_s.size and not self.sockets.t_s.size

    @property
    def end_s(self) -> float:
        """The end of the load; infinite if the run ended before it."""
        return np.inf if self.load_end_s is None else self.load_end_s

    @property
    def last_s(self) -> float:
        """The last instant of the records, 0 if there is none."""
        ends = np.concatenate([self.sockets.t_s, self.rates.t_s + self.rates.length_s / 2])
        return float(ends.max()) if ends.size else 0.0


class Gathering:
    """One variant's records on their way to columns, in any order if they are few (`plots.buckets`).

    Latency histograms are passed over.
    """

    def __init__(self) -> None:
        self._intervals = Buckets(intervals_reduced)
        self._samples = Buckets(samples_reduced)
        self._events: list[Event] = []
        self._cut = 0
        self._timed = self._connected = 0

    def add(self, record: object) -> None:
        match record:
            case Interval():
                self._cut += sum(
                    count for failure, count in (record.errors or {}).items() if failure.kind == Fault.CUT
                )
                self._connected += record.connected
                self._timed += record.connected if record.timed is None else record.timed
                # An interval of no length has no rate, whatever it counted.
                if record.end_ns > record.start_ns:
                    self._intervals.add(record)
            case Sample():
                self._samples.add(record)
            case Event():
                self._events.append(record)
            case _:
                pass

    def columns(self) -> Columns:
        events = sorted(self._events, key=lambda event: event.t_ns)
        intervals = sorted(self._intervals.rows, key=middle_ns)
        exact = self._intervals.exact
        gaps = gaps_of(events)
        labs = [event for event in events if isinstance(event, LabOpened)]
        scope = labs[-1].scope if labs else APART
        span_s = (intervals[-1].end_ns - intervals[0].start_ns) / 1e9 if intervals else 0.0
        rows = _sampled(sorted(self._samples.rows, key=lambda sample: sample.t_ns), gaps)
        return Columns(
            rates=replace(
                _rates(_joined(intervals) if exact else intervals, gaps),
                cut=self._cut,
                timed=self._timed if self._timed < self._connected else None,
                bucket_s=0.0 if exact else span_s / self._intervals.count,
            ),
            sockets=_sockets(rows, scope),
            tracked=tracked_of([viewpoints for _, viewpoints in rows], scope),
            events=tuple(events),
            sysctls=_sysctls(labs),
            scope=scope,
            load_end_s=next((event.t_ns / 1e9 for event in events if isinstance(event, LoadEnds)), None),
            gaps=tuple(gaps),
        )


def columns_of(records: Iterable[object]) -> Columns:
    """One variant's records as columns."""
    gathering = Gathering()
    for record in records:
        gathering.add(record)
    return gathering.columns()


def _rates(kept: list[Interval], gaps: Sequence[Gap]) -> Rates:
    start_s = _floats(interval.start_ns / 1e9 for interval in kept)
    end_s = _floats(interval.end_ns / 1e9 for interval in kept)
    length_s = end_s - start_s

    def rate(counts: Iterable[float]) -> Floats:
        return _floats(counts) / length_s

    hiding = of_load(gaps, from_samples=any(interval.from_samples for interval in kept))
    return Rates(
        t_s=(start_s + end_s) / 2,
        length_s=length_s,
        observed=~np.array(hidden(kept, hiding), np.bool_),
        offered=rate(_known(interval.offered) for interval in kept),
        attempts=rate(_known(interval.attempts) for interval in kept),
        connected=rate(interval.connected for interval in kept),
        exchanges=rate(_known(interval.exchanges) for interval in kept),
        connect_p50_s=_seconds(interval.connect_p50_ns for interval in kept),
        connect_p99_s=_seconds(interval.connect_p99_ns for interval in kept),
        connect_cpu_s=_seconds(interval.connect_cpu_ns for interval in kept),
        errors=_errors([interval.errors for interval in kept], length_s),
        cut=0,
    )


def _errors(kept: Sequence[Mapping[Failure, int] | None], length_s: Floats) -> Mapping[str, Floats] | None:
    """Errors per second by `phase:kind`, the most frequent first; None if they were not measured."""
    known = [errors for errors in kept if errors is not None]
    if len(known) < len(kept):
        return None
    totals: Counter[Failure] = Counter()
    for errors in known:
        totals.update({failure: count for failure, count in errors.items() if failure.kind != Fault.CUT})
    return {
        str(failure): _floats(errors.get(failure, 0) for errors in known) / length_s
        for failure in sorted(+totals, key=lambda failure: (-totals[failure], str(failure)))
    }


def _joined(intervals: list[Interval]) -> list[Interval]:
    """The last interval ends when the load does: a short rest of one would show a rate of its own."""
    if len(intervals) < 2:
        return intervals
    *rest, before, last = intervals
    if last.end_ns - last.start_ns >= (before.end_ns - before.start_ns) / 2:
        return intervals
    both = structs.replace(
        together([before, last], before.start_ns, last.end_ns),
        connect_p50_ns=before.connect_p50_ns,
        connect_p99_ns=before.connect_p99_ns,
    )
    return [*rest, both]


Row = tuple[int, Mapping[str, ViewpointSample] | None]
"""An instant in ns, and what was sampled then; None in the middle of a gap."""


def _sampled(samples: list[Sample], gaps: Sequence[Gap]) -> list[Row]:
    rows: list[Row] = [(sample.t_ns, sample.viewpoints) for sample in samples]
    if samples:
        rows += [((gap.start_ns + gap.end_ns) // 2, None) for gap in gaps if gap.what == SAMPLER]
    return sorted(rows, key=lambda row: row[0])


def _sockets(rows: Sequence[Row], scope: Scope) -> Sockets:
    counts: dict[str, dict[State, Floats]] = {}
    oldest_s: dict[str, float] = {}
    for name in scope.names:
        entries = [known.get(name) if known else None for _, known in rows]
        seen = {state for row in entries if row for state, count in row.states.items() if count}
        if any(entries):
            counts[name] = {
                state: _floats(row.count(state) if row else np.nan for row in entries)
                for state in State
                if state in seen or state is State.TIME_WAIT
            }
            oldest_s[name] = max(row.states_age_ns for row in entries if row) / 1e9
    openers = [known.get(scope.leg.opener) if known else None for _, known in rows]
    held = [row.ports_held if row else None for row in openers]
    return Sockets(
        t_s=_floats(t_ns / 1e9 for t_ns, _ in rows),
        counts=counts,
        ports_held=_floats(np.nan if ports is None else ports for ports in held),
        oldest_s=oldest_s,
    )


def _sysctls(labs: list[LabOpened]) -> dict[str, dict[str, str]]:
    """The sysctls in force by viewpoint, as the lab read them back, under their names' last part."""
    return {
        viewpoint: {name.rpartition(".")[2]: " ".join(value.split()) for name, value in values.items()}
        for lab in labs[-1:]
        for viewpoint, values in lab.sysctls.items()
    }


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _known(count: int | None) -> float:
    return np.nan if count is None else count


def _seconds(values_ns: Iterable[float | None]) -> Floats:
    return _floats(np.nan if value is None else value / 1e9 for value in values_ns)
