"""The metrics, each declared once: expectations, docs, `churn metrics` and summary.json take it from here.

Pure. The order is that of summary.json.
"""

from collections.abc import Callable, Sequence

from loadgen.analysis.conntrack_metrics import CONNTRACK_METRICS
from loadgen.analysis.cost_metrics import cost_metrics
from loadgen.analysis.count_metrics import COUNT_METRICS
from loadgen.analysis.fold import Fold
from loadgen.analysis.load_metrics import LOAD_METRICS
from loadgen.analysis.metric import Metric, Placeholder, Unit, Values, named
from loadgen.analysis.script_metrics import SCRIPT_METRICS
from loadgen.analysis.stage_metrics import stage_metrics
from loadgen.records.events import CommandEnded, ServerCounted, ServerEnded
from loadgen.records.latency import Tag
from loadgen.scenario.choices import Topology
from loadgen.tcp import State
from loadgen.wire.served import Served

COUNT, PORTS, SOCKETS, NS, PER_S, SHARE = Unit

VIEWPOINT = Placeholder(
    "viewpoint",
    "where sockets are counted: an end of the connections, or a node between the ends",
    {name: name for topology in Topology for name in topology.viewpoints},
    measured=lambda fold, _: {name: name for name in fold.scope.names} if fold.samples else {},
)
STATE = Placeholder("state", "a TCP state (RFC 9293)", {state.key: state for state in State})
TAG = Placeholder(
    "tag",
    "what the latency spans. `start`: from the intended start of a request to its actual one, in open loops;"
    " `connect`: from connect() to ESTABLISHED; `response`: from the intended start of a request to its whole"
    " response; `service`: from the actual start to the whole response",
    {str(tag): tag for tag in Tag},
)
QUANTILE = Placeholder(
    "quantile",
    "the share of the latencies that are no longer: half of them, 90 %, 99 %, 99.9 %",
    {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999},
)
SERVED = Placeholder(
    "served",
    "a count of churn's own server. `accepted`: connections; `exchanges`: responses; `fin`, `rst`:"
    " connections that it closed first; of these `idle_timeouts`: for want of a request, `capped`: beyond"
    " `server.per_client`, `malformed`: for a malformed request; `peer_fin`, `peer_rst`: those that the"
    " client closed first; `lost`: neither",
    {name: name for name in Served.__struct_fields__ if name != "accept_errors"},
    measured=lambda fold, _: SERVED.known if fold.event(ServerCounted) else {},
)
COUNTER: Placeholder[str] = Placeholder(
    "counter",
    "a TCP counter of the kernel, by the kernel's name for it",
    {},
    word="[A-Z][A-Za-z0-9]*",
    measured=lambda fold, values: {name: name for name in fold.kernel()[values[VIEWPOINT]]},
)


def _served(fold: Fold, values: Values) -> float | None:
    """What the server has counted, if it has ended in order."""
    counted = fold.event(ServerCounted)
    return None if counted is None else getattr(counted.counts, values[SERVED])


def _of_samples(take: Callable[[Fold], float]) -> Callable[[Fold, Values], float | None]:
    """Taken off the samples, if there are any."""
    return lambda fold, _: take(fold) if fold.samples else None


