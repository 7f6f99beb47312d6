"""Situations after public reports, each run for real: what churn says first is what happened.

The scenarios beside this file open with what is right. They stand for kinds. What is checked is the finding
that decides, that nothing false stands beside it, and that the counts are the kernel's, as root and as an
ordinary user.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.command import Done, churn, document, lines
from tests.peers import need

CASES = Path(__file__).parent
CALM = (
    "all-time-out",
    "connect-slows",
    "first-fin",
    "idle-against-think",
    "latency-takes-ports",
    "leak",
    "leaks",
    "leaks-both",
    "no-address",
    "slow-response",
)
"""Cases whose load leaves the cores idle: some run at once."""
BUSY = ("exits-with-error", "late-for-ports", "past-the-knee", "short-queue", "two-drivers")
AT_ONCE = 4
MACHINE = frozenset({"starts_late", "generator_held_up", "sampler_held_up", "server_held_up"})
"""What invalidates a run if other programs take the cores: not what a case is about."""
USERS = (False, True) if os.geteuid() == 0 else (True,)


class Results:
    """The runs of all cases by one user."""

    def __init__(self, folder: Path, *, ordinary: bool) -> None:
        self.folder = folder
        run = partial(_run, folder, ordinary)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self._done = dict(zip(CALM, pool.map(run, CALM), strict=True))
        self._done |= {name: run(name) for name in BUSY}

    def variants(self, name: str, *, differing: int = 0) -> Mapping[str, Mapping[str, Any]]:
        """The variants of a case, each counted exactly and, but for the machine, valid.

        At most `differing` of them may be counted otherwise.
        """
        done = self._done[name]
        assert done.code in (0, 106), done.stderr
        found: dict[str, dict[str, Any]] = document(done.stdout)["variants"]
        exact = [variant for variant in found.values() if variant["exact"]]
        assert len(found) - len(exact) <= differing, [variant["audit"] for variant in found.values()]
        for variant in exact:
            invalid = {one["kind"] for one in variant["caveats"] if one["invalidates"]}
            assert invalid <= MACHINE, variant["caveats"]
        return found

    def only(self, name: str) -> Mapping[str, Any]:
        (variant,) = self.variants(name).values()
        return variant


def _run(folder: Path, ordinary: bool, name: str) -> Done:
    arguments = ("run", CASES / f"{name}.yaml", "--json", "--no-figures")
    return churn(*arguments, runs=folder / "runs", ordinary=ordinary)


@pytest.fixture(scope="module", params=USERS, ids=lambda ordinary: "ordinary" if ordinary else "root")
def results(request: pytest.FixtureRequest) -> Iterator[Results]:
    need("redis-server", "nginx")
    # Open to an ordinary user; pytest's own folders are not.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield Results(folder, ordinary=request.param)


def finding(variant: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    (found,) = [one for one in variant["findings"] if one["kind"] == kind]
    return found


def kinds(variant: Mapping[str, Any]) -> set[str]:
    return {one["kind"] for one in variant["findings"]}


def caveats(variant: Mapping[str, Any]) -> Mapping[str, str]:
    return {one["kind"]: f"{one['cause']}; {one['remedy']}" for one in variant["caveats"]}


def checked(name: str) -> str:
    done = churn("check", CASES / f"{name}.yaml")
    assert done.code == 0, done.said
    return " ".join(done.stdout.split())


def predicted(variant: Mapping[str, Any], name: str) -> tuple[float, float]:
    (row,) = [one for one in variant["compared"] if one["name"] == name]
    return row["predicted"], row["measured"]


def test_all_requests_time_out(results: Results) -> None:
    variant = results.only("all-time-out")
    assert variant["verdict"].startswith("1,500 of 1,500 attempts fail with receive:TIMEOUT")
    assert "make load.timeouts.response longer than server.delay" in caveats(variant)["closer_differs"]
    assert "every request will time out" in checked("all-time-out")


def test_connect_slows_and_the_rate_stays(results: Results) -> None:
    variant = results.only("connect-slows")
    slow = finding(variant, "connect_slow")
    assert abs(slow["numbers"]["ports"] - 1000) <= 2 * slow["numbers"]["ports_error"]
    # A driver that has to wait for its core starts late, and the rate falls with it.
    metrics = variant["metrics"]
    assert "and the rate stays" in slow["sentence"] or metrics["late"] + metrics["dropped"] > 0
    assert variant["verdict"].startswith("The client has no free port from")
    assert "TIME-WAIT holds 2,000 of 2,000" in variant["verdict"]
    assert metrics["knee.ports"] == slow["numbers"]["ports"]
    assert ("and the rate stays" in slow["sentence"]) <= (metrics["knee.rate_falls"] == 0)
    assert "net.ipv4.tcp_tw_reuse has no effect" in checked("connect-slows")


def test_a_fin_that_a_reset_answers_was_first(results: Results) -> None:
    variant = results.only("first-fin")
    assert variant["metrics"]["closes.server_fin"] == 300
    assert "the server closes first" in variant["verdict"]
    assert "the server closed first, by FIN; the client then" in caveats(variant)["ended_by_reset"]


def test_an_idle_timeout_that_is_shorter_than_the_pause(results: Results) -> None:
    variant = results.only("idle-against-think")
    expected, measured = predicted(variant, "TIME-WAIT, server")
    assert measured == pytest.approx(expected, rel=0.15)
    assert not [name for name in variant["metrics"] if name in ("errors.SHORT", "errors.MALFORMED")]
    assert "make server.idle_timeout longer" in caveats(variant)["closer_differs"]
    assert "the server closes each connection first, after one request" in checked("idle-against-think")


def test_the_response_time_decides_how_many_ports_are_held(results: Results) -> None:
    for variant, held in zip(results.variants("latency-takes-ports").values(), (100, 1000), strict=True):
        states = {(one["viewpoint"], one["state"]): one for one in variant["states"]}
        # On a busy machine a response takes longer, and more are open.
        assert held <= states["client", "ESTABLISHED"]["most"] <= 3 * held
        assert states["client", "TIME-WAIT"]["most"] == 0
        assert "the load's end leaves the client with" in variant["verdict"]
        assert variant["metrics"]["server.time_wait.max"] == 0
    assert "need 1,000 connections at a time" in checked("latency-takes-ports")


def test_sockets_that_are_never_closed(results: Results) -> None:
    variant = results.only("leak")
    gone = finding(variant, "ports_gone")
    assert not gone.get("observed")
    assert "CLOSE-WAIT holds 500 of 500, which the client's program does not close" in variant["verdict"]
    assert "500 TIME-WAITs" in variant["verdict"]
    assert "let the client's program close" in caveats(variant)["ports_gone"]


def test_what_a_program_does_not_close_is_named_for_what_it_is(results: Results) -> None:
    found = results.variants("leaks")
    bursts = finding(found["bursts"], "burst_that_stays")
    assert (bursts["viewpoint"], bursts["numbers"]["moments"]) == ("client", 3)
    leak = finding(found["from-the-middle"], "leak")
    assert leak["viewpoint"] == "client"
    assert leak["start_ns"] >= 2_000_000_000
    assert leak["numbers"]["per_s"] <= 25
    assert "no bytes unread" in leak["sentence"]
    for name in ("pool", "pool-that-grows"):
        assert "others come and go" in finding(found[name], "pool_not_closed")["sentence"], name
    late = finding(found["process-that-ends"], "closed_late")
    assert late["end_ns"] > late["start_ns"]
    for variant in found.values():
        assert len({"leak", "burst_that_stays", "pool_not_closed", "closed_late"} & kinds(variant)) == 1


def test_a_leak_on_both_sides_names_both(results: Results) -> None:
    found = results.variants("leaks-both")
    leaks = {one["viewpoint"]: one for one in found["both"]["findings"] if one["kind"] == "leak"}
    assert set(leaks) == {"client", "server"}
    assert leaks["client"]["numbers"]["unread_sockets"] > 0
    assert leaks["server"]["numbers"]["unread_sockets"] == 0
    assert all(f"{side}'s program leaks" in found["both"]["verdict"] for side in ("client", "server"))
    assert finding(found["server"], "leak")["viewpoint"] == "server"
    states = {(one["viewpoint"], one["state"]): one["most"] for one in found["server"]["states"]}
    # The two ends of the last ones may be sampled apart.
    assert states["server", "CLOSE-WAIT"] > 0
    assert abs(states["client", "FIN-WAIT-2"] - states["server", "CLOSE-WAIT"]) <= 2


def test_no_source_address_is_no_lack_of_ports(results: Results) -> None:
    variant = results.only("no-address")
    assert variant["verdict"].startswith("No connection was established: 2,000 of 2,000 attempts fail")
    assert "no lack of ports (0 of 4,000 were held at most)" in variant["verdict"]
    assert not {"ports_gone", "connect_slow"} & kinds(variant)
    assert "exhaustion.time_ns" not in variant["metrics"]
    assert "leave net.ipv6.conf.all.disable_ipv6 at 0" in caveats(variant)["no_address"]


def test_a_slow_response_is_no_ramp(results: Results) -> None:
    for variant in results.variants("slow-response").values():
        assert variant["passed"]
        if variant["valid"]:  # A driver that has to wait for its core opens late.
            assert variant["metrics"]["rate.levels"] == 1
            assert re.match("(299|300|301) connections/s", variant["verdict"])


def test_a_program_that_runs_out_of_ports(results: Results) -> None:
    variant = results.only("exits-with-error")
    assert variant["passed"]
    gone = finding(variant, "ports_gone")
    assert not gone.get("observed")
    assert "TIME-WAIT holds" in gone["sentence"]
    assert "It had no free port left, and this was its reaction" in caveats(variant)["command_failed"]


def test_starts_that_wait_for_ports_are_late_for_them(results: Results) -> None:
    variant = results.only("late-for-ports")
    assert "need 6,000 connections at a time, and the client has 4,000 ports" in checked("late-for-ports")
    if not variant["valid"]:  # A driver that has to wait for its core does not come to take them all.
        return
    # A sample may come as some have ended and the next are not yet open.
    assert "ESTABLISHED holds" in finding(variant, "ports_gone")["sentence"]
    # On the way there, the search for ports may slow a driver down that has no core to spare.
    assert re.search("no free port from|no port is left after", variant["verdict"])
    assert "which does not count against the generator" in caveats(variant)["ports_gone"]


def test_past_the_knee_from_the_start_there_is_no_knee(results: Results) -> None:
    variant = results.only("past-the-knee")
    assert not {"ports_gone", "connect_slow"} & kinds(variant)
    assert "knee.ports" not in variant["metrics"]
    assert "connect() is slow from the start" in checked("past-the-knee")


def test_a_full_accept_queue_is_named(results: Results) -> None:
    # Of tens of thousands of resets at a full queue, a few may cross in a way that the ledger lacks.
    found = results.variants("short-queue", differing=1)
    assert "accept_queue" in kinds(found["b16"]) & kinds(found["b16-protocol"])
    for name, cause in (("b16", "established at the client only"), ("b16-abort", "tcp_abort_on_overflow")):
        assert not found[name]["exact"] or cause in caveats(found[name])["never_accepted"]
    assert not {"accept_queue", "syn_queue", "failures"} & kinds(found["b4096"])
    assert found["b16-nocookies"]["verdict"].startswith("The server's SYN queue was full")
    assert "the accept queue takes 17" in checked("short-queue")


def test_two_drivers_show_the_same_states(results: Results) -> None:
    # A client that waits for its core has many in CLOSE-WAIT for a moment; kept ones are in all samples.
    assert len(results.variants("two-drivers")) == 2
    for path in results.folder.glob("runs/*-two-drivers/*/samples.jsonl"):
        states = [line["viewpoints"]["client"]["states"] for line in lines(path) if line["type"] == "sample"]
        assert median(one.get("CLOSE-WAIT", 0) for one in states) <= 500, path.parent.name


def test_a_removed_sysctl_is_refused_with_its_place() -> None:
    done = churn("check", CASES / "removed-sysctl.yaml")
    assert done.code == 104, done.said
    assert "removed-sysctl.yaml:3:" in done.stderr
    assert "Linux removed it in 4.12" in done.stderr
