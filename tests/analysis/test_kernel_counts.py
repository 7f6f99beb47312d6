"""Counts made from samples: every connection in one interval, and nothing that the kernel does not tell."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from loadgen.analysis.kernel_counts import KernelCounts
from loadgen.records.types import Interval, Sample
from loadgen.records.viewpoints import APART, Scope
from loadgen.tcp import Side, State
from loadgen.wire.codec import decode, encode
from tests.made_records import STEP, S, sample, side

MS = 1_000_000


def at(t_ns: int, opened: int, waiting: int = 0, **more: int) -> Sample:
    """A sample when the client had sent `opened` SYNs, `waiting` of which are unanswered.

    The server's kernel has answered all of them.
    """
    client = side({State.SYN_SENT: waiting, State.ESTABLISHED: 3}, counters={"ActiveOpens": opened, **more})
    return sample(t_ns, client, side(counters={"PassiveOpens": opened}))


def intervals(samples: Sequence[Sample], every_ns: int = STEP, scope: Scope = APART) -> list[Interval]:
    counts = KernelCounts(every_ns, scope)
    made = [counts.add(one) for one in samples]
    return [one for one in (*made, counts.rest()) if one is not None]


def test_an_interval_lies_between_two_samples_and_the_first_begins_at_the_origin() -> None:
    found = intervals([at(-2 * STEP, 0), at(MS, 1), at(STEP, 10), at(2 * STEP + MS, 30)])
    assert [(one.start_ns, one.end_ns, one.opened) for one in found] == [
        (0, STEP, 10),
        (STEP, 2 * STEP + MS, 20),
    ]
    assert all(one.from_samples for one in found)
    assert {name for one in found for name in decode(encode(one), dict[str, Any])} == {
        *("type", "start_ns", "end_ns", "opened", "connected", "in_flight"),
    }


def test_samples_closer_together_make_intervals_of_the_usual_length() -> None:
    found = intervals([at(t_ns, t_ns // MS) for t_ns in range(-STEP, S + 1, 20 * MS)])
    assert all(80 * MS <= one.end_ns - one.start_ns <= 120 * MS for one in found[:-1])
    assert sum(one.opened for one in found) == 1_000 + 100  # What the baseline lacks is counted, too.


def test_the_last_sample_ends_an_interval_however_short() -> None:
    found = intervals([at(-STEP, 0), at(STEP, 10), at(STEP + MS, 12)])
    assert [(one.end_ns, one.opened) for one in found] == [(STEP, 10), (STEP + MS, 2)]


def test_established_is_what_neither_waits_nor_failed() -> None:
    found = intervals([at(-STEP, 0), at(STEP, 10, waiting=4), at(2 * STEP, 12, waiting=1, AttemptFails=2)])
    assert [one.connected for one in found] == [6, 3]
    assert [one.in_flight for one in found] == [7, 4]


def test_states_of_an_earlier_sample_end_no_interval() -> None:
    # 300 SYNs that wait, and then fail, would else have been connections for a while, and for good.
    stale = at(2 * STEP, 1_300)
    client = replace(stale.viewpoints[Side.CLIENT], states_age_ns=STEP)
    stale = replace(stale, viewpoints={**stale.viewpoints, Side.CLIENT: client})
    found = intervals([at(-STEP, 0), at(STEP, 1_000), stale, at(3 * STEP, 1_300, AttemptFails=300)])
    assert [(one.end_ns, one.connected) for one in found] == [(STEP, 1_000), (3 * STEP, 0)]


def server_counts(one: Sample, **counters: int) -> Sample:
    return sample(one.t_ns, one.viewpoints[Side.CLIENT], side(counters=counters))


def test_a_program_that_gives_up_in_syn_sent_had_no_connection() -> None:
    # No counter of the client's kernel shows that 20 sockets were closed in SYN-SENT.
    waiting, given_up = at(2 * STEP, 30, waiting=20), at(3 * STEP, 40)
    found = intervals(
        [
            server_counts(at(-STEP, 5), PassiveOpens=900),
            server_counts(at(STEP, 10), PassiveOpens=905),
            server_counts(waiting, PassiveOpens=905),
            server_counts(given_up, PassiveOpens=915),
        ]
    )
    assert [(one.opened, one.connected) for one in found] == [(5, 5), (20, 0), (10, 10)]


def test_what_a_full_accept_queue_may_have_dropped_was_a_connection_to_the_client() -> None:
    found = intervals(
        [
            server_counts(at(-STEP, 0)),
            server_counts(at(STEP, 10), PassiveOpens=7, ListenOverflows=2),
            server_counts(at(2 * STEP, 20), PassiveOpens=17, ListenOverflows=9),
        ]
    )
    assert [one.connected for one in found] == [9, 11]


def test_a_count_never_steps_back() -> None:
    found = intervals([at(-STEP, 0), at(STEP, 10), at(2 * STEP, 10, waiting=2), at(3 * STEP, 20)])
    assert [one.connected for one in found] == [10, 0, 10]


def test_without_samples_there_is_nothing() -> None:
    assert intervals([]) == []
    assert intervals([at(-STEP, 0)]) == []
