"""What a run keeps in memory: bounded by design, and with the same answers as if all of it were kept."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from loadgen.analysis import window
from loadgen.analysis.caveats.case import Case
from loadgen.analysis.caveats.rules import find_caveats
from loadgen.analysis.fold import Fold
from loadgen.analysis.metrics import measure
from loadgen.records.events import LoadEnds
from loadgen.records.types import Record
from loadgen.tcp import Side, State
from plots.buckets import EXACT, MOST, PENDING
from plots.columns import Gathering, columns_of
from tests.made_records import NO_PORT, STEP, interval, sample, side, variant

PORTS = 28_232
FAST_NS, SLOW_NS = 30_000, 1_800_000


def folded(records: Sequence[Record]) -> Fold:
    fold = Fold(PORTS)
    for record in records:
        fold.add(record)
    return fold


def answers(fold: Fold) -> dict[str, object]:
    """All that a fold is asked for, its own lists of records apart."""
    return {
        **measure(fold),
        "kernel": fold.kernel(),
        "knee": fold.knee(),
        "search": fold.search(),
        "exhaustion": fold.exhaustion(),
        "open at the end": fold.open_at_end(),
        "caveats": find_caveats(Case(variant(load={"open_loop": {"rate": 500}}), fold, [])),
    }


def run(steps: int, seed: int, every: int, tail: int) -> list[Record]:
    """A run of `steps` intervals that has what a run can have: spikes, pauses, two knees, a search for ports,
    a lasting want of them and a short one before it. A sample is taken every so many intervals."""
    random = np.random.default_rng(seed)
    knees = sorted(random.choice(np.arange(8, max(steps // 2, 10)), 2, replace=False).tolist())
    gone = int(random.integers(steps // 2, steps + steps // 4))
    records: list[tuple[int, Record]] = [(-STEP, sample(-STEP, side(workers=[(0, 0)])))]
    held = 0
    begin_ns = 0
    for index in range(steps + tail):
        slow = any(knee <= index < knee + steps // 6 + 4 for knee in knees)
        loaded = index < steps
        connected = round((60 if slow else 1_600) * random.uniform(0.8, 1.2)) if loaded else 0
        connected *= int(random.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 3]))
        held = min(held + connected, PORTS) if index < gone else PORTS
        end_ns = begin_ns + round(STEP * random.choice([1, 1, 1, 1, 0.01, 0.5, 2.5]))
        lacking = loaded and (index >= gone or random.random() < 1 / steps)
        records.append(
            (
                end_ns,
                structs.replace(
                    interval(index, connected),
                    start_ns=begin_ns,
                    end_ns=end_ns,
                    late=int(random.integers(0, 30)) if slow else 0,
                    in_flight=index % 64,
                    errors={NO_PORT: 3} if lacking else {},
                    connect_p50_ns=(SLOW_NS if slow else FAST_NS) if connected else None,
                    connecting_ns=connected * (SLOW_NS if slow else FAST_NS),
                ),
            )
        )
        if index % every == 0:
            states = {State.TIME_WAIT: held, State.ESTABLISHED: int(random.integers(0, 99))}
            working = [(int(end_ns * 0.9), end_ns // 50)]
            client = side(states, held, 0, {"ActiveOpens": held}, working)
            t_ns = end_ns + int(random.integers(0, STEP // 2))
            records.append((t_ns, sample(t_ns, client, late=bool(random.random() < 0.1))))
        begin_ns = end_ns
        if index == steps - 1:
            records.append((end_ns, LoadEnds(end_ns)))
    records.sort(key=lambda timed: timed[0])
    return [record for _, record in records]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 900), st.integers(1, 5), st.integers(0, 200))
def test_a_fold_that_keeps_little_answers_as_one_that_keeps_all(
    seed: int, steps: int, every: int, tail: int
) -> None:
    records = run(steps, seed, every, tail)
    everything = folded(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "MOST_INTERVALS", 64)
        patch.setattr(window, "MOST_SAMPLES", 48)
        fold = folded(records)
        assert len(fold.intervals) <= 64
        assert len(fold.samples) <= 48
    assert answers(fold) == answers(everything)


def test_figures_of_a_long_run_keep_its_counts_and_its_extremes() -> None:
    count, spike, dip = 20_000, 7_001, 13_002
    random = np.random.default_rng(0)
    made = random.integers(180, 220, count).tolist()
    made[spike], made[dip] = 5_000, 1
    gathering = Gathering()
    for index, connected in enumerate(made):
        failed = {NO_PORT: 7} if index == 400 else {}
        gathering.add(interval(index, connected, errors=failed))
        waiting = {State.TIME_WAIT: 30_000 if index == spike else 100}
        gathering.add(sample(index * STEP, side(waiting, ports_held=5 if index == dip else 9)))
    columns = gathering.columns()
    rates, sockets = columns.rates, columns.sockets
    assert rates.t_s.size <= 6 * MOST
    assert sockets.t_s.size <= 2 * MOST + PENDING
    assert rates.total(rates.connected) == pytest.approx(sum(made))
    assert rates.total(rates.errors[str(NO_PORT)]) == pytest.approx(7)
    assert (rates.connected.max(), rates.connected.min()) == (pytest.approx(50_000), pytest.approx(10))
    assert rates.t_s[rates.connected.argmax()] == pytest.approx((spike + 0.5) / 10)
    assert (sockets.peak(Side.CLIENT, State.TIME_WAIT), sockets.ports_held.min()) == (30_000, 5)
    assert (np.diff(rates.t_s) >= 0).all()
    # A bucket is no gap.
    assert np.diff(rates.t_s).max() <= 2 * rates.bucket_s


def test_figures_of_seven_minutes_show_every_record() -> None:
    records = [interval(index, index) for index in range(EXACT * MOST - 1)]
    rates = columns_of(records).rates
    assert rates.connected.tolist() == pytest.approx([10 * index for index in range(len(records))])
    assert rates.bucket_s == 0
