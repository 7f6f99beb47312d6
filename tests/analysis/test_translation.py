"""What is found of a NAT: only what its conntrack and the server have counted names it as the cause."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from loadgen.analysis.conntrack_metrics import counted
from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.findings.rules import find
from loadgen.analysis.fold import Fold
from loadgen.analysis.headline import time_waits
from loadgen.analysis.metrics import measure
from loadgen.lab.translated import translated_lab
from loadgen.records.conntrack import Conntrack
from loadgen.records.types import Sample
from loadgen.tcp import Ending, Failure, Tracked
from tests.made_records import STEP, S, ended, interval, opened, side

COUNT, PORTS = 100, 20
SCOPE = translated_lab(ports=(32768, 60999), nat_ports=(40000, 40000 + PORTS - 1), sysctls={}).scope
NOTHING = Conntrack({}, 0, 0, {})


def fold_of(
    entries: Mapping[Tracked, int],
    counters: Mapping[str, int],
    *,
    server: Mapping[str, int] | None = None,
    timeouts: int = 0,
) -> Fold:
    """A load of 100 connections through a NAT with 20 ports."""
    fold = Fold(28_232)
    conntrack = Conntrack(entries, 0, sum(entries.values()), counters)

    def sample(
        t_ns: int, tracked: Conntrack, client: Mapping[str, int], of_server: Mapping[str, int]
    ) -> Sample:
        viewpoints = {
            "client": side(counters=client),
            "nat": replace(side(), conntrack=tracked),
            "server": side(counters=of_server),
        }
        return Sample(t_ns, 1, False, viewpoints, 0)

    first = sample(-STEP, NOTHING, {}, {})
    last = sample(S, conntrack, {"ActiveOpens": COUNT}, {"PassiveOpens": COUNT, **(server or {})})
    errors = {Failure.parse("connect:TIMEOUT"): timeouts} if timeouts else {}
    load = interval(0, COUNT, closes={Ending.SERVER_FIN: COUNT}, errors=errors)
    for record in (opened(SCOPE), first, last, load, *ended(S)):
        fold.add(record)
    return fold


def found(fold: Fold) -> dict[str, Finding]:
    return {one.kind: one for one in find(fold)}


FULL = {Tracked.ESTABLISHED: PORTS}


@pytest.mark.parametrize(
    ("entries", "counters", "is_found"),
    [
        (FULL, {"insert_failed": 40, "drop": 40}, True),
        (FULL, {"insert_failed": 0, "drop": 0}, False),
        (FULL, {"insert_failed": 1, "drop": 1}, False),
        ({Tracked.ESTABLISHED: PORTS // 2}, {"insert_failed": 40, "drop": 40}, False),
    ],
    ids=["full", "nothing dropped", "few dropped", "half of the ports"],
)
def test_a_nat_without_ports_has_dropped_and_has_as_many_entries(
    entries: Mapping[Tracked, int], counters: Mapping[str, int], is_found: bool
) -> None:
    result = found(fold_of(entries, counters, timeouts=20))
    assert ("nat_ports_gone" in result) is is_found
    assert ("the NAT's ports" in result["failures"].sentence) is is_found


def test_timeouts_are_the_nats_only_as_far_as_it_has_dropped_syns() -> None:
    result = found(fold_of(FULL, {"insert_failed": 10, "drop": 10}, timeouts=20))
    assert "connect() time out" not in result["nat_ports_gone"].sentence
    assert "the NAT's ports" not in result["failures"].sentence


def test_syns_that_the_servers_time_waits_refuse_are_found_and_explain_timeouts() -> None:
    result = found(fold_of(FULL, {}, server={"PAWSTimewait": 50}, timeouts=20))
    assert result["nat_port_reused"].numbers["refused"] == 50
    assert "TIME-WAITs on the NAT's ports" in result["failures"].sentence
    assert "nat_port_reused" not in found(fold_of(FULL, {}, server={"PAWSTimewait": 1}))


def test_resets_through_a_nat_do_not_show_where_a_time_wait_went() -> None:
    fold = fold_of({}, {}, server={"TW": COUNT})
    assert "ended_by_rst" not in found(fold)


def test_the_metrics_of_a_nat() -> None:
    fold = fold_of({Tracked.TIME_WAIT: 7, Tracked.CLOSE: 2}, {"insert_failed": 3, "drop": 3, "early_drop": 1})
    metrics = measure(fold)
    assert metrics["nat.ports"] == PORTS
    assert metrics["nat.conntrack.time_wait.max"] == metrics["nat.conntrack.time_wait.end"] == 7
    assert metrics["nat.conntrack.established.max"] == 0
    assert metrics["nat.conntrack.entries.max"] == 9
    assert (metrics["nat.conntrack.insert_failed"], metrics["nat.conntrack.early_drop"]) == (3, 1)
    assert counted(fold, "nat", "drop") == 3
    assert set(time_waits(metrics)) == {"client", "server"}, "a NAT has no sockets of these connections"


def test_without_a_nat_there_are_no_metrics_of_one() -> None:
    assert not [name for name in measure(Fold(28_232)) if name.startswith("nat.")]
