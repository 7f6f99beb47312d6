"""What connect() and a request cost: wall-clock and CPU time apart, user and system apart, segments."""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from loadgen.analysis.fold import Fold
from loadgen.analysis.metrics import measure
from loadgen.records.events import LabOpened, StageBegan
from loadgen.records.types import Sample, ViewpointSample
from loadgen.records.viewpoints import Leg, Scope, SocketFilter, Viewpoint
from loadgen.tcp import State
from tests.made_records import STEP, ended, interval, sample, side

US = 1_000


def clocked(calls: int, wall_ns: int, cpu_ns: int) -> dict[str, Any]:
    return {"clocked": calls, "clocked_wall_ns": calls * wall_ns, "clocked_cpu_ns": calls * cpu_ns}


def used(user_ns: int, system_ns: int, **counters: int) -> ViewpointSample:
    return structs.replace(side(counters=counters), cpu_user_ns=user_ns, cpu_system_ns=system_ns)


def folded(*records: Any, until: int) -> dict[str, float]:
    fold = Fold(100)
    for record in (*records, *ended(until * STEP)):
        fold.add(record)
    return measure(fold)


def test_the_mean_of_a_call_is_that_of_the_clocked_ones() -> None:
    found = folded(
        interval(0, 50, **clocked(2, 300 * US, 30 * US)),
        interval(1, 50, **clocked(6, 100 * US, 10 * US)),
        until=2,
    )
    assert found["clocked"] == 8
    assert found["connect.wall_ns"] == 150 * US
    assert found["connect.cpu_ns"] == 15 * US


def test_what_no_clock_was_read_around_is_absent() -> None:
    unread = folded(interval(0, 50, **clocked(0, 0, 0)), until=1)
    assert unread["clocked"] == 0
    partly = folded(interval(0, 50, **clocked(2, 5, 5)), interval(1, 50, clocked=None), until=2)
    assert "clocked" not in partly
    for found in (unread, partly):
        assert not {"connect.wall_ns", "connect.cpu_ns"} & found.keys()


def grown(elsewhere: Callable[[int], int] = lambda _: 0, each: int = 200) -> list[Sample]:
    """Samples of three seconds in which 200 TIME-WAITs come every 100 ms, of 300 bytes each. `elsewhere` is
    what other programs have by then."""
    return [
        sample(
            index * STEP,
            side({State.TIME_WAIT: index * each // 2}),
            side({State.TIME_WAIT: index * each // 2}),
            slab_bytes=10_000_000 + 300 * index * each + elsewhere(index),
        )
        for index in range(31)
    ]


def test_a_time_wait_has_the_bytes_that_the_slab_grows_by_with_it() -> None:
    assert folded(*grown(), until=30)["time_wait.slab_bytes"] == 300
    # Another lab ends meanwhile, and its 20,000 TIME-WAITs are gone at one moment.
    assert folded(*grown(lambda index: -5_000_000 * (index > 12)), until=30)["time_wait.slab_bytes"] == 300


def test_without_many_time_waits_or_the_slab_nothing_is_known_of_their_size() -> None:
    unread = [structs.replace(one, slab_bytes=None) for one in grown()]
    for samples in (grown(each=90), grown()[:15], unread):
        assert "time_wait.slab_bytes" not in folded(*samples, until=30)


def test_a_stage_has_a_mean_of_its_own() -> None:
    found = folded(
        StageBegan(0, 1, 50.0, None),
        StageBegan(2 * STEP, 2, 50.0, None),
        StageBegan(4 * STEP, 3, 50.0, None),
        *(interval(index, 5, **clocked(5, 90 * US, 10 * US)) for index in (0, 1)),
        *(interval(index, 5, **clocked(5, 90 * US, 40 * US)) for index in (2, 3)),
        *(interval(index, 0, **clocked(0, 0, 0)) for index in (4, 5)),
        until=6,
    )
    assert found["stage.1.connect_cpu_ns"] == 10 * US
    assert found["stage.2.connect_cpu_ns"] == 40 * US
    assert "stage.3.connect_cpu_ns" not in found
    assert "stage.1.connect_cpu_ns" not in folded(
        StageBegan(0, 1, 5.0, None), interval(0, 5, clocked=None), until=1
    )


def test_a_request_has_its_share_of_what_each_side_used_and_sent() -> None:
    found = folded(
        sample(-STEP, used(1_000, 2_000, OutSegs=100), used(500, 400, OutSegs=70)),
        interval(0, 10),
        sample(
            2 * STEP,
            used(1_000 + 10 * US, 2_000 + 40 * US, OutSegs=150, RetransSegs=1),
            used(500 + 20 * US, 400 + 30 * US, OutSegs=120),
        ),
        until=1,
    )
    assert (found["request.client.user_ns"], found["request.client.system_ns"]) == (1 * US, 4 * US)
    assert (found["request.server.user_ns"], found["request.server.system_ns"]) == (2 * US, 3 * US)
    assert found["request.cpu_ns"] == 10 * US
    # One of them was sent twice.
    assert found["request.segments"] == 10.1


def test_viewpoints_of_one_namespace_count_its_segments_once() -> None:
    scope = Scope(
        (
            Viewpoint("client", "here", SocketFilter(remote_port=80)),
            Viewpoint("server", "here", SocketFilter(local_port=80)),
        ),
        (Leg("client", "server"),),
    )
    both = used(0, 0, OutSegs=90)
    found = folded(
        LabOpened(-STEP, {}, {}, scope),
        sample(-STEP, used(0, 0, OutSegs=0), used(0, 0, OutSegs=0)),
        interval(0, 10),
        sample(2 * STEP, both, both),
        until=1,
    )
    assert found["request.segments"] == 9


def test_a_kernel_that_does_not_count_segments_has_none_per_request() -> None:
    before, after = (structs.replace(used(0, ns), counters={}) for ns in (0, 5))
    found = folded(sample(-STEP, before, before), interval(0, 10), sample(2 * STEP, after, after), until=1)
    assert "request.segments" not in found
    assert found["request.cpu_ns"] == 1
    # No response, no cost of one.
    assert not [name for name in folded(interval(0, 0), until=1) if name.startswith("request.")]
