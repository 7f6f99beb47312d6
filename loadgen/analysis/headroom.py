"""CPU use per worker, and time spent in connect(): what the limit of a load was.

Pure. A load that reaches a limit starts late and its rate does not grow, whatever the limit is. These numbers
distinguish the generator, the server, the kernel's search for a port (K8), and the lack of ports.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.analysis.knee import LEAST_SLOWING, out_of_ports
from loadgen.analysis.spread import Spread
from loadgen.analysis.window import LASTING, Window
from loadgen.records.types import Interval, Sample, added

SEARCH_SHARE = 0.5
"""The share of the load workers' time inside connect() from which on connect() is most of their work."""
SLOW_CALL_NS = 100_000
"""A connect() that finds its port at once takes some ten microseconds, including the handshake that the
kernel may carry out within it; one that searches takes hundreds and more (K8)."""
SEARCH_HELD = 0.4
"""The share of its ports that a client holds at least when connect() has to search: about half (K8)."""


@dataclass(frozen=True, slots=True)
class Core:
    """One process's use of a core, as shares of the time: used, and waited for while ready to run."""

    used: float
    waited: float

    @property
    def wanted(self) -> float:
        return self.used + self.waited


@dataclass(frozen=True, slots=True)
class Search:
    """The part of a load in which connect() searches for ports, and the load workers do little else.

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
class Exhaustion:
    """The parts of a load in which the client lacks ports.

    since_ns    when the first interval of them began; `until_ns`: when that one ended
    lasting_ns  when the first part began that lasted, None if none did
    late        starts that were late in them
    """

    since_ns: int
    until_ns: int
    lasting_ns: int | None
    late: int


def cores_used(samples: Sequence[Sample], viewpoint: str, until_ns: int) -> float:
    """Cores that all processes of a viewpoint used, on average, from the beginning of the load until then."""
    under = _under_load(samples, until_ns)
    return (
        (_cpu_ns(under[-1], viewpoint) - _cpu_ns(under[0], viewpoint)) / _length_ns(under) if under else 0.0
    )


def cores(samples: Sequence[Sample], viewpoint: str, until_ns: int) -> list[Core]:
    """The same for each process; empty if the samples do not list them one by one."""
    under = _under_load(samples, until_ns)
    if not under:
        return []
    first, last = under[0].viewpoints[viewpoint], under[-1].viewpoints[viewpoint]
    used_ns = _grown(first.workers_cpu_ns, last.workers_cpu_ns)
    waited_ns = _grown(first.workers_wait_ns, last.workers_wait_ns) or [0] * len(used_ns)
    length_ns = _length_ns(under)
    return [Core(used / length_ns, wait / length_ns) for used, wait in zip(used_ns, waited_ns, strict=False)]


@dataclass(frozen=True, slots=True)
class Connecting:
    """Time spent inside connect() in some intervals, summed over all load workers, and the number of calls,
    None if they were not measured in each of them; and the total length of the intervals."""

    spent_ns: int | None = 0
    calls: int | None = 0
    length_ns: int = 0

    def __add__(self, one: Interval) -> "Connecting":
        return Connecting(
            added(self.spent_ns, one.connecting_ns),
            added(self.calls, one.attempts),
            self.length_ns + one.end_ns - one.start_ns,
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


class SearchFinder:
    """Finds the part of a load in which connect() searches for ports. It is given each interval in turn.

    connect() must be slow, must take most of the time, and the client must hold the ports: each of the three
    alone has other causes, such as a machine that is shared.
    """

    def __init__(self, ports: int) -> None:
        self._least_held = SEARCH_HELD * ports
        self.since_ns: int | None = None
        self._held = 0
        self._lasted = 0
        self._during = Connecting()
        # The median: with a mean, one pause of the machine would look like slow calls.
        self._calls_before_ns = Spread()
        self._explained = False
        self._late = 0

    def judge(self, window: Window, index: int, workers: int) -> None:
        """Take in the next interval: the one at this index of the window."""
        one = window.intervals[index]
        following = [
            other
            for other, hidden in zip(
                window.intervals[index + 1 : index + 2], window.hidden[index + 1 : index + 2], strict=True
            )
            if not hidden
        ]
        searches = self._searches(one, window, workers)
        if searches:
            if self.since_ns is None:
                self.since_ns, self._held = one.start_ns, _held(one, window)
            self._lasted += 1
            self._during += one
        elif self.since_ns is None and (call_ns := (Connecting() + one).call_ns) is not None:
            self._calls_before_ns.add(call_ns)
        # Late starts that the search explains: those during it, in the interval in which it begins, and after
        # it as long as there are any: starts that it delayed come then. Those without a port do not count.
        soon = any(self._searches(other, window, workers) for other in following)
        late = one.late or 0
        self._explained = searches or soon or (self._explained and late > 0)
        if self._explained and not out_of_ports(one):
            self._late += late

    def search(self, workers: int) -> Search | None:
        """The search so far, None if there is none or it does not last."""
        if self.since_ns is None or self._lasted < LASTING:
            return None
        share, call_ns = self._during.share(workers), self._during.call_ns
        assert share is not None  # it was measured in each of them
        assert call_ns is not None
        before = self._calls_before_ns.median()
        before_ns = None if before is None else round(before)
        if before_ns is not None and call_ns < LEAST_SLOWING * before_ns:
            return None
        return Search(self.since_ns, share, call_ns, before_ns, self._held, self._late)

    def _searches(self, interval: Interval, window: Window, workers: int) -> bool:
        return _busy_connecting(interval, workers) and _held(interval, window) >= self._least_held


def _held(interval: Interval, window: Window) -> int:
    """The ports that the client holds at the end of an interval."""
    sample = window.sample_before(interval.end_ns)
    return (sample.viewpoints[window.opener].ports_held or 0) if sample else 0


def _busy_connecting(interval: Interval, workers: int) -> bool:
    connecting = Connecting() + interval
    share, call_ns = connecting.share(workers), connecting.call_ns
    return share is not None and share >= SEARCH_SHARE and call_ns is not None and call_ns >= SLOW_CALL_NS


class ExhaustionFinder:
    """Finds the parts of a load in which the client lacks ports. It is given each interval in turn."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._until_ns = 0
        self.lasting_ns: int | None = None
        self._late = 0
        # Ports that were short for a moment must not end the judgement of the workers.
        self._stretch: list[int] = []

    def judge(self, one: Interval) -> None:
        if not out_of_ports(one):
            self._stretch = []
            return
        if self._since_ns is None:
            self._since_ns, self._until_ns = one.start_ns, one.end_ns
        self._late += one.late or 0
        if self.lasting_ns is None:
            self._stretch.append(one.start_ns)
            self.lasting_ns = self._stretch[0] if len(self._stretch) == LASTING else None

    def exhaustion(self) -> Exhaustion | None:
        """The lack of ports so far, None if there was none."""
        if self._since_ns is None:
            return None
        return Exhaustion(self._since_ns, self._until_ns, self.lasting_ns, self._late)


def _grown(first: Sequence[int], last: Sequence[int]) -> list[int]:
    """By how much each grew; empty if their number differs."""
    return (
        [after - before for before, after in zip(first, last, strict=True)] if len(first) == len(last) else []
    )


def _under_load(samples: Sequence[Sample], until_ns: int) -> Sequence[Sample]:
    """The samples from the beginning of the load on; none if there are fewer than two."""
    under = [sample for sample in samples if 0 <= sample.t_ns <= until_ns]
    return under if len(under) > 1 else ()


def _length_ns(samples: Sequence[Sample]) -> int:
    return samples[-1].t_ns - samples[0].t_ns


def _cpu_ns(sample: Sample, viewpoint: str) -> int:
    return sample.viewpoints[viewpoint].cpu_ns or 0
