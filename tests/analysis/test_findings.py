"""What is found of counters and states: full queues, TIME-WAITs that went early, attempts that failed."""

from collections.abc import Mapping

import pytest

from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.findings.rules import find
from loadgen.analysis.fold import Fold
from loadgen.records.types import Sample
from loadgen.records.viewpoints import APART
from loadgen.tcp import Ending, Failure, Side, State
from tests.made_records import NO_PORT, STEP, S, ended, from_samples, interval, opened, side

COUNT = 100


def found(
    client: Mapping[str, int],
    server: Mapping[str, int],
    *,
    states: Mapping[State, int] | None = None,
    failure: str = "",
    driver: bool = True,
) -> dict[str, Finding]:
    """What is found of a load of 100 connections, by kind."""
    fold = Fold(28_232)
    totals = {
        Side.CLIENT: {"ActiveOpens": COUNT, **client},
        Side.SERVER: {"PassiveOpens": COUNT, **server},
    }
    last = {
        Side.CLIENT: side(counters=totals[Side.CLIENT], states=states or {}),
        Side.SERVER: side(counters=totals[Side.SERVER]),
    }
    samples = [
        Sample(-STEP, 1, False, {each: side() for each in Side}, 0),
        Sample(S, 1, False, last, 0),
    ]
    errors = {Failure.parse(failure): COUNT // 2} if failure else {}
    counted = interval(0, COUNT, closes={Ending.CLIENT_FIN: COUNT}, errors=errors)
    load = counted if driver else from_samples(counted)
    for record in (opened(APART), *samples, load, *ended(S)):
        fold.add(record)
    return {one.kind: one for one in find(fold)}


@pytest.mark.parametrize(("dropped", "is_found"), [(1, False), (2, True), (500, True)])
def test_a_full_accept_queue_is_found_unless_it_dropped_few(dropped: int, is_found: bool) -> None:
    result = found({"TCPSynRetrans": 7}, {"ListenOverflows": dropped})
    assert ("accept_queue" in result) is is_found
    if is_found:
        assert result["accept_queue"].numbers == {"dropped": dropped, "never_accepted": 0, "syns_again": 7}
        assert "the client sent 7 SYNs again" in result["accept_queue"].sentence


def test_a_syn_that_stays_unanswered_is_the_queues_only_if_that_dropped_any() -> None:
    lost = found({}, {}, failure="connect:TIMEOUT")["failures"]
    assert "queue" not in lost.sentence
    full = found({}, {"TCPReqQFullDrop": 60}, failure="connect:TIMEOUT")
    assert "the server's SYN queue: it was full" in full["failures"].sentence
    assert full["syn_queue"].numbers["dropped"] == 60


@pytest.mark.parametrize(("left", "resets", "is_found"), [(100, 0, False), (90, 10, True), (90, 9, False)])
def test_time_waits_that_a_reset_ended_need_a_reset_for_each(left: int, resets: int, is_found: bool) -> None:
    result = found({"TW": COUNT}, {"OutRsts": resets}, states={State.TIME_WAIT: left})
    assert ("ended_by_rst" in result) is is_found
    if is_found:
        assert result["ended_by_rst"].numbers == {"gone": COUNT - left, "entered": COUNT}


def test_a_reset_connection_has_ended_an_orphan_and_no_time_wait() -> None:
    """Each of them was in FIN-WAIT-2 as the other side reset it."""
    assert "ended_by_rst" not in found({"TW": COUNT}, {"OutRsts": COUNT, "EstabResets": COUNT})


def test_time_waits_that_gave_way_are_not_those_that_a_reset_ended() -> None:
    result = found({"TW": COUNT, "TWRecycled": 90}, {"OutRsts": 90}, states={State.TIME_WAIT: 10})
    assert result["reused"].numbers == {"reused": 90, "entered": COUNT}
    assert "ended_by_rst" not in result


def test_segments_sent_again_are_found_once_for_each_node() -> None:
    result = found({"RetransSegs": 50, "TCPSynRetrans": 20}, {})
    assert result["sent_again"].sentence == "the client sent 50 segments again, 20 of them SYNs or SYN-ACKs"


def test_attempts_of_a_program_that_were_refused_are_found_by_the_counters() -> None:
    result = found({"AttemptFails": COUNT}, {"PassiveOpens": 0}, driver=False)
    assert result["not_established"].sentence.startswith(
        "100 of 100 attempts fail: the server's host refused it"
    )
    assert not result["not_established"].observed


CLOSED = {Ending.CLIENT_FIN: 90, Ending.SERVER_RST: 10}


def who(closes: Mapping[Ending, int] | None, **counters: int) -> Finding:
    """What is found of who closed first; without `closes`, no driver counted it."""
    fold = Fold(28_232)
    last = {
        Side.CLIENT: side(counters={"ActiveOpens": COUNT, **counters}),
        Side.SERVER: side(counters={"PassiveOpens": COUNT}),
    }
    counted = interval(0, COUNT, closes=closes or {Ending.CLIENT_FIN: COUNT})
    samples = [Sample(-STEP, 1, False, {each: side() for each in Side}, 0), Sample(S, 1, False, last, 0)]
    for record in (opened(APART), *samples, counted if closes else from_samples(counted), *ended(S)):
        fold.add(record)
    return next(one for one in find(fold) if one.kind == "ended_first")


def test_who_closed_first_is_what_the_driver_counted() -> None:
    assert who(CLOSED).sentence == "the client closes 90 connections first, the server 10"
    assert who(CLOSED).numbers == {"client_fin": 90, "server_rst": 10}
    assert who({Ending.CLIENT_RST: COUNT}).sentence == "the client closes first by RST"
    assert who(CLOSED).observed


def test_who_closed_first_of_a_program_is_inferred_from_the_counters_or_not_known() -> None:
    by_client = who(None, TW=COUNT)
    assert by_client.sentence == "the client closes first"
    assert not by_client.observed
    assert by_client.evidence == ("closes.client_fin 100", "client.kernel.TW 100")
    unknown = who(None, TW=COUNT, EstabResets=COUNT // 2)
    assert "a capture of the packets would show it" in unknown.sentence
    assert not unknown.numbers


def test_what_held_the_ports_is_found_during_the_load_and_at_its_end_apart() -> None:
    fold = Fold(1_000)
    seen = [
        Sample(-STEP, 1, False, {each: side() for each in Side}, 0),
        Sample(
            S // 2,
            1,
            False,
            {Side.CLIENT: side({State.ESTABLISHED: 64, State.TIME_WAIT: 300}), Side.SERVER: side()},
            0,
        ),
        Sample(3 * S, 1, False, {Side.CLIENT: side({State.TIME_WAIT: 364}), Side.SERVER: side()}, 0),
    ]
    for record in (opened(APART), *seen, interval(0, COUNT), *ended(S)):
        fold.add(record)
    during, after = (one for one in find(fold) if one.kind == "ports_held")
    assert during.sentence.endswith("up to 364 of 1,000 ports: TIME-WAIT 300, ESTABLISHED 64")
    assert during.numbers == {"during.time_wait": 300, "during.established": 64}
    assert after.sentence == "at the run's end the client holds 364 of 1,000 ports: TIME-WAIT 364"
    assert after.start_ns == 3 * S


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            [*[200] * 10, *[0] * 4, *[200] * 10, *[0] * 4, *[200] * 10],
            "the rate comes in bursts, between 0/s and",
        ),
        ([*[200] * 10, *[100] * 10, *[400] * 10], "the rate changes 2 times, between 1,000/s and 4,000/s"),
    ],
)
def test_a_rate_with_many_levels_is_one_of_bursts_if_it_falls_low_between_them(
    counts: list[int], words: str
) -> None:
    fold = Fold(28_232)
    seen = [
        Sample(t_ns, 1, False, {each: side() for each in Side}, 0) for t_ns in (-STEP, len(counts) * STEP)
    ]
    loads = [interval(index, count) for index, count in enumerate(counts)]
    for record in (opened(APART), *seen, *loads, *ended(len(counts) * STEP)):
        fold.add(record)
    (pace,) = (one for one in find(fold) if one.kind == "pace")
    assert words in pace.sentence


@pytest.mark.parametrize(("failed", "kind"), [(1, "ports_scarce"), (400, "ports_gone")])
def test_a_port_that_is_missing_at_a_moment_limits_nothing(failed: int, kind: str) -> None:
    """One port, which is used again and again: it may be taken still when the next connection wants it."""
    fold = Fold(1)
    busy = side(states={State.ESTABLISHED: 1}, ports_held=1)
    intervals = [interval(index, 300) for index in range(10)]
    intervals[4] = interval(4, 300, attempts=300 + failed, errors={NO_PORT: failed})
    samples = [Sample(STEP * index, 1, False, dict.fromkeys(Side, busy), 0) for index in (-1, 10)]
    free = Sample(4 * STEP, 1, False, dict.fromkeys(Side, side(ports_held=0)), 0)
    for record in (opened(APART), samples[0], *intervals, free, samples[1], *ended(S)):
        fold.add(record)
    kinds = {one.kind: one for one in find(fold)}
    assert {"ports_scarce", "ports_gone"} & kinds.keys() == {kind}
    assert kinds[kind].numbers["failed"] == failed
