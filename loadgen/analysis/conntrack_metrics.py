"""The metrics of a NAT: its ports, and the entries and counters of its conntrack. Pure."""

from collections.abc import Sequence

from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Placeholder, Unit
from loadgen.records.conntrack import Conntrack
from loadgen.tcp import Tracked

NAT = Placeholder(
    "nat",
    "a viewpoint that translates addresses",
    {"nat": "nat"},
    measured=lambda fold, _: {
        one.name: one.name for one in fold.scope.viewpoints if one.name in fold.sampled.entries_most
    },
)
TRACKED = Placeholder(
    "tracked",
    "conntrack's state of a connection, by conntrack's own names",
    {state.key: state for state in Tracked},
)
TRACKING = Placeholder(
    "tracking",
    "a counter of conntrack. `insert_failed`: entries not made, the same addresses and ports being taken: a"
    " NAT without a port; `drop`: packets dropped because no entry could be made for them; `early_drop`:"
    " entries removed before their time, to make room at the limit",
    {name: name for name in ("insert_failed", "drop", "early_drop")},
)


def _tracked(fold: Fold, viewpoint: str, index: int) -> Conntrack:
    found = fold.samples[index].viewpoints[viewpoint].conntrack
    assert found is not None
    return found


def counted(fold: Fold, viewpoint: str, counter: str) -> int:
    """By how much a counter of conntrack grew."""
    first, last = (_tracked(fold, viewpoint, index).counters.get(counter, 0) for index in (0, -1))
    return last - first


def _ports(fold: Fold, viewpoint: str) -> int | None:
    return next(
        (one.pool.size for one in fold.scope.viewpoints if one.name == viewpoint and one.pool is not None),
        None,
    )


CONNTRACK_METRICS: Sequence[Metric] = (
    Metric(
        "{nat}.ports",
        Unit.PORTS,
        "source ports that the NAT has: its range, once for each of the server's addresses",
        lambda fold, values: _ports(fold, values[NAT]),
        (NAT,),
    ),
    Metric(
        "{nat}.conntrack.{tracked}.max",
        Unit.COUNT,
        "the most conntrack entries that a sample found in this state",
        lambda fold, values: fold.sampled.tracked_most[values[NAT]][values[TRACKED]],
        (NAT, TRACKED),
    ),
    Metric(
        "{nat}.conntrack.{tracked}.end",
        Unit.COUNT,
        "conntrack entries in this state in the last sample",
        lambda fold, values: _tracked(fold, values[NAT], -1).entries.get(values[TRACKED], 0),
        (NAT, TRACKED),
    ),
    Metric(
        "{nat}.conntrack.entries.max",
        Unit.COUNT,
        "the most conntrack entries in a sample, whatever their state; their limit is the sysctl"
        " net.netfilter.nf_conntrack_max",
        lambda fold, values: fold.sampled.entries_most[values[NAT]],
        (NAT,),
    ),
    Metric(
        "{nat}.conntrack.{tracking}",
        Unit.COUNT,
        "by how much a counter of conntrack grew from the first sample, before the load, to the last",
        lambda fold, values: counted(fold, values[NAT], values[TRACKING]),
        (NAT, TRACKING),
    ),
)
