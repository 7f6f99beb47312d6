"""Programs that do not close: which side, since when, how fast, and if it is a leak, a burst or a pool."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.findings.rules import find
from loadgen.analysis.fold import Fold
from loadgen.analysis.headline import headline
from loadgen.analysis.metrics import measure
from loadgen.records.types import Sample
from loadgen.records.viewpoints import APART
from loadgen.tcp import Ending, How, Side, State
from tests.made_records import STEP, ended, interval, opened, side

LENGTH = 60
OTHERS = {State.CLOSE_WAIT: State.FIN_WAIT_2, State.ESTABLISHED: State.ESTABLISHED}
"""The state at the other side of a connection in this one."""
KINDS = {"leak", "burst_that_stays", "pool_not_closed", "half_open", "closed_late"}


def fold_of(
    counts: Sequence[int],
    *,
    where: Side = Side.CLIENT,
    per_step: int = 10,
    connecting: int = LENGTH,
    unread: int = 0,
    state: State = State.CLOSE_WAIT,
    both: bool = True,
    own_first: int = 0,
) -> Fold:
    """A load whose connections one side leaves, as many at each sample as `counts` has; that side closes
    `own_first` tenths of all first."""
    fold = Fold(28_232)
    other = Side.SERVER if where is Side.CLIENT else Side.CLIENT
    fold.add(opened(APART))
    for index, number in enumerate(counts):
        left = replace(side({state: number}), unread_sockets=min(unread, number), unread_bytes=100 * unread)
        rest = side({OTHERS[state]: number} if both and state in OTHERS else {})
        fold.add(Sample((index - 1) * STEP, 1, False, {where: left, other: rest}, 0))
        number = per_step if index < connecting else 0
        first = {Ending.of(where, How.FIN): number * own_first // 10}
        first[Ending.of(other, How.FIN)] = number - sum(first.values())
        fold.add(interval(index, number, closes=first))
    for event in ended(LENGTH * STEP):
        fold.add(event)
    return fold


def found(fold: Fold) -> Finding | None:
    one = [finding for finding in find(fold) if finding.kind in KINDS]
    assert len(one) <= 1
    return one[0] if one else None


@pytest.mark.parametrize("where", Side)
def test_a_leak_names_the_side_the_begin_and_the_pace(where: Side) -> None:
    fold = fold_of([max(index - 11, 0) * 5 for index in range(LENGTH)], where=where)
    leak = found(fold)
    assert leak is not None
    assert (leak.kind, leak.viewpoint) == ("leak", where)
    assert leak.sentence.startswith(f"the {where}'s program leaks ")
    assert leak.numbers["per_s"] == pytest.approx(50, rel=0.1)
    assert leak.start_ns == pytest.approx(10 * STEP, abs=2 * STEP)
    assert "no bytes unread" in leak.sentence
    said = headline(measure(fold), find(fold))
    assert said.startswith(f"The {where}'s program leaks ")


def test_bytes_that_the_program_has_not_read_are_shown() -> None:
    leak = found(fold_of([index * 10 for index in range(LENGTH)], unread=40))
    assert leak is not None
    assert "4,000 bytes unread on 40 of those seen last (Recv-Q)" in leak.sentence
    assert leak.numbers["unread_sockets"] == 40


def test_bursts_that_stay_are_no_leak() -> None:
    burst = found(fold_of([index // 20 * 40 for index in range(LENGTH)]))
    assert burst is not None
    assert (burst.kind, burst.numbers["moments"]) == ("burst_that_stays", 2)
    assert "in 2 bursts" in burst.sentence


def test_a_level_that_was_there_as_others_came_and_went_is_a_pool() -> None:
    pool = found(fold_of([min(index * 40, 80) for index in range(LENGTH)]))
    assert pool is not None
    assert pool.kind == "pool_not_closed"
    assert "others come and go" in pool.sentence


@pytest.mark.parametrize(("at", "connecting"), [(5, 5), (30, LENGTH)])
def test_a_level_after_which_none_came_or_before_which_others_went_is_a_burst(
    at: int, connecting: int
) -> None:
    burst = found(fold_of([80 * (index > at) for index in range(LENGTH)], connecting=connecting))
    assert burst is not None
    assert (burst.kind, burst.numbers["moments"]) == ("burst_that_stays", 1)


def test_a_small_level_is_what_passes_through() -> None:
    assert found(fold_of([40] * LENGTH)) is None


def test_a_small_level_of_the_few_that_were_not_closed_first_is_a_pool() -> None:
    pool = found(fold_of([40] * LENGTH, own_first=9))
    assert pool is not None
    assert pool.kind == "pool_not_closed"


def test_a_side_that_waits_for_a_fin_of_nobody_is_found_there() -> None:
    counts = [index * 10 for index in range(LENGTH)]
    half = found(fold_of(counts, where=Side.SERVER, state=State.FIN_WAIT_2))
    assert half is not None
    assert (half.kind, half.viewpoint) == ("half_open", Side.SERVER)
    assert "the client sent no FIN" in half.sentence


def test_connections_that_are_idle_are_no_finding() -> None:
    assert found(fold_of([index * 10 for index in range(LENGTH)], state=State.ESTABLISHED)) is None


def staying(fold: Fold) -> Finding | None:
    return next((one for one in find(fold) if one.kind == "stay_established"), None)


def test_connections_that_neither_side_closes_are_described_by_their_states() -> None:
    fold = fold_of([(index + 1) * 10 for index in range(LENGTH)], state=State.ESTABLISHED)
    found = staying(fold)
    assert found is not None
    assert "neither side closes 600 of 600 connections while the load lasts" in found.sentence
    assert "stay ESTABLISHED until it ends" in found.sentence
    assert found.numbers["per_s"] == pytest.approx(100, rel=0.1)
    said = headline(measure(fold), find(fold))
    assert "neither side closes 600 of 600" in said
    assert "closes first, most connections only as the load ends" in said


@pytest.mark.parametrize(
    ("counts", "both"),
    [
        ([64] * LENGTH, True),  # a pool, open from the first on
        ([index * 5 for index in range(LENGTH)], True),  # half of them ended meanwhile: a slow server
        ([(index + 1) * 10 for index in range(LENGTH)], False),  # the other side has none
    ],
)
def test_what_is_open_for_another_reason_is_not_said_to_stay(counts: Sequence[int], both: bool) -> None:
    fold = fold_of(counts, state=State.ESTABLISHED, both=both)
    assert staying(fold) is None
    assert "as the load ends" not in headline(measure(fold), find(fold))


def test_a_pool_that_grew_to_its_size_is_no_leak() -> None:
    pool = found(fold_of([min(index * 5, 100) for index in range(LENGTH)]))
    assert pool is not None
    assert pool.kind == "pool_not_closed"
    assert "50/s more from 0.0 s to 1.9 s and none after that" in pool.sentence


def test_a_leak_that_ended_with_the_load_has_an_end() -> None:
    leak = found(fold_of([min(index * 5, 100) for index in range(LENGTH)], connecting=20))
    assert leak is not None
    assert leak.kind == "leak"
    assert "leaks 50/s from 0.0 s to 1.9 s, on a line" in leak.sentence


@pytest.mark.parametrize("where", Side)
def test_what_is_closed_at_once_after_a_while_is_found(where: Side) -> None:
    late = found(fold_of([index * 10 if index < 40 else 0 for index in range(LENGTH)], where=where))
    assert late is not None
    assert (late.kind, late.viewpoint) == ("closed_late", where)
    assert "leaves 390 of 600 connections in CLOSE-WAIT" in late.sentence
    assert "100/s more on a line" in late.sentence
    assert "to 3.8 s" in late.sentence


def test_what_goes_as_it_came_is_no_finding() -> None:
    counts = [min(index, LENGTH - 15 - index) * 10 for index in range(LENGTH - 15)]
    assert found(fold_of([*counts, *[0] * 15])) is None
