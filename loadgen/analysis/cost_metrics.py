"""The metrics of cost: the CPU time of connect(), and what a request costs in CPU time and in segments.

Pure.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from statistics import median

from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Placeholder, Unit, Values
from loadgen.records.types import Sample, ViewpointSample
from loadgen.tcp import State

NS = Unit.NS

_SPAN_NS = 1_000_000_000
"""The kernel adds the slab up per core, and up to some 100 pages late: shorter spans would show steps."""
_LEAST_IN_SPAN, _LEAST_SPANS = 1_000, 10
"""TIME-WAITs that come in a span, and such spans, at least."""


def _of_a_call(name: str) -> Callable[[Fold, Values], float | None]:
    """The mean over the calls of connect() that were clocked."""

    def take(fold: Fold, _: Values) -> float | None:
        calls, spent_ns = fold.total("clocked"), fold.total(name)
        return spent_ns / calls if calls and spent_ns is not None else None

    return take


def _used_ns(fold: Fold, viewpoint: str, part: Callable[[ViewpointSample], int | None]) -> int | None:
    """A part of the CPU time of a viewpoint's processes, from the first sample to the last."""
    first_ns, last_ns = (part(fold.samples[index].viewpoints[viewpoint]) for index in (0, -1))
    return None if first_ns is None or last_ns is None else last_ns - first_ns


def _of_a_request(fold: Fold, total: int | None) -> float | None:
    requests = fold.total("exchanges")
    return total / requests if requests and total is not None else None


def segments(fold: Fold) -> int | None:
    """Segments that all namespaces of the lab sent, those sent again included; viewpoints of one namespace
    have the same counters. None if a kernel does not count them."""
    if not fold.samples:
        return None
    kernel = fold.kernel()
    of_node = {one.node: kernel[one.name] for one in fold.scope.viewpoints}
    sent = [counters.get("OutSegs") for counters in of_node.values()]
    again = sum(counters.get("RetransSegs", 0) for counters in of_node.values())
    known = [count for count in sent if count is not None]
    return sum(known) + again if known and len(known) == len(sent) else None


def _all_used_ns(fold: Fold) -> int | None:
    """The CPU time of the processes of all viewpoints."""
    names = fold.scope.names if fold.samples else ()
    known = [used_ns for name in names if (used_ns := fold.cpu_ns(name)) is not None]
    return sum(known) if known else None


def slab_per_time_wait(samples: Sequence[Sample]) -> float | None:
    """By how many bytes the slab grew for each TIME-WAIT; None if too few came.

    The slab is the whole machine's. So this is the median over spans of a second in which TIME-WAITs came:
    sockets of other programs that come or go at one moment are in a few of the spans.
    """
    seen = [
        (one.t_ns, sum(viewpoint.count(State.TIME_WAIT) for viewpoint in one.viewpoints.values()), bytes_)
        for one in samples
        if (bytes_ := one.slab_bytes) is not None
    ]
    instants = [t_ns for t_ns, _, _ in seen]
    slopes: list[float] = []
    for begin_ns, before, held in seen:
        end = bisect_left(instants, begin_ns + _SPAN_NS)
        if end < len(seen) and (came := seen[end][1] - before) >= _LEAST_IN_SPAN:
            slopes.append((seen[end][2] - held) / came)
    return median(slopes) if len(slopes) >= _LEAST_SPANS else None


def cost_metrics(viewpoint: Placeholder[str]) -> Sequence[Metric]:
    """The metrics of cost; `viewpoint` is where processes are."""
    return (
        Metric(
            "connect.wall_ns",
            NS,
            "how long a call of connect() took: the mean of the `clocked` ones, failed ones included",
            _of_a_call("clocked_wall_ns"),
        ),
        Metric(
            "connect.cpu_ns",
            NS,
            "the CPU time that the load worker used in it: less than `connect.wall_ns` where others had the"
            " core meanwhile",
            _of_a_call("clocked_cpu_ns"),
        ),
        Metric(
            "time_wait.slab_bytes",
            Unit.COUNT,
            "bytes of the kernel's memory for each TIME-WAIT, with all that is kept beside it: the median"
            " growth of SUnreclaim of /proc/meminfo over spans of a second in which 1,000 or more came; that"
            " is of the whole machine, and sockets that others open meanwhile count in it",
            lambda fold, _: slab_per_time_wait(fold.samples),
        ),
        Metric(
            "request.segments",
            Unit.COUNT,
            "segments that all sides sent per response, those of handshakes and closes included",
            lambda fold, _: _of_a_request(fold, segments(fold)),
        ),
        Metric(
            "request.cpu_ns",
            NS,
            "CPU time of the processes of all sides per response, from the first sample to the last",
            lambda fold, _: _of_a_request(fold, _all_used_ns(fold)),
        ),
        Metric(
            "request.{viewpoint}.user_ns",
            NS,
            "CPU time that the viewpoint's processes spent in their programs, per response",
            lambda fold, values: _of_a_request(
                fold, _used_ns(fold, values[viewpoint], lambda one: one.cpu_user_ns)
            ),
            (viewpoint,),
        ),
        Metric(
            "request.{viewpoint}.system_ns",
            NS,
            "CPU time that they spent in the kernel, per response; what the kernel does with a segment at its"
            " receiver can count for the process that sent it, since all sides are on one machine",
            lambda fold, values: _of_a_request(
                fold, _used_ns(fold, values[viewpoint], lambda one: one.cpu_system_ns)
            ),
            (viewpoint,),
        ),
    )
