"""What a run keeps in memory: bounded by design, and with the same answers as if all of it were kept."""

from collections.abc import Sequence

import numpy as np
import pytest

from loadgen.analysis import series
from loadgen.analysis.fold import Fold
from loadgen.records.events import LoadEnds
from loadgen.records.types import Record
from loadgen.tcp import Side, State
from plots.buckets import EXACT, MOST, PENDING
from plots.columns import Gathering, columns_of
from tests.made_records import NO_PORT, STEP, interval, sample, side

PORTS = 28_232
FAST_NS, SLOW_NS = 30_000, 1_800_000


def folded(records: Sequence[Record]) -> Fold:
    fold = Fold(PORTS)
    for record in records:
        fold.add(record)
    return fold


def long_run(steps: int, knee: int, seed: int, tail: int = 0, *, sampled: bool = True) -> list[Record]:
    """A run whose rate falls at `knee`, where half of the ports are held, and that has no port in its last
    tenth; then intervals without a load."""
    random = np.random.default_rng(seed)
    records: list[Record] = [sample(-STEP), sample(0)] if sampled else []
    held = 0.0
    for index in range(steps + tail):
        loaded, slow, gone = index < steps, index >= knee, index >= steps * 9 // 10
        per_interval = PORTS / 2 / knee if not slow else PORTS / 50 / knee
        connected = round(per_interval * random.uniform(0.9, 1.1)) if loaded and not gone else 0
        held = PORTS if gone else min(held + connected, 0.8 * PORTS)
        connect_ns = round((SLOW_NS if slow else FAST_NS) * random.uniform(0.9, 1.1))
        records.append(
            interval(
                index,
                connected,
                errors={NO_PORT: 3} if loaded and gone else {},
                in_flight=index % 64,
                attempts=connected + 3 * (loaded and gone),
                connect_p50_ns=connect_ns if connected else None,
                connecting_ns=connected * connect_ns,
            )
        )
        if sampled:
            records.append(sample((index + 1) * STEP, side(ports_held=round(held))))
        if index == steps - 1:
            records.append(LoadEnds(steps * STEP))
    return records


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("steps", "tail"), [(1_500, 0), (4_000, 0), (1_500, 1_000)])
@pytest.mark.parametrize("knee", [9, 40, 600])
def test_a_fold_that_keeps_little_answers_about_as_one_that_keeps_all(
    knee: int, steps: int, tail: int, seed: int
) -> None:
    records = long_run(steps, knee, seed, tail)
    everything = folded(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "MOST_POINTS", 200)
        fold = folded(records)
    assert len(fold.intervals) <= 200
    assert len(fold.samples) <= 200
    few, all_of_it = fold.under_load(), everything.under_load()
    assert len(few.series) <= 2 * 200
    for name in ("connected", "attempts", "exchanges"):
        assert fold.total(name) == everything.total(name)
    assert fold.kernel() == everything.kernel()
    assert few.open_at_end == all_of_it.open_at_end
    assert (few.length_ns, few.rate) == (all_of_it.length_ns, pytest.approx(all_of_it.rate))
    # Two neighbours may be equally likely to be the one of the turn: it may differ by an interval.
    assert few.turn is not None
    assert all_of_it.turn is not None
    assert few.turn.time_ns == pytest.approx(all_of_it.turn.time_ns, abs=STEP)
    assert few.turn.fell
    assert few.turn.ports == pytest.approx(all_of_it.turn.ports, rel=0.01)
    assert few.turn.rate_before == pytest.approx(all_of_it.turn.rate_before, rel=0.02)
    assert few.shortage is not None
    assert all_of_it.shortage is not None
    assert few.shortage.failed == all_of_it.shortage.failed
    assert few.shortage.lasting_ns == pytest.approx(all_of_it.shortage.lasting_ns, abs=2 * STEP)


def test_a_run_without_samples_is_bounded_too() -> None:
    records = long_run(2_000, 40, 0, sampled=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "MOST_POINTS", 200)
        fold = folded(records)
    assert len(fold.intervals) <= 200
    assert len(fold.under_load().series) <= 2 * 200
    assert fold.under_load().rate == pytest.approx(folded(records).under_load().rate)


def test_samples_that_outlast_the_intervals_leave_one_of_these() -> None:
    records = [*long_run(50, 9, 0), *(sample(index * STEP) for index in range(60, 1_000))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "MOST_POINTS", 200)
        fold = folded(records)
    assert len(fold.samples) <= 200
    assert fold.total("connected") == folded(records).total("connected")
    assert (fold.samples[0].t_ns, fold.samples[-1].t_ns) == (-STEP, 999 * STEP)


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
