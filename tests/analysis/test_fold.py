"""The fold: the same at once and record by record, whole or cut short, and never a number that is none."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.analysis.counts import Counted
from loadgen.analysis.fold import Fold
from loadgen.analysis.metric_names import MetricNames
from loadgen.analysis.metrics import measure
from loadgen.records.events import CommandEnded, LoadEnds, SegmentsDropped, ServerCounted, ServerEnded
from loadgen.records.latency import Counts, Distribution, Latency, Tag
from loadgen.records.types import Interval, Record
from loadgen.tcp import Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.served import Served
from tests.made_records import (
    NO_PORT,
    STEP,
    TIMEOUT,
    S,
    driven,
    ended,
    from_samples,
    gap,
    interval,
    sample,
    side,
)

PORTS = 28_232


def folded(records: Sequence[Record | Latency], ports: int = PORTS) -> Fold:
    fold = Fold(ports)
    for record in records:
        fold.add(record)
    return fold


def latency(tag: Tag, *values_ns: int) -> Latency:
    distribution = Distribution()
    distribution.record(Counts.of(tag, np.array(values_ns)))
    taken = distribution.take(tag, 0, S)
    assert taken is not None
    return taken


# What is measured


def test_nothing_gives_the_ports_and_no_more() -> None:
    fold = Fold(PORTS)
    assert measure(fold) == {"client.ports": PORTS}
    assert fold.counted == Counted()
    assert (fold.under_load().turn, fold.complete, fold.busy(Side.CLIENT)) == (None, False, 0.0)
    assert fold.kernel() == {side: {} for side in Side}


def test_counts_add_up() -> None:
    one = driven(
        0,
        STEP,
        offered=9,
        started=8,
        late=1,
        dropped=1,
        attempts=7,
        opened=6,
        connected=5,
        exchanges=4,
        succeeded=3,
        closes=dict(zip(Ending, (1, 1, 2, 1, 0), strict=True)),
        errors={NO_PORT: 1, TIMEOUT: 2, Failure(Phase.CONNECT, Fault.TIMEOUT): 1},
    )
    fold = folded([one, one])
    metrics = measure(fold)
    assert {name: metrics[name] for name in ("offered", "started", "late", "dropped", "attempts")} == {
        "offered": 18,
        "started": 16,
        "late": 2,
        "dropped": 2,
        "attempts": 14,
    }
    assert (metrics["errors.total"], metrics["errors.EADDRNOTAVAIL"], metrics["errors.TIMEOUT"]) == (8, 2, 6)
    assert fold.counted
    assert fold.closes == fold.counted.closes == dict(zip(Ending, (2, 2, 4, 2, 0), strict=True))
    assert (metrics["closes.server_fin"], fold.counted.succeeded, fold.counted.failed) == (4, 6, 8)


def test_the_mean_rate_leaves_out_the_tail_after_the_load() -> None:
    loaded = [interval(index, 100) for index in range(10)]
    tail = [interval(index, 0) for index in range(10, 30)]
    metrics = measure(folded([*loaded, *tail, LoadEnds(S)]))
    assert (metrics["rate.mean"], metrics["rate.end"], metrics["load.time_ns"]) == (1_000, 1_000, S)
    assert metrics["connected"] == 1_000
    # The interval in which the load ends counts where most of it was under load.
    assert measure(folded([*loaded, *tail, LoadEnds(S + STEP * 6 // 10)]))["load.time_ns"] == 11 * STEP
    assert measure(folded([*loaded, *tail, LoadEnds(S + STEP * 4 // 10)]))["load.time_ns"] == S


def test_an_interrupted_load_counts_to_its_last_interval() -> None:
    fold = folded([interval(index, 100) for index in range(7)])
    assert fold.load_end_ns() == 7 * STEP
    assert measure(fold)["rate.mean"] == 1_000
    assert fold.event(LoadEnds) is None


def test_a_load_that_ended_before_its_first_interval_still_has_one() -> None:
    metrics = measure(folded([interval(0, 3), LoadEnds(1)]))
    assert metrics["rate.mean"] == 30


def test_idle_intervals_lower_the_mean_and_not_the_maximum() -> None:
    intervals = [interval(0, 100), interval(1, 0), interval(2, 0), interval(3, 100, exchanges=500)]
    metrics = measure(folded(intervals))
    assert (metrics["rate.mean"], metrics["rate.max"], metrics["rate.requests"]) == (500, 1_000, 1_500)


def test_an_interval_cut_short_gives_no_rate_of_its_own() -> None:
    short = driven(4 * STEP, 4 * STEP + S // 1_000, connected=5)
    metrics = measure(folded([*(interval(index, 100) for index in range(4)), short]))
    assert (metrics["rate.max"], metrics["rate.end"]) == (1_000, 1_000)
    assert metrics["rate.mean"] == pytest.approx(405 / 0.401)


def test_an_interval_without_length_has_no_rate() -> None:
    metrics = measure(folded([driven(0, 0, connected=5)]))
    assert "rate.mean" not in metrics
    assert metrics["connected"] == 5


def test_states_are_the_largest_and_the_last() -> None:
    records = [
        sample(-STEP),
        sample(0, side({State.TIME_WAIT: 10, State.ESTABLISHED: 64}, ports_held=74)),
        sample(STEP, side({State.TIME_WAIT: 7}, ports_held=7), side({State.CLOSE_WAIT: 2}, cpu_ns=30)),
    ]
    metrics = measure(folded(records))
    assert (metrics["client.time_wait.max"], metrics["client.time_wait.end"]) == (10, 7)
    assert (metrics["client.established.max"], metrics["client.established.end"]) == (64, 0)
    assert (metrics["client.ports_held.max"], metrics["client.ports_held.end"]) == (74, 7)
    assert (metrics["server.close_wait.end"], metrics["server.time_wait.max"]) == (2, 0)
    assert (metrics["client.cpu_ns"], metrics["server.cpu_ns"]) == (0, 30)


def test_counters_are_the_last_less_the_first() -> None:
    before = side(counters={"TW": 100, "ActiveOpens": 5})
    after = side(counters={"TW": 150, "ActiveOpens": 65})
    kernel = folded([sample(-STEP, before), sample(S, after), *ended(S)]).kernel()
    assert (kernel[Side.CLIENT]["TW"], kernel[Side.CLIENT]["ActiveOpens"]) == (50, 60)
    assert "TWRecycled" not in kernel[Side.CLIENT]


def test_latencies_are_merged_by_tag() -> None:
    records = [
        latency(Tag.CONNECT, 10_000, 20_000),
        latency(Tag.CONNECT, 30_000),
        latency(Tag.SERVICE, 5_000),
    ]
    metrics = measure(folded(records))
    assert metrics["connect.p50_ns"] == pytest.approx(20_000, abs=512)
    assert metrics["connect.max_ns"] == pytest.approx(30_000, abs=512)
    assert metrics["service.p999_ns"] == pytest.approx(5_000, abs=512)
    assert not any(name.startswith("response.") for name in metrics)


def test_busy_is_of_the_load_alone() -> None:
    records = [
        sample(-STEP, side(cpu_ns=0)),
        sample(0, side(cpu_ns=S)),
        sample(S, side(cpu_ns=S + S // 2)),
        sample(2 * S, side(cpu_ns=9 * S)),
        *ended(S),
    ]
    assert folded(records).busy(Side.CLIENT) == 0.5
    assert folded(records).busy(Side.SERVER) == 0.0


def test_knee_and_exhaustion_are_metrics_where_they_were_seen() -> None:
    fast = [interval(index, 1_600, connect_p50_ns=15_000) for index in range(9)]
    slow = [interval(index, 66, connect_p50_ns=600_000) for index in range(9, 30)]
    held = [
        sample(index * STEP, side(ports_held=min(index, 9) * 1_600 if index < 30 else 27_000))
        for index in range(-1, 32)
    ]
    metrics = measure(folded([*fast, *slow, interval(30, 0, errors={NO_PORT: 28}), *held]))
    assert metrics["knee.ports"] == pytest.approx(14_400, rel=0.01)
    assert metrics["knee.time_ns"] == pytest.approx(9 * STEP, abs=STEP // 10)
    assert metrics["exhaustion.time_ns"] == 30 * STEP


def test_the_ports_are_gone_at_the_first_instant_that_a_driver_recorded() -> None:
    first = interval(3, 5, errors={NO_PORT: 1}, no_port_ns=3 * STEP + 7)
    later = interval(4, 0, errors={NO_PORT: 9}, no_port_ns=4 * STEP)
    assert measure(folded([interval(0, 5), first, later]))["exhaustion.time_ns"] == 3 * STEP + 7
    assert "exhaustion.time_ns" not in measure(folded([interval(0, 5), interval(1, errors={TIMEOUT: 1})]))


# Whatever the records


failures = st.builds(Failure, st.sampled_from(Phase), st.sampled_from(["EADDRNOTAVAIL", "EMFILE", *Fault]))
small = st.integers(0, 5_000)


@st.composite
def runs(draw: st.DrawFn) -> list[Record | Latency]:
    """Records as any run may leave them: kinds mixed, each kind in its own order."""
    records: list[Record | Latency] = []
    for index in range(draw(st.integers(0, 12))):
        counts: dict[str, Any] = {
            name: draw(small) for name in ("offered", "started", "late", "dropped", "attempts", "exchanges")
        }
        errors = draw(st.dictionaries(failures, st.integers(1, 99), max_size=3))
        connect = draw(st.none() | st.integers(1_000, 10_000_000))
        records.append(interval(index, draw(small), **counts, errors=errors, connect_p50_ns=connect))
    for index in range(draw(st.integers(0, 14))):
        states = draw(st.dictionaries(st.sampled_from(State), small, max_size=4))
        sides = [side(states, draw(small), index * draw(small), {"TW": draw(small)}) for _ in Side]
        records.append(sample((index - 1) * STEP, *sides))
    for tag in draw(st.lists(st.sampled_from(Tag), max_size=4)):
        records.append(latency(tag, *draw(st.lists(st.integers(0, 10**13), min_size=1, max_size=4))))
    if draw(st.booleans()):
        records += ended(draw(st.integers(0, 2 * S)))
    return records


@given(runs())
def test_every_metric_is_a_number_with_a_known_name(records: list[Record | Latency]) -> None:
    metrics = measure(folded(records))
    known = MetricNames()
    assert all(name in known for name in metrics)
    assert all(math.isfinite(value) for value in metrics.values())


@given(runs())
def test_looking_in_between_changes_nothing(records: list[Record | Latency]) -> None:
    watched = Fold(PORTS)
    for record in records:
        watched.add(record)
        measure(watched)
    assert measure(watched) == measure(folded(records))
    assert watched.counted == folded(records).counted


@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_kinds_does_not_matter(records: list[Record | Latency], random: Any) -> None:
    kinds: dict[type, list[Record | Latency]] = {}
    for record in records:
        kinds.setdefault(type(record), []).append(record)
    shuffled: list[Record | Latency] = []
    while any(kinds.values()):
        shuffled.append(random.choice([queue for queue in kinds.values() if queue]).pop(0))
    assert measure(folded(shuffled)) == measure(folded(records))


def test_metric_names_are_all_given_by_a_full_run() -> None:
    fast = [interval(index, 1_600, connect_p50_ns=15_000, connecting_ns=1) for index in range(9)]
    slow = [interval(index, 66, connect_p50_ns=600_000, connecting_ns=1) for index in range(9, 30)]
    held = {index: min(index, 9) * 1_600 if index < 30 else 27_000 for index in range(-1, 32)}
    samples = [
        replace(
            sample(index * STEP),
            viewpoints=dict.fromkeys(
                ("client", "server"), side(ports_held=ports, workers=[(0, 0)], counters={"OutSegs": 0})
            ),
        )
        for index, ports in held.items()
    ]
    latencies = [latency(tag, 5_000) for tag in Tag]
    clocked = {"clocked": 1, "clocked_wall_ns": 3, "clocked_cpu_ns": 2}
    gone = interval(30, 0, errors={NO_PORT: 28}, connecting_ns=1, pool_idle=1)
    counted = [replace(one, **clocked) for one in (*fast, *slow, gone)]
    events = [
        SegmentsDropped(31 * STEP, Side.CLIENT, "fin", 1),
        ServerCounted(31 * STEP, Served()),
        CommandEnded(31 * STEP, 0, False, ""),
        ServerEnded(31 * STEP, 0, ""),
    ]
    metrics = measure(folded([*counted, *samples, *latencies, *events, *ended(31 * STEP)]))
    counters = samples[0].viewpoints[Side.CLIENT].counters
    # A proxy's viewpoints, and ports whose number is not in the records: tests/analysis/test_legs.py.
    # A NAT's: tests/runs/test_nat.py.
    absent = (
        "errors.",
        "proxy.",
        "request.proxy.",
        "time_wait.slab_bytes",
        "nat.",
        "request.nat.",
        "client.ports_gone",
        "server.ports_gone",
    )
    listed = [name for name in MetricNames(counters) if not name.startswith(absent)]
    # There is no rate before a turn that the load begins behind, so that no run has both.
    assert [name for name in listed if name != "rate.past_half"] == [
        name for name in metrics if not name.startswith("errors.")
    ]
    behind = [sample(index * STEP, side(ports_held=20_000)) for index in range(-1, 10)]
    assert "rate.past_half" in measure(folded([*fast, *behind])).keys() & {*listed}
    assert len(listed) == len(set(listed))


def test_a_workers_own_share_shows_what_the_mean_hides() -> None:
    records = [
        sample(0, side(workers=[(0, 0), (0, 0)])),
        sample(S, side(workers=[(S, 0), (S // 10, S // 5)])),
        *[interval(index, 100, connecting_ns=STEP // 2) for index in range(10)],
        *ended(S),
    ]
    found = measure(folded(records))
    assert (found["client.busy"], found["client.busy.max"]) == (0.55, 1.0)
    assert found["client.waiting"] == pytest.approx(0.1)
    # Of the time that both had.
    assert found["connect.share"] == 0.25
    assert "server.busy.max" not in found
    # What is concluded from some calls can be more than there was time.
    too_much = [*records[:2], interval(0, 100, connecting_ns=3 * STEP), *ended(S)]
    assert measure(folded(too_much))["connect.share"] == 1.0


def test_samples_are_counted_with_the_late_ones_and_their_cost() -> None:
    first, second, third = (
        replace(sample(index * STEP), cost_ns=cost) for index, cost in enumerate((7, 30, 8))
    )
    found = measure(folded([first, replace(second, late=True), third]))
    assert (found["samples.count"], found["samples.late"], found["samples.cost_ns"]) == (3, 1, 15)


def test_ports_are_held_once_by_a_connection_that_closed_since_its_state_was_read() -> None:
    first, stale, last = (replace(side(), ports_held=held) for held in (10, 74, 64))
    stale = replace(stale, states_age_ns=STEP)
    found = measure(folded([sample(0, first), sample(STEP, stale), sample(2 * STEP, last)]))
    assert found["client.ports_held.max"] == found["client.ports_held.end"] == 64


# What was not observed


def test_rates_are_of_the_time_that_was_observed_and_totals_of_all() -> None:
    before = [interval(index, 100) for index in range(5)]
    held = replace(interval(5, 7, exchanges=14), end_ns=25 * STEP)
    after = [interval(index, 100) for index in range(25, 30)]
    records = [*before, held, *after, *ended(30 * STEP)]
    honest = measure(folded([*records, gap("load worker", 5 * STEP + 1, 25 * STEP)]))
    assert (honest["rate.mean"], honest["rate.requests"]) == (1_000, 1_000)
    assert (honest["rate.max"], honest["rate.end"]) == (1_000, 1_000)
    assert (honest["connected"], honest["exchanges"], honest["load.time_ns"]) == (1_007, 1_014, 30 * STEP)
    # What hides the sockets hides no rate, unless the intervals were made from samples.
    sampler = gap("sampler", 5 * STEP + 1, 25 * STEP)
    assert measure(folded([*records, sampler]))["rate.mean"] < 400
    counted = [from_samples(one) if isinstance(one, Interval) else one for one in records]
    assert measure(folded([*counted, sampler]))["rate.mean"] == 1_000


def test_a_load_of_which_nothing_was_observed_has_no_rate() -> None:
    metrics = measure(folded([interval(0, 5), *ended(STEP), gap("load worker", 0, STEP)]))
    assert metrics["connected"] == 5
    assert not {name for name in metrics if name.startswith("rate.")}


def test_missed_samples_are_counted() -> None:
    metrics = measure(folded([sample(0), sample(STEP, missed=3), sample(2 * STEP, missed=2)]))
    assert (metrics["samples.count"], metrics["samples.missed"]) == (3, 5)
