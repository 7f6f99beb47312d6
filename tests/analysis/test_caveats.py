"""Caveats: each is found exactly when it should be, with cause and remedy, and says if the result stands."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import getsource
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from msgspec import structs

from loadgen.analysis import caveats
from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.audit import AUDIT_DIFFERS, AUDIT_INCOMPLETE, NOT_AUDITED
from loadgen.analysis.caveats.binding import BOUND_EARLY
from loadgen.analysis.caveats.capture import CAPTURE_INCOMPLETE, NOT_CAPTURED
from loadgen.analysis.caveats.case import Case
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.caveats.closes import (
    CLOSED_BY_BOTH,
    CLOSER_DIFFERS,
    DATA_AFTER_CLOSE,
    ENDED_BY_RESET,
    ENDINGS_AMBIGUOUS,
)
from loadgen.analysis.caveats.gaps import GENERATOR_HELD_UP, RECORDS_UNREAD, SAMPLER_HELD_UP, SERVER_HELD_UP
from loadgen.analysis.caveats.generator import (
    DRIVER_FALLBACK,
    GENERATOR_SATURATED,
    READ_IN_PIECES,
    STARTS_DROPPED,
    STARTS_LATE,
)
from loadgen.analysis.caveats.kernel_queues import (
    BACKLOG_CAPPED,
    COOKIES_SENT,
    LISTEN_OVERFLOWS,
    SOFTNET_DROPS,
    TIME_WAIT_OVERFLOW,
)
from loadgen.analysis.caveats.lab import HOST_LOOPBACK, LEFTOVERS, LOOPBACK_REUSE
from loadgen.analysis.caveats.ports import NO_ADDRESS, PORT_SEARCH, PORTS_GONE
from loadgen.analysis.caveats.processes import PROCESS_DIED
from loadgen.analysis.caveats.program import COMMAND_FAILED, COMMAND_STOPPED
from loadgen.analysis.caveats.records import INTERRUPTED, NO_RECORDS, RECORDS_DAMAGED
from loadgen.analysis.caveats.rules import RULES, find_caveats
from loadgen.analysis.caveats.sampler import SAMPLE_DIFFERS, SAMPLER_LATE
from loadgen.analysis.caveats.script import FAULT_FAILED, NOT_RESTARTED
from loadgen.analysis.caveats.server import NEVER_ACCEPTED, SERVER_SATURATED
from loadgen.analysis.fold import Fold
from loadgen.analysis.shortage import LASTING
from loadgen.analysis.summary import audited
from loadgen.records.damage import Damage
from loadgen.records.events import (
    BothWays,
    Captured,
    CommandEnded,
    DriverChosen,
    Event,
    FaultFailed,
    Interrupted,
    LabOpened,
    LoadEnds,
    ProcessDied,
    Processes,
    SampleCheck,
    WorkerExited,
)
from loadgen.records.latency import Latency
from loadgen.records.types import Interval, Record, Sample
from loadgen.records.viewpoints import APART, Viewpoint
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.messages import GapCause
from tests.made_endings import met
from tests.made_records import (
    NO_PORT,
    SHARED,
    STEP,
    TIMEOUT,
    S,
    ended,
    from_samples,
    gap,
    interval,
    opened,
    sample,
    side,
    variant,
)

CLIENT_CLOSES = variant(connection={"closer": "client"})
OPEN = {"open_loop": {"rate": "1000/s", "late": "10ms", "connections": 500}}
OPEN_LOOP = variant(connection={"closer": "client"}, load=OPEN)
LOOPBACK = variant(connection={"closer": "client"}, lab={"topology": "loopback"})
HOST = variant(connection={"closer": "client"}, lab={"topology": "host"})

DIED = ProcessDied(S // 2, "server", "by SIGKILL", "")

MS = 1_000_000
TAKEN = Failure(Phase.BIND, "EADDRINUSE")

Records = list[Record | Latency]


def clean(
    *,
    client: dict[str, int] | None = None,
    server: dict[str, int] | None = None,
    client_cpu_ns: int = 0,
    server_cpu_ns: int = 0,
    **interval_told: Any,
) -> Records:
    """A run of one second without a caveat: a thousand connections, all closed by the client."""
    counted = {"ActiveOpens": 1_000, "TW": 1_000, **(client or {})}
    accepted = {"PassiveOpens": 1_000, **(server or {})}
    loads = [interval(index, 100) for index in range(10)]
    loads[5] = structs.replace(loads[5], **interval_told)
    return [
        sample(-STEP),
        sample(0),
        *loads,
        sample(
            S,
            side({State.TIME_WAIT: 1_000}, 1_000, client_cpu_ns, counted),
            side(cpu_ns=server_cpu_ns, counters=accepted),
        ),
        *ended(S),
    ]


def found(records: Sequence[Record | Latency], asked: Variant = CLIENT_CLOSES) -> list[Caveat]:
    fold = Fold(28_232)
    for record in records:
        fold.add(record)
    lines = audited(asked, fold)
    return find_caveats(Case(asked, fold, lines))


def only(records: Sequence[Record | Latency], asked: Variant = CLIENT_CLOSES) -> Caveat:
    (caveat,) = found(records, asked)
    assert caveat.cause
    assert caveat.remedy
    return caveat


def kinds(records: Sequence[Record | Latency], asked: Variant = CLIENT_CLOSES) -> set[CaveatKind]:
    return {caveat.kind for caveat in found(records, asked)}


def resampled(records: Records, change: Callable[[Sample], Sample]) -> Records:
    return [change(record) if isinstance(record, Sample) else record for record in records]


def counting(record: Sample, change: Callable[[Mapping[str, int]], Mapping[str, int]]) -> Sample:
    """The sample with other counters at all viewpoints."""
    viewpoints = {
        key: structs.replace(one, counters=change(one.counters)) for key, one in record.viewpoints.items()
    }
    return structs.replace(record, viewpoints=viewpoints)


def shared(records: Records, **more: int) -> Records:
    """The same where both sides are in one namespace: at the end, both have the counters of both."""
    both = {"ActiveOpens": 1_000, "TW": 1_000, "PassiveOpens": 1_000, **more}
    changed = resampled(
        records,
        lambda one: counting(one, lambda counters: {**counters, **both}) if one.t_ns == S else one,
    )
    return [*changed, opened(SHARED)]


def test_a_clean_run_leaves_none() -> None:
    assert found(clean()) == []
    assert found(clean(), OPEN_LOOP) == []
    assert found(shared(clean()), LOOPBACK) == []


# The run itself


def test_a_driver_that_auto_had_to_take_is_named_with_the_reason() -> None:
    taken = DriverChosen(0, asked="auto", driver="protocol", why="io_uring is forbidden", lacking=True)
    (caveat,) = found([*clean(), taken])
    assert caveat.kind == DRIVER_FALLBACK
    assert "protocol" in caveat.cause
    assert "forbidden" in caveat.cause
    assert not caveat.invalidates
    for driver, why in (("uring", ""), ("protocol", "it is the faster one")):
        fine = DriverChosen(0, asked="auto", driver=driver, why=why, lacking=False)
        assert found([*clean(), fine]) == []


def test_a_run_without_samples_or_intervals_measured_nothing() -> None:
    for records in ([], [LoadEnds(0)]):
        assert only(records).kind == NO_RECORDS
        assert only(records).invalidates
    assert NO_RECORDS in kinds([sample(-STEP), sample(0), *ended(S)])
    assert NO_RECORDS in kinds([interval(0)])
    # Where a process died before the load began, that is the reason.
    assert only([DIED]).kind == PROCESS_DIED


def test_an_interrupted_run_says_after_what_time() -> None:
    caveat = only([*clean(), Interrupted(S)])
    assert caveat.kind == INTERRUPTED
    assert "1.0 s of 10s" in caveat.cause
    assert not caveat.invalidates


def test_a_killed_run_is_readable_but_was_not_audited() -> None:
    killed = [record for record in clean() if not isinstance(record, Event)]
    caveat = only(killed)
    assert caveat.kind == NOT_AUDITED
    assert "1.0 s of 10s" in caveat.cause
    assert caveat.invalidates


def test_a_process_that_died_is_named() -> None:
    caveat = only([*clean(), DIED])
    assert caveat.kind == PROCESS_DIED
    assert caveat.cause == "the server ended before the load did, by SIGKILL"
    assert caveat.invalidates
    for stderr, words in (("one", "one"), ("one\ntwo", "one two"), ("one\nand\nanother", "one ... another")):
        spoke = structs.replace(DIED, stderr=stderr)
        assert only([spoke]).cause == f"{caveat.cause}: {words}"


def test_a_worker_of_the_server_that_died_is_told_with_its_status() -> None:
    caveat = only([*clean(), WorkerExited(S // 2, pid=7, status=-9)])
    assert caveat.kind == PROCESS_DIED
    assert "a worker of the server ended before the load did, by SIGKILL" in caveat.cause
    assert caveat.invalidates


# Commands

COMMANDED = variant(
    connection={"closer": "client"}, load={"driver": "command", "command": ["wrk"]}, server={"workers": 1}
)
SERVER_COMMANDED = variant(
    connection={"closer": "server"}, load={"driver": "command", "command": ["wrk"]}, server={"workers": 1}
)


def commanded(**told: Any) -> Records:
    """The clean run, as the kernel counts it where a command drives."""
    return [from_samples(one) if isinstance(one, Interval) else one for one in clean(**told)]


def ended_with(code: int, asked: bool, stderr: str = "") -> CommandEnded:
    return CommandEnded(S, code, asked, stderr)


def test_a_command_that_ends_well_leaves_no_caveat() -> None:
    assert found([*commanded(), ended_with(0, asked=False)], COMMANDED) == []


@pytest.mark.parametrize(
    ("code", "how"), [(3, "with exit status 3: no route"), (-11, "by SIGSEGV: no route")]
)
def test_a_command_that_fails_invalidates(code: int, how: str) -> None:
    caveat = only([*commanded(), ended_with(code, asked=False, stderr="first\nno route")], COMMANDED)
    assert caveat.kind == COMMAND_FAILED
    assert how in caveat.cause
    assert caveat.invalidates


@pytest.mark.parametrize("expected", [3, -9])
def test_the_exit_status_that_is_expected_leaves_no_caveat_and_another_does(expected: int) -> None:
    load = {"driver": "command", "command": ["wrk"], "expect_status": expected}
    asked = variant(connection={"closer": "client"}, load=load, server={"workers": 1})
    assert found([*commanded(), ended_with(expected, asked=False)], asked) == []
    caveat = only([*commanded(), ended_with(0, asked=False)], asked)
    assert caveat.kind == COMMAND_FAILED
    assert f"with exit status 0, and load.expect_status is {expected}" in caveat.cause
    assert caveat.invalidates


def test_a_command_that_tries_no_connection_invalidates() -> None:
    idle = [from_samples(interval(0)), sample(-STEP), sample(S), *ended(S)]
    caveat = only([*idle, ended_with(0, asked=False)], COMMANDED)
    assert caveat.kind == COMMAND_FAILED
    assert "tried no connection" in caveat.cause
    assert caveat.invalidates
    asked = found([*idle, ended_with(-15, asked=True)], COMMANDED)
    assert [one.kind for one in asked] == [COMMAND_FAILED, COMMAND_STOPPED]
    # One that failed has told why, one that was interrupted had no time, what nobody counted is unknown.
    (failed,) = found([*idle, ended_with(3, asked=False)], COMMANDED)
    assert "exit status 3" in failed.cause
    interrupted = [*idle, ended_with(-15, asked=True), Interrupted(S)]
    assert kinds(interrupted, COMMANDED) == {INTERRUPTED}
    uncounted = resampled([*idle, ended_with(0, asked=False)], lambda one: counting(one, lambda _: {}))
    assert kinds(uncounted, COMMANDED) == {AUDIT_INCOMPLETE}


def test_a_command_that_had_to_be_ended_is_told_and_its_exit_is_ours() -> None:
    records = [*commanded(), ended_with(-15, asked=True)]
    caveat = only(records, COMMANDED)
    assert caveat.kind == COMMAND_STOPPED
    assert "was still running at 1.0 s and was stopped" in caveat.cause
    assert not caveat.invalidates
    assert kinds([*records, Interrupted(S)], COMMANDED) == {INTERRUPTED}


@pytest.mark.parametrize(("others", "found_it"), [(100, False), (101, True)])
def test_a_command_may_end_a_tenth_in_its_own_way(others: int, found_it: bool) -> None:
    records = commanded(client={"TW": 1_000 - others}, server={"TW": others})
    assert (CLOSER_DIFFERS in kinds(records, COMMANDED)) is found_it


def test_connections_that_both_sides_closed_are_reported_and_do_not_invalidate() -> None:
    caveat = only(commanded(server={"TW": 60}), COMMANDED)
    assert caveat.kind == CLOSED_BY_BOTH
    assert caveat.cause.startswith("60 connections: both sides closed at once")
    assert not caveat.invalidates
    # The closer of the scenario did close: of the others one in ten may end otherwise.
    reported = commanded(client={"TW": 850}, server={"TW": 210})
    assert kinds(reported, COMMANDED) == {CLOSED_BY_BOTH, CLOSER_DIFFERS}


def test_ends_by_reset_and_ends_with_several_explanations_are_reported() -> None:
    answered = commanded(client={"TW": 0, "EstabResets": 1_000, "TCPAbortOnClose": 1_000})
    (caveat,) = found(answered, SERVER_COMMANDED)
    assert caveat.kind == ENDED_BY_RESET
    assert caveat.cause.startswith(
        "1,000 connections: the server closed first, by FIN; the client then closed the connection"
    )
    assert "read them first" in caveat.remedy
    unsure = commanded(client={"ActiveOpens": 1_005}, server={"ListenOverflows": 5})
    (caveat,) = [one for one in found(unsure, COMMANDED) if one.kind == ENDINGS_AMBIGUOUS]
    assert "the SYNs stayed unanswered" in caveat.cause
    assert "accept queue was full" in caveat.cause
    assert not caveat.invalidates
    # Two sides with one kernel: only the side that closed first is open, and each possibility is named.
    one_kernel = COMMANDED.model_copy(update={"lab": LOOPBACK.lab})
    (caveat,) = [
        one
        for one in found(
            [from_samples(one) if isinstance(one, Interval) else one for one in shared(clean())], one_kernel
        )
        if one.kind == ENDINGS_AMBIGUOUS
    ]
    assert "connections: the client closed first, by FIN; or " in caveat.cause
    assert caveat.cause.endswith("connections: the server closed first, by FIN")


def test_a_command_that_nobody_can_audit_is_told_by_the_counter() -> None:
    def unaborted(counters: Mapping[str, int]) -> Mapping[str, int]:
        return {name: count for name, count in counters.items() if name != "TCPAbortOnData"}

    caveat = only(resampled(commanded(), lambda one: counting(one, unaborted)), COMMANDED)
    assert caveat.kind == AUDIT_INCOMPLETE
    assert "TCPAbortOnData" in caveat.cause


def test_of_a_busy_command_only_the_sum_is_known() -> None:
    caveat = only(commanded(client_cpu_ns=round(1.3 * S)), COMMANDED)
    assert caveat.kind == GENERATOR_SATURATED
    assert "the load's command used 130% of a core in all: if it is one thread" in caveat.cause
    nginx = variant(connection={"closer": "client"}, server={"kind": "command", "command": ["nginx"]})
    caveat = only(clean(server_cpu_ns=S), nginx)
    assert caveat.kind == SERVER_SATURATED
    assert "server.command" in caveat.remedy


def test_sides_that_disagree_are_told_as_such() -> None:
    fold = Fold(28_232)
    for record in commanded(server={"PassiveOpens": 1_001}):
        fold.add(record)
    lines = [AuditLine("connections established at the client", "server PassiveOpens", 1_000, 1_001)]
    (caveat,) = find_caveats(Case(COMMANDED, fold, lines))
    assert caveat.kind == AUDIT_DIFFERS
    assert caveat.cause.startswith("the two sides differ (connections established at the client: 1,000,")


# The counts


def test_a_count_that_differs_from_the_kernels_is_told_with_both() -> None:
    caveat = only(clean(server={"PassiveOpens": 1_001}))
    assert caveat.kind == AUDIT_DIFFERS
    assert "connections established: 1,000, server PassiveOpens 1,001" in caveat.cause
    assert caveat.invalidates


def test_closes_that_crossed_are_reported() -> None:
    raced = clean(client={"TW": 998}, server={"TW": 7})
    caveat = only(raced)
    assert caveat.kind == CLOSED_BY_BOTH
    assert "5 connections: both sides closed at once" in caveat.cause
    assert "2 connections: the server closed first, by FIN, a moment before the client" in caveat.cause
    assert "server.idle_timeout" in caveat.remedy
    assert not caveat.invalidates
    served = variant(connection={"closer": "client"}, server={"kind": "command", "command": ["nginx"]})
    assert "server.idle_timeout" not in only(raced, served).remedy


def test_bytes_after_a_close_and_connections_never_accepted_are_reported() -> None:
    def reported(overflows: int) -> dict[CaveatKind, Caveat]:
        # 93 were closed by the server, which answered the bytes of 5 more by RST; 2 were never accepted.
        kernels, counted = met({"server_fin": 93, "server_fin_then_data_early": 5, "never_accepted": 2})
        failed = {Failure(Phase.RECEIVE, Fault.TIMEOUT): 2}
        server = {**kernels[Side.SERVER], "ListenOverflows": overflows}
        records = [
            sample(-STEP),
            sample(0),
            interval(0, 100, closes=counted.closes, errors=failed, succeeded=98, server_fin_reset=5),
            sample(S, side(counters=kernels[Side.CLIENT]), side(counters=server)),
            *ended(S),
        ]
        return {caveat.kind: caveat for caveat in found(records, variant(connection={"closer": "server"}))}

    caveats = reported(overflows=2)
    assert "5 connections: the server closed first, by FIN; bytes" in caveats[DATA_AFTER_CLOSE].cause
    assert caveats[NEVER_ACCEPTED].cause.startswith("2 connections: established at the client only")
    assert not any(caveat.invalidates for caveat in caveats.values())
    # No more of them than the server's accept queue was full for.
    assert AUDIT_DIFFERS in reported(overflows=1)


def test_counters_that_the_kernel_lacks_are_named() -> None:
    def less(counters: Mapping[str, int]) -> dict[str, int]:
        return {name: count for name, count in counters.items() if name != "TWKilled"}

    lacking = resampled(clean(), lambda one: counting(one, less))
    caveat = only(lacking)
    assert caveat.kind == AUDIT_INCOMPLETE
    assert "TWKilled" in caveat.cause
    assert not caveat.invalidates


def test_a_sampler_that_counts_otherwise_than_a_dump_is_reported() -> None:
    sides = {Side.CLIENT: BothWays(1_000, 999), Side.SERVER: BothWays(0, 0)}
    caveat = only([*clean(), SampleCheck(S, sides)])
    assert caveat.kind == SAMPLE_DIFFERS
    assert "client: 1,000 TIME-WAIT by sockstat, 999 by a dump" in caveat.cause
    assert caveat.invalidates


# The place


def test_the_hosts_own_loopback_never_answers_the_question() -> None:
    caveat = only(shared(clean()), HOST)
    assert caveat.kind == HOST_LOOPBACK
    assert caveat.invalidates


def test_reuse_on_loopback_is_told_where_it_happened_and_only_there() -> None:
    recycled = shared(clean(), TWRecycled=7)
    caveat = only(recycled, LOOPBACK)
    assert caveat.kind == LOOPBACK_REUSE
    assert caveat.cause.startswith("7 TIME-WAIT ports")
    assert not caveat.invalidates
    asked_for = variant(
        connection={"closer": "client"},
        lab={"topology": "loopback", "sysctl": {"client": {"net.ipv4.tcp_tw_reuse": "1"}}},
    )
    assert found(recycled, asked_for) == []
    assert found(clean(client={"TWRecycled": 7})) == []


def test_leftovers_of_an_earlier_run_invalidate() -> None:
    for sides in (
        (side({State.TIME_WAIT: 3}), side()),
        (side(), side({State.TIME_WAIT: 3})),
    ):
        caveat = only([sample(-STEP, *sides), *clean()[1:]])
        assert caveat.kind == LEFTOVERS
        assert caveat.cause.startswith("3 TIME-WAITs")
        assert caveat.invalidates
    assert found([sample(-STEP, side({State.ESTABLISHED: 3})), *clean()[1:]]) == []


# The load


@pytest.mark.parametrize(("late", "found_it"), [(0, False), (10, False), (11, True), (1_000, True)])
def test_more_than_a_hundredth_of_late_starts_invalidates_an_open_loop(late: int, found_it: bool) -> None:
    records = clean(late=late)
    assert kinds(records, OPEN_LOOP) == ({STARTS_LATE} if found_it else set())
    if found_it:
        assert only(records, OPEN_LOOP).invalidates
        assert f"{late:,} of 1,000 starts were later than 10ms" in only(records, OPEN_LOOP).cause
    assert found(records, CLIENT_CLOSES) == []


def test_starts_given_up_are_told_in_an_open_loop() -> None:
    caveat = only(clean(dropped=5, offered=105), OPEN_LOOP)
    assert caveat.kind == STARTS_DROPPED
    assert "5 of 1,005 starts were dropped" in caveat.cause
    assert not caveat.invalidates
    # What a closed loop still wanted to open when its time was up is no loss.
    assert found(clean(dropped=5, offered=105), CLIENT_CLOSES) == []


def starved(calls_ns: int, held: int, late: int, load: Mapping[str, Any] = OPEN) -> list[Caveat]:
    """Two seconds of fast connect(), then two in which a call takes `calls_ns` and starts are late."""
    fast = [interval(index, 100, connecting_ns=100 * 30_000) for index in range(20)]
    slow = [interval(index, 50, late=late, connecting_ns=50 * calls_ns) for index in range(20, 40)]
    counted = {"ActiveOpens": 3_000, "TW": 3_000}
    records = [
        sample(-STEP),
        *[
            sample(index * STEP, side(ports_held=held, workers=[(index * STEP // 2, 0)]))
            for index in range(40)
        ],
        *fast,
        *slow,
        sample(4 * S, side({}, held, 0, counted, [(2 * S, 0)]), side(counters={"PassiveOpens": 3_000})),
        *ended(4 * S),
    ]
    return found(records, variant(connection={"closer": "client"}, load=load))


def test_a_search_for_ports_is_a_finding_and_excuses_the_starts_that_it_made_late() -> None:
    for load in (OPEN, {}):
        (caveat,) = starved(1_800_000, held=14_116, late=50 if load else 0, load=load)
        assert caveat.kind == PORT_SEARCH
        assert not caveat.invalidates
        assert "from 2.0 s on, with 14,116 of 28,232 ports held" in caveat.cause
        assert "connect() took 90% of the generator's time, 1,800 µs a call instead of 30 µs" in caveat.cause
        assert ("1,000 starts were late because of it" in caveat.cause) == bool(load)
        assert "IP_LOCAL_PORT_RANGE" in caveat.remedy


@pytest.mark.parametrize(
    ("calls_ns", "held"),
    [
        (900_000, 14_116),  # slow, but less than half of the time
        (1_800_000, 100),  # a client with its ports free does not search
    ],
)
def test_what_is_no_search_for_ports_excuses_nothing(calls_ns: int, held: int) -> None:
    (caveat,) = starved(calls_ns, held, late=50)
    assert caveat.kind == STARTS_LATE
    assert "1,000 of 3,000 starts" in caveat.cause
    assert caveat.invalidates


def test_a_search_excuses_only_what_came_with_it_and_after_it() -> None:
    def late(index: int) -> int:
        return 10 if 3 <= index < 9 or index >= 19 else 0

    loads = [
        interval(index, 100, late=late(index), connecting_ns=90 * STEP // 100 if 20 <= index < 30 else 1)
        for index in range(40)
    ]
    holding = side(ports_held=20_000, workers=[(0, 0)])
    fold = Fold(28_232)
    for record in [*[sample(index * STEP, holding) for index in range(41)], *loads, *ended(4 * S)]:
        fold.add(record)
    search = fold.under_load().search
    assert search is not None
    # The six of an earlier trouble are not among them.
    assert (search.since_ns, search.late, fold.total("late")) == (2 * S, 210, 270)
    caveats = find_caveats(Case(OPEN_LOOP, fold, []))
    (caveat,) = [caveat for caveat in caveats if caveat.kind == STARTS_LATE]
    assert "60 of 4,000 starts were later than 10ms, for which neither a search for ports nor" in caveat.cause


def held(since: int) -> int:
    """The ports held so many samples after the one in whose interval none was left: nearly all, then all."""
    return 0 if since < 0 else 28_232 if since else 27_000


def out_of_ports(first: int, late: Mapping[int, int], load: Mapping[str, Any] = OPEN) -> list[Caveat]:
    """Two seconds by a generator that uses all of its core, and from that interval on finds no port."""
    before = [interval(index, 100, late=late.get(index, 0)) for index in range(first)]
    after = [
        interval(
            index, offered=100, started=100, attempts=100, late=late.get(index, 0), errors={NO_PORT: 100}
        )
        for index in range(first, 20)
    ]
    opened = 100 * first
    working = [
        sample(index * STEP, side(ports_held=held(index - first), workers=[(index * STEP, 0)]))
        for index in range(20)
    ]
    last = side({}, opened, 0, {"ActiveOpens": opened, "TW": opened}, [(2 * S, 0)])
    served = side(counters={"PassiveOpens": opened})
    records = [sample(-STEP), *working, *before, *after, sample(2 * S, last, served), *ended(2 * S)]
    return found(records, variant(connection={"closer": "client"}, load=load))


def test_a_generator_without_ports_is_judged_by_what_came_before() -> None:
    # Failing takes all of its core, and none of it is a limit of the rate.
    assert out_of_ports(0, {}, load={}) == []
    assert out_of_ports(4, {}, load={}) == []
    (caveat,) = out_of_ports(10, {}, load={})
    assert caveat.kind == GENERATOR_SATURATED


def test_ports_that_bind_takes_for_all_destinations_are_named_with_the_option_that_leaves_them() -> None:
    client = {"ports": "40000-40099", "bind": "early"}
    asked = variant(lab={"client": client}, server={"ports": 2}, connection={"closer": "client"})
    bound = Viewpoint(Side.CLIENT, Side.CLIENT, ports=(40_000, 40_099), exclusive=True)
    lab = opened(structs.replace(APART, viewpoints=(bound, APART.viewpoints[1])))
    failing = clean(errors={TAKEN: 7}, attempts=107, started=107, offered=107)

    def of(held: int) -> list[Caveat]:
        def holding(one: Sample) -> Sample:
            client = structs.replace(one.viewpoints["client"], ports_held=held)
            return structs.replace(one, viewpoints={**one.viewpoints, "client": client})

        fold = Fold(100)
        for record in (lab, *resampled(failing, holding)):
            fold.add(record)
        return [one for one in find_caveats(Case(asked, fold, [])) if one.kind in (BOUND_EARLY, NO_ADDRESS)]

    (caveat,) = of(100)
    assert (caveat.kind, caveat.invalidates) == (BOUND_EARLY, False)
    assert "there are 100, and not 200 towards 2 destinations" in caveat.cause
    assert "IP_BIND_ADDRESS_NO_PORT" in caveat.remedy
    # With free ports bind() has another reason.
    assert [one.kind for one in of(3)] == [NO_ADDRESS]


def test_an_errno_of_a_lack_of_ports_is_none_if_ports_were_free() -> None:
    records = clean(errors={NO_PORT: 7}, attempts=107, started=107, offered=107)
    caveat = only(records)
    assert caveat.kind == NO_ADDRESS
    assert "7 attempts failed with EADDRNOTAVAIL or EADDRINUSE while ports were free" in caveat.cause
    assert "at most 1,000 of 28,232 were held" in caveat.cause
    assert not caveat.invalidates


def test_late_starts_without_ports_are_told_and_do_not_invalidate() -> None:
    (caveat,) = out_of_ports(2, dict.fromkeys(range(2, 20), 50))
    assert caveat.kind == PORTS_GONE
    assert caveat.cause.startswith("the client had no free port from 0.2 s to 2.0 s: ")
    assert "900 starts were late meanwhile" in caveat.cause
    assert "attempts that failed because of it were not counted" not in caveat.cause
    assert not caveat.invalidates


def test_starts_that_were_late_before_the_ports_were_gone_still_invalidate() -> None:
    late, gone = out_of_ports(2, dict.fromkeys(range(20), 50))
    assert (late.kind, gone.kind) == (STARTS_LATE, PORTS_GONE)
    assert late.cause.startswith(
        "100 of 2,000 starts were later than 10ms, for which neither a search for ports nor"
    )
    assert late.invalidates


def test_starts_late_for_a_search_and_then_for_want_of_ports_are_counted_once() -> None:
    slow = [
        interval(index, 50, late=10, connecting_ns=50 * 1_800_000, errors={NO_PORT: 5} if index >= 10 else {})
        for index in range(20)
    ]
    fold = Fold(28_232)
    holding = [sample(index * STEP, side(ports_held=27_000 if index > 9 else 20_000)) for index in range(21)]
    for record in [*holding, *slow]:
        fold.add(record)
    search, shortage = fold.under_load().search, fold.under_load().shortage
    assert search is not None
    assert shortage is not None
    assert (search.since_ns, search.late) == (0, 100)
    assert (shortage.first_ns, shortage.lasting_ns, shortage.late) == (S, S, 100)


def full_of(
    client: Sequence[tuple[int, int]], server: Sequence[tuple[int, int]], cpus: int, **told: Any
) -> Records:
    """The clean run, by workers that used and waited for so much of the second."""
    accepted = {"PassiveOpens": 1_000, "ListenOverflows": told.pop("overflows", 0)}
    return [
        sample(-STEP),
        sample(0, side(workers=[(0, 0)] * len(client)), side(workers=[(0, 0)] * len(server))),
        Processes(0, (1,), 2, (2,), {}, cpus),
        *[record for record in clean(**told) if not isinstance(record, Sample)],
        sample(
            S,
            side({State.TIME_WAIT: 1_000}, 1_000, 0, {"ActiveOpens": 1_000, "TW": 1_000}, client),
            side(counters=accepted, workers=server),
        ),
    ]


PART, FULL = S // 2, 99 * S // 100


def test_a_full_server_is_what_responses_wait_for_and_the_generator_is_not_blamed() -> None:
    records = full_of([(FULL, 0)], [(FULL, 0)], cpus=8)
    for asked, words in (
        (OPEN_LOOP, "responses wait for it, and not for the generator"),
        (CLIENT_CLOSES, "rate"),
    ):
        caveat = only(records, asked)
        assert caveat.kind == SERVER_SATURATED
        assert caveat.cause.startswith("the server used 99% of its core: ")
        assert words in caveat.cause
        assert not caveat.invalidates
    # An accept queue that overflows is a full server too, and tells it by itself.
    assert kinds(full_of([(FULL, 0)], [(PART, 0)], 8, overflows=100)) == {LISTEN_OVERFLOWS}
    assert GENERATOR_SATURATED in kinds(full_of([(FULL, 0)], [(PART, 0)], 8, overflows=1))


@pytest.mark.parametrize(("lacking", "told"), [(1, True), (LASTING - 1, True), (LASTING, False)])
def test_a_port_that_lacked_for_a_moment_excuses_nobody_for_the_rest(lacking: int, told: bool) -> None:
    intervals = iter(range(100))
    records = [
        structs.replace(record, errors={NO_PORT: 1})
        if isinstance(record, Interval) and next(intervals) < lacking
        else record
        for record in full_of([(FULL, 0)], [(PART, 0)], cpus=8)
    ]
    begin, *rest = records
    assert isinstance(rest[0], Sample)
    sampled = [
        sample(
            index * STEP,
            side(ports_held=28_232 * (index < lacking), workers=[(index * FULL // 10, 0)]),
            side(workers=[(index * PART // 10, 0)]),
        )
        for index in range(lacking + 1)
    ]
    assert (GENERATOR_SATURATED in kinds([begin, *sampled, *rest[1:]])) == told


def test_the_fullest_worker_counts_and_not_the_mean() -> None:
    two = variant(connection={"closer": "client"}, load={"workers": 2})
    caveat = only(full_of([(FULL, 0), (PART, 0)], [(PART, 0)], cpus=8), two)
    assert caveat.kind == GENERATOR_SATURATED
    assert "one of the generator's 2 workers used 99% of its core; on average they used 74%" in caveat.cause
    both = only(full_of([(FULL, 0), (FULL, 0)], [(PART, 0)], cpus=8), two)
    assert "the generator used 99% of each of its 2 cores" in both.cause


def test_a_worker_that_waits_for_its_core_is_full_and_the_lack_of_cores_is_told() -> None:
    caveat = only(full_of([(PART, PART)], [(PART // 5, PART // 5)], cpus=2))
    assert caveat.kind == GENERATOR_SATURATED
    assert "used 50% of its core, and waited for it 50% of the time" in caveat.cause
    assert "1 load and 1 server workers and the sampler share 2 cores" in caveat.cause
    assert "share" not in only(full_of([(FULL, 0)], [(0, 0)], cpus=3)).cause


def test_late_starts_tell_what_the_generator_had() -> None:
    for client, words in (
        ((PART, 0), "the generator used 50% of its core, so something else delayed it"),
        ((PART, S // 5), "the generator used 50% of its core, and waited for it 20% of the time"),
        ((FULL, 0), "the generator used 99% of its core"),
    ):
        caveats = found(full_of([client], [(0, 0)], 8, late=1_000), OPEN_LOOP)
        assert caveats[0].kind == STARTS_LATE
        assert caveats[0].invalidates
        assert caveats[0].cause.endswith(f"the load was not the one asked for; {words}")


@pytest.mark.parametrize(("share", "found_it"), [(0.94, False), (0.95, True), (1.0, True)])
def test_a_generator_at_its_limit_bounds_the_rate_and_not_the_states(share: float, found_it: bool) -> None:
    records = clean(client_cpu_ns=round(share * S))
    assert kinds(records) == ({GENERATOR_SATURATED} if found_it else set())
    if found_it:
        assert "it limits the rate, but not the states" in only(records).cause
        assert not only(records).invalidates
        # In an open loop lateness judges; what is left is its own share of the latencies.
        assert "latencies" in only(records, OPEN_LOOP).cause
        assert not only(records, OPEN_LOOP).invalidates


def test_a_server_at_its_limit_is_measured_by_its_workers() -> None:
    records = clean(server_cpu_ns=round(1.9 * S))
    assert only(records).kind == SERVER_SATURATED
    two = variant(connection={"closer": "client"}, server={"workers": 2})
    assert "95% of each of its 2 cores" in only(records, two).cause
    three = variant(connection={"closer": "client"}, server={"workers": 3})
    assert found(records, three) == []


# Who closed


@pytest.mark.parametrize(
    ("closer", "close", "asked"),
    [
        ("client", "fin", "client_fin"),
        ("client", "rst", "client_rst"),
        ("server", "fin", "server_fin"),
        ("server", "rst", "server_rst"),
    ],
)
@pytest.mark.parametrize("ending", ["client_fin", "client_rst", "server_fin", "server_rst"])
def test_connections_that_ended_otherwise_are_counted(
    closer: str, close: str, asked: str, ending: str
) -> None:
    records = [interval(0, 10, closes={Ending(ending): 10}), *ended(S)]
    caveats = found(records, variant(connection={"closer": closer, "close": close}))
    differs = [caveat for caveat in caveats if caveat.kind == CLOSER_DIFFERS]
    assert bool(differs) == (ending != asked)
    for caveat in differs:
        assert f"10 of 10 connections were not ended by the {closer}'s {close.upper()}" in caveat.cause
        assert not caveat.invalidates


def test_what_the_end_of_the_run_cut_off_is_not_held_against_the_closer() -> None:
    server_closes = variant(connection={"closer": "server"})

    def closer_differs(cut_in: Phase, resets: int) -> bool:
        errors = {Failure(cut_in, Fault.CUT): 10}
        records = [interval(0, 100, closes={Ending.SERVER_FIN: 90, Ending.CLIENT_RST: resets}, errors=errors)]
        return CLOSER_DIFFERS in kinds(records, server_closes)

    assert not closer_differs(Phase.RECEIVE, 10)
    assert closer_differs(Phase.RECEIVE, 11)
    # One cut off while it connected was never closed, and so excuses nothing.
    assert closer_differs(Phase.CONNECT, 10)


def kept(exchanges: int, idle: int) -> Records:
    """Ten intervals of as many exchanges each, on ten connections that succeed and the server ends, by FIN.

    `idle` of them do so only as the load ends, which is in the last interval.
    """
    closes = {Ending.SERVER_FIN: 10}
    loads = [interval(index, 10, exchanges=exchanges, closes=closes, in_flight=idle) for index in range(10)]
    return [sample(-STEP), sample(0), *loads, sample(S), *ended(S - STEP // 2)]


@pytest.mark.parametrize(
    ("requests", "exchanges", "idle", "told"),
    [
        (1, 10, 0, None),
        (5, 50, 0, None),
        (5, 10, 0, "at least 70 successful connections ended before their 5 requests were made;"),
        (5, 10, 69, "at least 1 successful connections"),
        # Those that the load's end may have ended early, with the ten of the last interval.
        (5, 10, 70, None),
        (5, 45, 0, None),
    ],
)
def test_connections_that_ended_before_their_requests_are_told_whoever_closed(
    requests: int, exchanges: int, idle: int, told: str | None
) -> None:
    asked = variant(connection={"closer": "server", "requests": requests})
    caveats = found(kept(exchanges, idle), asked)
    causes = [caveat.cause for caveat in caveats if caveat.kind == CLOSER_DIFFERS]
    assert len(causes) == (told is not None)
    for cause in causes:
        assert cause.startswith(told)
        assert cause.endswith("a connection made 1 on average")


def test_given_up_connections_are_told_even_where_the_client_closes() -> None:
    # A timeout ends in a reset (K4): no TIME-WAIT, though the scenario counts on one.
    records = [interval(0, 10, closes={Ending.CLIENT_FIN: 8, Ending.CLIENT_RST: 2}, errors={TIMEOUT: 2})]
    assert CLOSER_DIFFERS in kinds(records)


# The machine


@pytest.mark.parametrize(("late", "found_it"), [(0, False), (1, False), (2, True)])
def test_more_than_a_twentieth_of_late_samples_is_told(late: int, found_it: bool) -> None:
    more = [sample(STEP + index, late=index < late) for index in range(17)]
    records = clean()
    assert kinds([*records[:2], *more, *records[2:]]) == ({SAMPLER_LATE} if found_it else set())


@pytest.mark.parametrize(
    ("reads", "told"),
    [
        (1_000, ""),
        (10_000, ""),
        (15_000, "each response in 15 pieces on average: rate and response times include the time"),
    ],
)
def test_a_driver_that_reads_a_response_in_many_pieces_says_how_many(reads: int, told: str) -> None:
    caveats = found(clean(reads=reads))
    assert [caveat.kind for caveat in caveats] == ([READ_IN_PIECES] if told else [])
    assert all(told in caveat.cause and not caveat.invalidates for caveat in caveats)


def test_responses_of_which_none_became_whole_are_counted_by_their_pieces() -> None:
    records = [
        structs.replace(record, exchanges=0, reads=1_500) if isinstance(record, Interval) else record
        for record in clean()
    ]
    causes = {caveat.kind: caveat.cause for caveat in found(records)}
    assert "each response in 15 pieces" in causes[READ_IN_PIECES]


def test_packets_dropped_by_the_host_during_the_run_are_told() -> None:
    before = resampled(clean(), lambda one: structs.replace(one, softnet_dropped=50))
    assert found(before) == []
    after = resampled(before, lambda one: structs.replace(one, softnet_dropped=50 + 3 * (one.t_ns == S)))
    caveat = only(after)
    assert caveat.kind == SOFTNET_DROPS
    assert "dropped 3 packets" in caveat.cause


@pytest.mark.parametrize(
    ("of", "counter", "kind"),
    [
        ("server", "SyncookiesSent", COOKIES_SENT),
        ("server", "ListenOverflows", LISTEN_OVERFLOWS),
        ("client", "TCPTimeWaitOverflow", TIME_WAIT_OVERFLOW),
    ],
)
def test_limits_that_the_kernel_counted_are_told(of: str, counter: str, kind: CaveatKind) -> None:
    counted = {counter: 12, **({"TW": 988} if counter == "TCPTimeWaitOverflow" else {})}
    records = clean(client=counted) if of == "client" else clean(server=counted)
    caveat = only(records)
    assert caveat.kind is kind
    assert "12" in caveat.cause
    assert not caveat.invalidates


def test_queues_that_are_too_short_are_lengthened_where_they_can_be() -> None:
    nginx = variant(connection={"closer": "client"}, server={"kind": "command", "command": ["nginx"]})
    for counter in ("SyncookiesSent", "ListenOverflows"):
        records = clean(server={counter: 1})
        assert only(records).remedy.startswith("raise server.backlog, and net.core.somaxconn if")
        assert only(records, nginx).remedy.startswith("raise the backlog that the server's command asks for")


@pytest.mark.parametrize(("limit", "capped"), [("4095", True), ("4096", False), ("20000", False)])
def test_a_backlog_that_the_kernel_cuts_is_told_and_where_to_raise_the_limit(
    limit: str, capped: bool
) -> None:
    lab = LabOpened(0, {}, {Side.CLIENT: {}, Side.SERVER: {"net.core.somaxconn": limit}}, APART)
    assert kinds([*clean(), lab]) == ({BACKLOG_CAPPED} if capped else set())
    for topology, place in ((CLIENT_CLOSES, "under lab.sysctl"), (HOST, "on the host")):
        for caveat in found([lab, *(shared(clean()) if topology is HOST else clean())], topology):
            if caveat.kind == BACKLOG_CAPPED:
                assert caveat.cause == "server.backlog is 4,096, and net.core.somaxconn limits it to 4,095"
                assert place in caveat.remedy
                assert not caveat.invalidates
    # A command listens as it likes.
    nginx = variant(connection={"closer": "client"}, server={"kind": "command", "command": ["nginx"]})
    assert found([*clean(), lab], nginx) == []
    older = LabOpened(0, {}, {Side.CLIENT: {}, Side.SERVER: {}}, APART)
    assert found([*clean(), older]) == []


def test_an_overflow_of_time_wait_is_told_of_its_side_and_once_where_the_sides_share_a_counter() -> None:
    counted = {"TW": 988, "TCPTimeWaitOverflow": 12}
    assert only(clean(client=counted)).cause.startswith("client: 12 TIME-WAITs were destroyed")
    server_closes = variant(connection={"closer": "server"})
    records = clean(client={"TW": 0}, server=counted, closes={Ending.SERVER_FIN: 100})
    (caveat,) = [one for one in found(records, server_closes) if one.kind == TIME_WAIT_OVERFLOW]
    assert caveat.cause.startswith("server: 12 TIME-WAITs were destroyed")
    assert only(shared(clean(), **counted), LOOPBACK).cause.startswith("12 TIME-WAITs were destroyed")


# What was not observed


@pytest.mark.parametrize(
    ("what", "cause", "kind"),
    [
        ("load worker 2 of 3", GapCause.HELD_UP, GENERATOR_HELD_UP),
        ("load worker", GapCause.UNREAD, RECORDS_UNREAD),
        ("sampler", GapCause.HELD_UP, SAMPLER_HELD_UP),
        ("sampler", GapCause.UNREAD, RECORDS_UNREAD),
        ("server worker 1 of 2", GapCause.HELD_UP, SERVER_HELD_UP),
    ],
)
def test_a_gap_names_its_process_and_span_and_invalidates_from_a_tenth_of_the_load(
    what: str, cause: GapCause, kind: CaveatKind
) -> None:
    caveat = only([*clean(), gap(what, 2 * STEP, 3 * STEP, cause)])
    assert caveat.kind is kind
    assert what in caveat.cause
    assert "from 0.2 s to 0.3 s" in caveat.cause
    assert not caveat.invalidates
    assert only([*clean(), gap(what, 2 * STEP, 3 * STEP + 1, cause)]).invalidates
    # Before the load and behind it there is nothing to miss.
    assert found([*clean(), gap(what, -3 * STEP, -STEP, cause)]) == []
    assert not only([*clean(), gap(what, S, 9 * S, cause)]).invalidates


def test_many_gaps_are_one_caveat_and_the_time_in_several_of_them_counts_once() -> None:
    worker = "load worker {} of 2"
    # 60 ms of one second, seen twice.
    gaps = [
        gap(worker.format(number), 2 * STEP + shift * 20 * MS, 2 * STEP + shift * 20 * MS + 20 * MS)
        for number in (1, 2)
        for shift in range(3)
    ]
    caveat = only([*clean(), *gaps])
    assert "load worker 1 of 2 was held up 3 times, 0.1 s in all" in caveat.cause
    assert "load worker 2 of 2 was held up 3 times" in caveat.cause
    assert not caveat.invalidates


def test_a_gap_in_which_the_last_port_went_invalidates_however_short_it_is() -> None:
    records = [
        structs.replace(one, errors={NO_PORT: 1})
        if isinstance(one, Interval) and one.start_ns >= 5 * STEP
        else one
        for one in clean()
    ]
    records[2:2] = [sample(index * STEP, side(ports_held=held(index - 5))) for index in range(1, 10)]
    for start, hides in ((2, False), (5, True), (7, False)):
        span = (start * STEP + MS, start * STEP + 2 * MS)
        (caveat,) = [
            one for one in found([*records, gap("load worker", *span)]) if one.kind == GENERATOR_HELD_UP
        ]
        assert caveat.invalidates == hides
    # The sampler does not see that.
    (caveat,) = [
        one
        for one in found([*records, gap("sampler", 5 * STEP + MS, 5 * STEP + 2 * MS)])
        if one.kind == SAMPLER_HELD_UP
    ]
    assert not caveat.invalidates


def test_missed_samples_count_among_the_late_ones_unless_a_gap_accounts_for_them() -> None:
    records = resampled(clean(), lambda one: structs.replace(one, missed=30 if one.t_ns == S else 0))
    caveat = only(records)
    assert caveat.kind == SAMPLER_LATE
    assert "30 were missed" in caveat.cause
    assert only([*records, gap("sampler", 0, S)]).kind == SAMPLER_HELD_UP


def test_those_that_invalidate_come_first() -> None:
    records = [*clean(client_cpu_ns=S, server={"PassiveOpens": 3}, late=1_000), Interrupted(S)]
    order = [caveat.invalidates for caveat in found(records, OPEN_LOOP)]
    assert order == sorted(order, reverse=True)
    assert order.count(True) == 2
    assert order.count(False) == 2


def test_damaged_records_invalidate_and_are_named_by_place() -> None:
    damage = [Damage(Path("run/main/samples.jsonl"), line, "not JSON") for line in (7, 9)]
    damage.append(Damage(Path("run/main/latency.hlog"), 0, "is a FIFO and no file"))
    fold = Fold(28_232)
    for one in (*clean(), *damage):
        fold.add(one)
    (caveat,) = find_caveats(Case(CLIENT_CLOSES, fold, []))
    assert (caveat.kind, caveat.invalidates) == (RECORDS_DAMAGED, True)
    assert caveat.cause.endswith("left out: samples.jsonl:7, samples.jsonl:9, latency.hlog")
    for line in range(1, 100):
        fold.add(Damage(Path("run/main/events.jsonl"), line, "not JSON"))
    (caveat,) = find_caveats(Case(CLIENT_CLOSES, fold, []))
    assert caveat.cause.endswith("latency.hlog, events.jsonl:1, 98 more")


def test_every_kind_is_tested_here_and_every_rule_is_listed() -> None:
    names = [found.name for found in iter_modules(caveats.__path__) if found.name != "rules"]
    modules = [import_module(f"{caveats.__name__}.{name}") for name in names]
    listed = [rule for module in modules for rule in getattr(module, "RULES", ())]
    assert {*RULES} == {*listed}
    assert len(RULES) == len(listed)
    declared = [
        found
        for module in modules
        for found in re.findall(r'^(\w+) = CaveatKind\("(\w+)"\)$', getsource(module), re.MULTILINE)
    ]
    assert len({*declared}) == len(declared) > 30
    assert all(value == name.lower() for name, value in declared)
    text = Path(__file__).read_text()
    # Once it is imported, once and more it is used.
    assert [name for name, _ in declared if len(re.findall(rf"\b{name}\b", text)) < 2] == []


def test_a_capture_that_lacks_packets_is_reported_and_does_not_invalidate() -> None:
    whole = Captured(5, connections=3, packets=42, dropped=0, full=False)
    assert found([*clean(), whole]) == []
    for change, kind, words in (
        ({"dropped": 1234}, CAPTURE_INCOMPLETE, "no room for 1,234 packets"),
        ({"full": True}, CAPTURE_INCOMPLETE, "at 42 packets"),
        ({"error": "Operation not permitted"}, NOT_CAPTURED, "no packets were captured: Operation not"),
    ):
        caveat = only([*clean(), structs.replace(whole, **change)])
        assert (caveat.kind, caveat.invalidates) == (kind, False)
        assert words in caveat.cause


def test_a_server_that_cannot_start_again_is_a_result_and_a_fault_that_cannot_act_invalidates() -> None:
    restart = only([*clean(), FaultFailed(S, "restart", Side.SERVER, "EADDRINUSE")])
    assert (restart.kind, restart.invalidates) == (NOT_RESTARTED, False)
    assert "at 1.0 s: EADDRINUSE" in restart.cause
    fault = only([*clean(), FaultFailed(S, "cut", Side.CLIENT, "Operation not permitted")])
    assert (fault.kind, fault.invalidates) == (FAULT_FAILED, True)
    assert "cut on the client failed at 1.0 s: Operation not permitted" in fault.cause