METRICS: Sequence[Metric] = (
    Metric(
        "client.ports",
        PORTS,
        "ports that the client has: its range, times its addresses, times the server's addresses and ports,"
        " unless bind() takes them for all of these",
        lambda fold, _: fold.ports,
    ),
    *COUNT_METRICS,
    Metric(
        "client.exit_status",
        COUNT,
        "the exit status of `load.command`, or minus the number of the signal that ended it; absent if churn"
        " stopped it",
        lambda fold, _: ended.code if (ended := fold.event(CommandEnded)) and not ended.asked else None,
    ),
    *SCRIPT_METRICS,
    Metric(
        "server.exit_status",
        COUNT,
        "the exit status of `server.command`, or minus the number of the signal that ended it; absent if"
        " churn or the script ended it",
        lambda fold, _: ended.code if (ended := fold.event(ServerEnded)) else None,
    ),
    *LOAD_METRICS,
    *cost_metrics(VIEWPOINT),
    *stage_metrics(VIEWPOINT),
    Metric("served.{served}", COUNT, "what churn's own server has counted", _served, (SERVED,)),
    Metric("samples.count", COUNT, "samples that were taken", _of_samples(lambda fold: fold.sampled.count)),
    Metric(
        "samples.late",
        COUNT,
        "samples that began more than half a period late",
        _of_samples(lambda fold: fold.sampled.late),
    ),
    Metric(
        "samples.cost_ns",
        NS,
        "the mean time that a sample took",
        _of_samples(lambda fold: fold.sampled.cost_ns / fold.sampled.count),
    ),
    Metric(
        "samples.missed",
        COUNT,
        "samples that were due and not taken",
        _of_samples(lambda fold: fold.sampled.missed),
    ),
    Metric(
        "{viewpoint}.{state}.max",
        SOCKETS,
        "the most sockets that a sample found in this state",
        lambda fold, values: fold.sampled.most(values[VIEWPOINT], values[STATE]),
        (VIEWPOINT, STATE),
    ),
    Metric(
        "{viewpoint}.{state}.end",
        SOCKETS,
        "sockets in this state in the last sample",
        lambda fold, values: fold.samples[-1].viewpoints[values[VIEWPOINT]].count(values[STATE]),
        (VIEWPOINT, STATE),
    ),
    Metric(
        "{viewpoint}.close_wait.unread.max",
        SOCKETS,
        "sockets in CLOSE-WAIT with bytes unread (Recv-Q, a FIN not counted), the most in a sample",
        lambda fold, values: fold.sampled.unread_sockets[values[VIEWPOINT]],
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.cpu_ns",
        NS,
        "CPU time of the viewpoint's processes, from the first sample to the last",
        lambda fold, values: fold.cpu_ns(values[VIEWPOINT]),
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.busy",
        SHARE,
        "the part of a core that a worker used under load: the mean of the workers",
        lambda fold, values: fold.mean_busy(values[VIEWPOINT]),
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.busy.max",
        SHARE,
        "the part of a core that the busiest worker used under load",
        lambda fold, values: max((core.used for core in fold.cores(values[VIEWPOINT])), default=None),
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.waiting",
        SHARE,
        "the part of the time that a worker was ready to run and had no core: the mean of the workers",
        lambda fold, values: (
            sum(core.waited for core in cores) / len(cores)
            if (cores := fold.cores(values[VIEWPOINT]))
            else None
        ),
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.ports_held.max",
        PORTS,
        "the most ephemeral ports with a socket on them that a sample found",
        lambda fold, values: fold.sampled.ports_most.get(values[VIEWPOINT]),
        (VIEWPOINT,),
    ),
    Metric(
        "{viewpoint}.ports_held.end",
        PORTS,
        "ephemeral ports with a socket on them in the last sample that read them",
        lambda fold, values: fold.sampled.ports_last.get(values[VIEWPOINT]),
        (VIEWPOINT,),
    ),
    *CONNTRACK_METRICS,
    Metric(
        "{viewpoint}.ports_gone.time_ns",
        NS,
        "the instant of the first sample that found a socket on every ephemeral port of the viewpoint",
        lambda fold, values: fold.sampled.ports_gone_ns.get(values[VIEWPOINT]),
        (VIEWPOINT,),
    ),
    Metric(
        "{tag}.{quantile}_ns",
        NS,
        "a quantile of the latency",
        lambda fold, values: fold.latency(values[TAG]).quantile_ns(values[QUANTILE]),
        (TAG, QUANTILE),
    ),
    Metric(
        "{tag}.max_ns",
        NS,
        "the longest latency",
        lambda fold, values: fold.latency(values[TAG]).max_ns if fold.latency(values[TAG]).count else None,
        (TAG,),
    ),
    Metric(
        "{viewpoint}.kernel.{counter}",
        COUNT,
        "by how much a counter of the kernel grew from the first sample, before the load, to the last;"
        " viewpoints of one network namespace share its counters",
        lambda fold, values: fold.kernel()[values[VIEWPOINT]][values[COUNTER]],
        (VIEWPOINT, COUNTER),
    ),
)


def measure(fold: Fold) -> dict[str, float]:
    """Every metric that was measured, by name; one that was not is absent, and is not 0."""
    found: dict[str, float] = {}
    for one in named(METRICS, lambda placeholder, before: placeholder.values(fold, before)):
        value = one.metric.take(fold, one.values)
        if value is not None:
            found[one.name] = value
    return found
