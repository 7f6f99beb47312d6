"""Who is full: the share of its cores that a side uses, and of the load workers' time that goes into finding
ports.

Pure. A load that reaches its limit looks alike whoever the limit is: starts late, rates that do not
grow. These numbers tell the generator, the server and the kernel's search for a port (K8) apart.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from loadgen.knee import LASTING, LEAST_SLOWING, out_of_ports
from loadgen.records import Interval, Sample
from loadgen.tcp import Side

SEARCH_SHARE = 0.5
"""The share of the load workers' time inside connect() from which on it is what they mostly do."""
SLOW_CALL_NS = 100_000
"""A connect() that finds its port at once takes a few ten microseconds, with the handshake that the kernel
may carry out within it; one that searches takes hundreds and more (K8)."""
SEARCH_HELD = 0.4
"""The share of its ports that a client holds at least where connect() has to search: about half (K8)."""


@dataclass(frozen=True, slots=True)
class Core:
    """What one process had of a core, as shares of the time: what it used, and what it was ready to use and
    waited for."""

    used: float
    waited: float

    @property
    def wanted(self) -> float:
        return self.used + self.waited


@dataclass(frozen=True, slots=True)
class Search:
    """The part of a load in which connect() searches for ports, and the load workers do little else.

    since_ns     when it begins
    share        of the load workers' time then, what is spent inside connect()
    call_ns      mean time of a call then; `before_ns` is usual before that, None where nothing was before
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

    since_ns    when the first of them began; `lasting_ns`: the first that lasted, None where none did
    late        starts that were late in them
    """

    since_ns: int
    lasting_ns: int | None
    late: int


def cores_used(samples: Sequence[Sample], side: Side, until_ns: int) -> float:
    """Cores that all processes of a side used, on average, from the load's begin until then."""
    under = _under_load(samples, until_ns)
    return (_cpu_ns(under[-1], side) - _cpu_ns(under[0], side)) / _length_ns(under) if under else 0.0


def cores(samples: Sequence[Sample], side: Side, until_ns: int) -> list[Core]:
    """The same of each process by itself; none where they were not told apart."""
    under = _under_load(samples, until_ns)
    if not under:
        return []
    first, last = under[0].sides[side], under[-1].sides[side]
    used_ns = _grown(first.workers_cpu_ns, last.workers_cpu_ns)
    waited_ns = _grown(first.workers_wait_ns, last.workers_wait_ns) or [0] * len(used_ns)
    length_ns = _length_ns(under)
    return [Core(used / length_ns, wait / length_ns) for used, wait in zip(used_ns, waited_ns, strict=False)]


def connect_share(intervals: Sequence[Interval], workers: int) -> float | None:
    """The share of the load workers' time spent inside connect(); None where it was not measured.

    At most 1: the uring driver times some of the calls, and what it concludes of all can be too much.
    """
    spent_ns = _connecting_ns(intervals)
    length_ns = sum(one.end_ns - one.start_ns for one in intervals) * workers
    return None if spent_ns is None or not length_ns else min(spent_ns / length_ns, 1.0)


def search(
    intervals: Sequence[Interval], samples: Sequence[Sample], workers: int, ports: int
) -> Search | None:
    """The search for ports in these intervals, None where there is none or it does not last.

    connect() has to be slow and to take most of the time, and the client to hold the ports: any of the
    three alone has other causes, such as a machine that is shared.
    """
    times_ns = [sample.t_ns for sample in samples]

    def held(interval: Interval) -> int:
        found = bisect_right(times_ns, interval.end_ns)
        return samples[found - 1].sides[Side.CLIENT].ports_held if found else 0

    searching = [_busy_connecting([one], workers) and held(one) >= SEARCH_HELD * ports for one in intervals]
    if sum(searching) < LASTING:
        return None
    begin = searching.index(True)
    during = [one for one, searches in zip(intervals, searching, strict=True) if searches]
    share, call_ns = connect_share(during, workers), _call_ns(during)
    assert share is not None  # it was measured in each of them
    assert call_ns is not None
    # The median: one pause of the machine would pass for slow calls.
    calls_ns = [call for one in intervals[:begin] if (call := _call_ns([one])) is not None]
    before_ns = round(median(calls_ns)) if calls_ns else None
    if before_ns is not None and call_ns < LEAST_SLOWING * before_ns:
        return None
    return Search(
        since_ns=intervals[begin].start_ns,
        share=share,
        call_ns=call_ns,
        before_ns=before_ns,
        ports_held=held(intervals[begin]),
        late=_late(intervals, searching),
    )


def _busy_connecting(intervals: Sequence[Interval], workers: int) -> bool:
    share, call_ns = connect_share(intervals, workers), _call_ns(intervals)
    return share is not None and share >= SEARCH_SHARE and call_ns is not None and call_ns >= SLOW_CALL_NS


def exhaustion(intervals: Sequence[Interval]) -> Exhaustion | None:
    """The want of ports in these intervals, None where there is none."""
    lacking = [one for one in intervals if out_of_ports(one)]
    if not lacking:
        return None
    # One that was taken for a moment is no reason to judge nobody from then on.
    stretches = (intervals[begin : begin + LASTING] for begin in range(len(intervals) - LASTING + 1))
    lasting = next((stretch for stretch in stretches if all(map(out_of_ports, stretch))), None)
    return Exhaustion(
        since_ns=lacking[0].start_ns,
        lasting_ns=lasting[0].start_ns if lasting else None,
        late=sum(one.late for one in lacking),
    )


def _late(intervals: Sequence[Interval], searching: Sequence[bool]) -> int:
    """Late starts that the search explains: those during it, in the interval in which it begins, and after
    it for as long as there are any, for what it held up starts then. Those without a port are left out."""
    explained = [now or soon for now, soon in pairwise([*searching, False])]
    for index in range(1, len(intervals)):
        explained[index] |= explained[index - 1] and intervals[index].late > 0
    return sum(
        one.late for one, yes in zip(intervals, explained, strict=True) if yes and not out_of_ports(one)
    )


def _connecting_ns(intervals: Sequence[Interval]) -> int | None:
    measured = [one.connecting_ns for one in intervals if one.connecting_ns is not None]
    return sum(measured) if measured and len(measured) == len(intervals) else None


def _call_ns(intervals: Sequence[Interval]) -> int | None:
    """The mean time of a call of connect(), None where there was none or it was not measured."""
    spent_ns, attempts = _connecting_ns(intervals), sum(one.attempts for one in intervals)
    return None if spent_ns is None or not attempts else spent_ns // attempts


def _grown(first: Sequence[int], last: Sequence[int]) -> list[int]:
    """By how much each grew; nothing where they are not the same ones."""
    return (
        [after - before for before, after in zip(first, last, strict=True)] if len(first) == len(last) else []
    )


def _under_load(samples: Sequence[Sample], until_ns: int) -> Sequence[Sample]:
    """The samples from the load's begin on; none where two are not to be had."""
    under = [sample for sample in samples if 0 <= sample.t_ns <= until_ns]
    return under if len(under) > 1 else ()


def _length_ns(samples: Sequence[Sample]) -> int:
    return samples[-1].t_ns - samples[0].t_ns


def _cpu_ns(sample: Sample, side: Side) -> int:
    return sample.sides[side].cpu_user_ns + sample.sides[side].cpu_system_ns
