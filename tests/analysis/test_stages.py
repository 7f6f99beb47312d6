"""Stages: each has numbers of its own, and nothing is a mean over several of them."""

from collections.abc import Sequence

import pytest

from loadgen.analysis.findings.rules import find
from loadgen.analysis.findings.stages import STAGES
from loadgen.analysis.fold import Fold
from loadgen.analysis.headline import headline, time_waits
from loadgen.analysis.metrics import measure
from loadgen.records.events import StageBegan
from loadgen.records.types import Record
from loadgen.tcp import NO_PORT, State
from tests.made_records import STEP, ended, interval, sample, side

TENTHS = 10
"""Intervals of a stage."""


def staged(*rates: Sequence[int], waits: Sequence[int] = ()) -> Fold:
    """A load of a stage for each list of connections in an interval, with so many TIME-WAITs a sample."""
    fold = Fold(28_232)
    records: list[Record] = []
    place = 0
    for number, counts in enumerate(rates, start=1):
        # A little late, as a worker notices it.
        records.append(StageBegan(place * STEP + 300_000 * (place > 0), number, 10.0 * counts[0], None))
        for connected in counts:
            records.append(interval(place, connected))
            place += 1
    for index, number in enumerate(waits):
        records.append(sample(index * STEP + 1_000_000, side({State.TIME_WAIT: number}, number)))
    for record in [*records, *ended(place * STEP)]:
        fold.add(record)
    return fold


def test_each_stage_has_its_own_rate_and_the_load_has_none() -> None:
    fold = staged([20] * TENTHS, [0] * TENTHS, [5] * TENTHS)
    found = measure(fold)
    assert [found[f"stage.{number}.connected"] for number in (1, 2, 3)] == [200, 0, 50]
    assert [found[f"stage.{number}.rate"] for number in (1, 2, 3)] == pytest.approx([200, 0, 50])
    assert not {"rate.mean", "rate.requests", "stage.4.rate"} & found.keys()
    (stages,) = [one for one in find(fold) if one.kind == STAGES]
    assert stages.sentence == "connections: 200/s in stage 1, 0/s in stage 2, 50/s in stage 3"
    assert "83" not in headline(found, find(fold))


def test_a_stage_that_changes_within_has_both_rates_in_the_headline() -> None:
    fold = staged([30] * TENTHS + [0] * TENTHS, [30] * TENTHS)
    (stages,) = [one for one in find(fold) if one.kind == STAGES]
    assert stages.sentence == "connections: 300/s, then 0/s in stage 1, 300/s in stage 2"


def test_one_stage_is_a_load_as_any_other() -> None:
    fold = staged([20] * TENTHS)
    found = measure(fold)
    assert found["rate.mean"] == found["stage.1.rate"] == pytest.approx(200)
    assert STAGES not in {one.kind for one in find(fold)}


def test_time_waits_of_a_stage_are_those_of_its_samples() -> None:
    waits = [*range(0, 200, 20), *[200] * TENTHS, *[100] * 5, *[50] * 5]
    found = measure(staged([20] * TENTHS, [0] * TENTHS, [0] * TENTHS, waits=waits))
    assert [found[f"stage.{number}.client.time_wait.max"] for number in (1, 2, 3)] == [180, 200, 100]
    assert [found[f"stage.{number}.client.time_wait.end"] for number in (1, 2, 3)] == [180, 200, 50]
    assert found["stage.1.client.time_wait.mean"] == pytest.approx(90)
    assert found["stage.3.client.time_wait.mean"] == pytest.approx(75)
    # Those of the whole run are the viewpoints' alone.
    assert time_waits(found) == {"client": 200, "server": 0}


def test_attempts_without_a_port_are_those_of_the_stage() -> None:
    fold = Fold(100)
    failure = next(iter(NO_PORT))
    fold.add(StageBegan(0, 1, 50.0, None))
    fold.add(StageBegan(TENTHS * STEP, 2, 50.0, None))
    for index in range(2 * TENTHS):
        lacking = {} if index < TENTHS else {"errors": {failure: 3}, "attempts": 8}
        fold.add(interval(index, 5, **lacking))
    for event in ended(2 * TENTHS * STEP):
        fold.add(event)
    found = measure(fold)
    assert (found["stage.1.no_port"], found["stage.2.no_port"]) == (0, 30)


@pytest.mark.parametrize("border", [14, 60])
def test_a_lower_rate_from_a_border_on_is_no_knee(border: int) -> None:
    """connect() becomes slow at half of the ports; that the next stage has a lower rate is another matter."""

    def story(*, staged: bool) -> dict[str, float]:
        fold, held = Fold(200), 0
        if staged:
            fold.add(StageBegan(0, 1, 50.0, None))
            fold.add(StageBegan((20 + border) * STEP, 2, 10.0, None))
        for index in range(100):
            connected = 5 if index < 20 + border else 1
            slow = 2_000_000 if held >= 100 else 30_000
            fold.add(interval(index, connected, connect_p50_ns=slow, connect_p99_ns=slow, timed=connected))
            held = min(held + connected, 199)
            fold.add(sample((index + 1) * STEP - 1, side({State.TIME_WAIT: held}, held)))
        for event in ended(100 * STEP):
            fold.add(event)
        return measure(fold)

    if border == 14:
        # Without the stages the mean rate after the turn is that of the lower one.
        assert story(staged=False)["knee.rate_falls"] == 1
    found = story(staged=True)
    assert "knee.ports" in found
    assert found["knee.rate_falls"] == 0
