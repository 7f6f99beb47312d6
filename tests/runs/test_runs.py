"""Whole runs, small and real: what is recorded, that the counts are the kernel's, what the exit code says."""

import json
import os
import pty
import re
import select
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from loadgen.analysis.reread import reread
from loadgen.analysis.summary_document import summary_document
from loadgen.analysis.summary_schema import summary_schema
from loadgen.records.directory import RunDirectory
from loadgen.wire.codec import encode
from tests.command import LIMIT_S, Done, Running, churn, document, lines

SECOND_NS = 1_000_000_000
RECORDS = ["events.jsonl", "intervals.jsonl", "latency.hlog", "samples.jsonl"]
PERCENTILES = ("p50", "p90", "p99", "p999", "max")

SUMMARIES = jsonschema.Draft202012Validator(summary_schema())

SMALL = """
title: small
question: Does it work?
load: {closed_loop: {connections: 4}, duration: 300ms}
connection: {closer: client}
"""


def write(folder: Path, text: str, name: str = "x.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run(folder: Path, text: str, *arguments: str, **options: Any) -> tuple[Done, dict[str, Any]]:
    """Run a scenario to its end; its summary, as the command printed it."""
    scenario = write(folder, text)
    done = churn("run", scenario, "--json", "--no-figures", *arguments, runs=folder / "runs", **options)
    assert "Traceback" not in done.stderr, done.said
    summary = document(done.stdout)
    SUMMARIES.validate(summary)
    return done, summary


def free_port() -> int:
    """A port of the host's that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def caveats(variant: Mapping[str, Any]) -> set[str]:
    return {caveat["kind"] for caveat in variant["caveats"]}


def exact(variant: Mapping[str, Any]) -> bool:
    """Every count was compared with the kernel's, and is the same."""
    return len(variant["audit"]) >= 6 and all(line["exact"] for line in variant["audit"])


def told(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says of each variant, its numbers apart."""
    return {
        name: (
            [(item["text"], item["passed"]) for item in variant["expectations"]],
            [(line["what"], line["source"], line["exact"]) for line in variant["audit"]],
            variant["valid"],
        )
        for name, variant in summary["variants"].items()
    }


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """A directory that an ordinary user may write to as well; pytest's own bars others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


# ---- what a run leaves


def test_a_run_is_one_document_and_a_directory_that_agrees_with_it(tmp_path: Path) -> None:
    text = SMALL + "variants: {first: {}, second: {connection: {closer: server}}}"
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    assert "\x1b" not in done.stdout + done.stderr
    assert "first: begins" in done.stderr
    assert "second: begins" in done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}T\d{6}Z-x", path.name)
    assert sorted(item.name for item in path.iterdir()) == ["first", "run.json", "second", "summary.json"]
    assert summary == document((path / "summary.json").read_text())
    info = json.loads((path / "run.json").read_text())
    assert (info["status"], info["quick"], info["id"]) == ("finished", False, path.name)
    assert list(info["variants"]) == list(summary["variants"]) == ["first", "second"]
    directory = RunDirectory(path)
    # What the records say when read again is what was said then.
    again = summary_document(path.name, reread(directory).summaries, info["variants"], whole=True)
    assert json.loads(encode(again)) == summary
    for name in summary["variants"]:
        assert sorted(file.name for file in (path / name).iterdir()) == RECORDS
        assert all(lines(path / name / file) for file in RECORDS if file.endswith(".jsonl"))
        assert list(directory.records(name))


def test_the_report_of_a_run_is_text_without_escapes(tmp_path: Path) -> None:
    done = churn("run", write(tmp_path, SMALL), "--no-figures", runs=tmp_path / "runs")
    assert done.code == 0, done.said
    assert "\x1b" not in done.stdout + done.stderr
    for word in (
        "; the client collects up to",
        "audit",
        "prediction beside measurement",
        str(tmp_path / "runs"),
    ):
        assert word in done.stdout
    assert "begins" not in done.stdout
    assert "start p99" not in done.stdout


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_run_that_nobody_reads_is_kept(form: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = churn(
            "run", write(tmp_path, SMALL), "--no-figures", *form, runs=tmp_path / "runs", stdout=full
        )
    assert done.code == 2, done.said
    assert done.stderr.splitlines()[-1] == "cannot write to stdout: No space left on device"
    assert "Traceback" not in done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "finished"
    assert document((path / "summary.json").read_text())["passed"]


def test_the_report_of_an_open_loop_tells_how_late_it_was(tmp_path: Path) -> None:
    load = "{open_loop: {rate: 100/s, late: 10s}, duration: 300ms}"
    scenario = write(tmp_path, f"title: open\nload: {load}")
    done = churn("run", scenario, "--no-figures", runs=tmp_path / "runs")
    assert done.code == 0, done.said
    head, row = next(
        (head.split("  "), row.split("  "))
        for head, row in pairwise(done.stdout.splitlines())
        if "start p99" in head
    )
    assert [cell.strip() for cell in head if cell].index("start p99") == 4
    assert re.fullmatch(r"[\d.e+]+ (ns|µs|ms|s)", [cell.strip() for cell in row if cell][4])


def test_an_expectation_that_fails_is_exit_99(tmp_path: Path) -> None:
    text = SMALL + "expect: {main: [server.time_wait.max > 0, client.time_wait.max > 0]}"
    done, summary = run(tmp_path, text)
    assert done.code == 99, done.said
    assert [item["passed"] for item in summary["variants"]["main"]["expectations"]] == [False, True]
    assert summary["passed"] is False
    assert summary["valid"] is True


def test_figures_are_drawn_unless_they_are_not_wanted_and_again_from_the_records(tmp_path: Path) -> None:
    done = churn("run", write(tmp_path, SMALL), cwd=tmp_path)
    assert done.code == 0, done.said
    (path,) = (tmp_path / "runs").iterdir()
    drawn = sorted(file.name for file in (path / "figures").iterdir())
    assert {Path(name).suffix for name in drawn} == {".svg", ".png"}
    assert "figures" in done.stdout
    for file in (path / "figures").iterdir():
        file.unlink()
    again = churn("plot", "last", cwd=tmp_path)
    assert again.code == 0, again.said
    assert sorted(Path(name).name for name in again.stdout.split()) == drawn


def test_variants_overrides_and_quickness_reach_the_run(tmp_path: Path) -> None:
    text = SMALL + "variants: {a: {}, b: {}}\nquick: {lab: {client: {ports: 40000-40999}}}"
    done, summary = run(tmp_path, text, "--quick", "--variant", "b", "--set", "load.duration=200ms")
    assert done.code == 0, done.said
    assert list(summary["variants"]) == ["b"]
    assert summary["variants"]["b"]["metrics"]["client.ports"] == 1000
    assert "--quick" in done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    info = json.loads((path / "run.json").read_text())
    assert info["quick"] is True
    assert info["scenario"]["variants"][0]["load"]["duration"] == "200ms"


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_the_view_is_live_and_stdout_still_data(no_color: bool, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm", **({"NO_COLOR": "1"} if no_color else {})}
    scenario = write(tmp_path, SMALL)
    shown = b""
    with Running(
        "run", scenario, "--json", "--no-figures", runs=tmp_path / "runs", env=env, stderr=theirs
    ) as running:
        os.close(theirs)
        while select.select([ours], [], [], LIMIT_S)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                break
        done = running.finish()
    os.close(ours)
    assert done.code == 0, done.said
    assert document(done.stdout)["valid"] is True
    assert b"TIME-WAIT client" in shown
    # Colours are ESC [ 3x m, alone or after a style; moving the cursor is another matter.
    assert bool(re.search(rb"\x1b\[(\d;)*3\dm", shown)) is not no_color


# ---- every count, whatever was asked for

MIXED = """
title: all that can be combined
load: {duration: 200ms}
expect: {all: [errors.total == 0, connected > 0]}
variants:
"""


def mixed() -> Iterator[tuple[str, str]]:
    """Sixteen variants: every closer, method, driver and server, and any two other choices together."""
    for number in range(16):
        a, b, c, d = (number >> bit & 1 for bit in range(4))
        closer, close = ("client", "server")[a], ("fin", "rst")[b]
        driver, kind = ("protocol", "aiohttp")[c], ("protocol", "aiohttp")[d]
        topology, family = ("pair", "loopback")[a ^ b ^ c ^ d], ("ipv4", "ipv6")[a ^ c]
        addresses = ", client: {addresses: 3}, server: {addresses: 2}" if b ^ c ^ d else ""
        loop = (
            "closed_loop: {connections: 6}",
            "open_loop: {rate: 400/s, late: 10s}",
            "open_loop: {rate: 400/s, late: 10s, arrivals: poisson}",
        )[number % 3]
        name = "-".join([closer, close, driver, kind, str(number)])
        yield (
            name,
            f"  {name}: {{lab: {{topology: {topology}, family: {family}{addresses}}},"
            f" load: {{driver: {driver}, workers: {1 + (number % 5 == 0)}, {loop}}},"
            f" server: {{kind: {kind}, workers: {1 + (c ^ d)}}},"
            f" connection: {{closer: {closer}, close: {close}, requests: {1 + 2 * (a ^ b)}}}}}",
        )


def test_every_count_is_the_kernels_whatever_the_variant(tmp_path: Path) -> None:
    variants = dict(mixed())
    done, summary = run(tmp_path, MIXED + "\n".join(variants.values()))
    assert list(summary["variants"]) == list(variants)
    for name, variant in summary["variants"].items():
        assert exact(variant), (name, variant["audit"])
        assert variant["valid"], (name, variant["caveats"])
        assert all(item["passed"] for item in variant["expectations"]), (name, variant["expectations"])
        closer, close, *_ = name.split("-")
        metrics = variant["metrics"]
        assert metrics[f"closes.{closer}_{close}"] == metrics["connected"] == metrics["succeeded"]
        assert metrics["offered"] == metrics["started"] + metrics["dropped"]
    assert done.code == 0, done.said


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_on_the_host_the_counts_agree_and_the_measurement_is_invalid(family: str, tmp_path: Path) -> None:
    lab = f"lab: {{topology: host, family: {family}}}\nserver: {{port: {free_port()}}}\n"
    done, summary = run(tmp_path, SMALL + lab)
    assert done.code == 106, done.said
    variant = summary["variants"]["main"]
    assert "host_loopback" in caveats(variant)
    assert variant["metrics"]["errors.total"] == 0
    assert variant["metrics"]["closes.client_fin"] == variant["metrics"]["connected"] > 0


# ---- whoever runs it, wherever

STORY = """
title: story
load: {closed_loop: {connections: 8}, duration: 1s}
lab: {client: {ports: 32768-33267}}
variants:
  server: {connection: {closer: server}}
  client: {connection: {closer: client}}
expect:
  server: [client.time_wait.max == 0, server.time_wait.max > 0, errors.total == 0]
  client: [client.time_wait.max == client.ports, errors.EADDRNOTAVAIL > 0, server.time_wait.max > 0]
"""


def test_an_ordinary_user_gets_the_same_verdicts(shared_path: Path) -> None:
    for folder in ("own", "ordinary"):
        (shared_path / folder).mkdir()
        (shared_path / folder).chmod(0o777)
    done, summary = run(shared_path / "own", STORY)
    same, again = run(shared_path / "ordinary", STORY, ordinary=True)
    assert done.code == same.code == 99, done.said
    assert told(summary) == told(again)
    assert all(map(exact, again["variants"].values()))
    if os.geteuid() == 0:
        others = churn("plot", "last", ordinary=True, runs=shared_path / "own" / "runs")
        assert others.code == 2, others.said
        assert "Permission denied" in others.stderr
        assert "Traceback" not in others.stderr


WITHOUT_NAMESPACES = """
import ctypes, os, pathlib, sys
libc = ctypes.CDLL(None)
ids = {"uid": os.getuid(), "gid": os.getgid()}
assert libc.unshare(0x10000000) == 0  # CLONE_NEWUSER: its own limit can be set to none, for itself alone
pathlib.Path("/proc/self/setgroups").write_text("deny")
for kind, number in ids.items():
    pathlib.Path(f"/proc/self/{kind}_map").write_text(f"{number} {number} 1")
pathlib.Path("/proc/sys/user", sys.argv[1]).write_text("0")
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("limit", ["max_net_namespaces", "max_user_namespaces"])
def test_where_no_lab_can_be_had_it_falls_back_and_says_so(limit: str, shared_path: Path) -> None:
    sysctl = "sysctl: {client: {net.ipv4.tcp_tw_reuse: 1}}"
    text = (
        f"{SMALL}lab: {{family: ipv6, client: {{addresses: 3}}, {sysctl}}}\nserver: {{port: {free_port()}}}"
    )
    before = ["python3", "-c", WITHOUT_NAMESPACES, limit]
    done, summary = run(shared_path, text, ordinary=True, before=before)
    assert done.code == 106, done.said
    assert f"user.{limit} = 0" in done.stderr
    assert "sysctl -w user." in done.stderr
    assert "plain loopback" in done.stderr
    assert caveats(summary["variants"]["main"]) >= {"host_loopback"}
    assert summary["variants"]["main"]["metrics"]["connected"] > 0


# ---- several load workers


def test_workers_share_a_load_and_are_recorded_as_one(tmp_path: Path) -> None:
    text = """
title: shared
load: {workers: 3, pin: true, duration: 400ms}
server: {workers: 2, pin: true}
lab: {server: {addresses: 2}}
connection: {closer: client}
variants:
  closed: {load: {closed_loop: {connections: 7}}}
  open: {load: {open_loop: {rate: 500/s, late: 10s}}}
"""
    done, summary = run(tmp_path, text)
    assert done.code == 0, done.said
    (path,) = (tmp_path / "runs").iterdir()
    cores = sorted(os.sched_getaffinity(0))
    for name, variant in summary["variants"].items():
        assert exact(variant), variant["audit"]
        intervals = lines(path / name / "intervals.jsonl")
        edges = [(interval["start_ns"], interval["end_ns"]) for interval in intervals]
        assert [start for start, _ in edges] == [0, *(end for _, end in edges[:-1])]
        assert sum(interval["connected"] for interval in intervals) == variant["metrics"]["connected"]
        events = lines(path / name / "events.jsonl")
        assert [event["type"] for event in events].count("load_ends") == 1
        processes = next(event for event in events if event["type"] == "processes")
        assert len(set(processes["load_workers"])) == 3
        assert processes["cores"] == {
            "client": [cores[number % len(cores)] for number in range(3)],
            "server": [cores[-1 - number % len(cores)] for number in range(2)],
        }
        sides = lines(path / name / "samples.jsonl")[-1]["viewpoints"]
        assert [len(sides[side]["workers_cpu_ns"]) for side in ("client", "server")] == [3, 2]
    assert 0 < max(interval["in_flight"] for interval in lines(path / "closed" / "intervals.jsonl")) <= 7
    # The schedule is the one of a single worker: no arrival is missing and none comes twice.
    assert summary["variants"]["open"]["metrics"]["offered"] == 200


# ---- the open loop


def test_an_open_loop_offers_what_it_was_told_to(tmp_path: Path) -> None:
    text = """
title: open
load: {open_loop: {rate: 2000/s}, duration: 10s}
lab: {client: {ports: 20000-60999}}
"""
    _, summary = run(tmp_path, text)
    variant = summary["variants"]["main"]
    metrics = variant["metrics"]
    assert metrics["offered"] == metrics["started"] + metrics["dropped"] == 20_000
    assert exact(variant), variant["audit"]
    for name in PERCENTILES:
        assert metrics[f"response.{name}_ns"] >= metrics[f"service.{name}_ns"] > 0


def stopped(running: Running, pids: Sequence[int], from_ns: int) -> None:
    """Stop processes for a second of the load."""
    at_ns = running.reaches(from_ns)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    running.reaches(at_ns + SECOND_NS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_stalled_server_shows_in_an_open_loop_and_hides_in_a_closed_one(tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []
    for load in ("open_loop: {rate: 300/s, late: 10s}", "closed_loop: {connections: 2}"):
        scenario = write(tmp_path, f"title: stall\nload: {{{load}, duration: 2s}}")
        folder = tmp_path / load[:4]
        with Running("run", scenario, "--json", "--no-figures", runs=folder) as running:
            stopped(running, running.event("processes")["workers"], SECOND_NS // 4)
            done = running.finish()
        variant = document(done.stdout)["variants"]["main"]
        # Half of the load had no server: that is in no rate, and the answer may be another.
        assert done.code == 106, done.said
        assert {one["kind"] for one in variant["caveats"] if one["invalidates"]} == {"server_held_up"}
        assert exact(variant), variant["audit"]
        found.append(variant["metrics"])
    opened, closed = found
    assert opened["offered"] == opened["started"] + opened["dropped"] == 600
    assert opened["errors.total"] == 0
    for tag in ("response", "service"):  # Connections were opened on time: the wait is the server's.
        assert opened[f"{tag}.p99_ns"] > 0.8 * SECOND_NS
        assert opened[f"{tag}.max_ns"] > 0.8 * SECOND_NS
    assert closed["response.max_ns"] > 0.8 * SECOND_NS
    assert closed["response.p99_ns"] < 0.1 * SECOND_NS
    # Only an open loop has instants to start at.
    assert opened["start.max_ns"] < 0.8 * SECOND_NS
    assert not any(name.startswith("start.") for name in closed)


def test_a_stalled_load_worker_invalidates_an_open_loop(tmp_path: Path) -> None:
    scenario = write(tmp_path, "title: late\nload: {open_loop: {rate: 300/s}, duration: 1s}")
    with Running("run", scenario, "--json", "--no-figures", runs=tmp_path / "runs") as running:
        driver = running.event("processes")["driver"]
        at_ns = running.reaches(SECOND_NS // 5)
        os.kill(driver, signal.SIGSTOP)
        # It tells no time now; the sampler does.
        running.sampled(at_ns + SECOND_NS // 2)
        os.kill(driver, signal.SIGCONT)
        done = running.finish()
    assert done.code == 106, done.said
    variant = document(done.stdout)["variants"]["main"]
    metrics = variant["metrics"]
    assert "starts_late" in caveats(variant)
    assert metrics["offered"] == metrics["started"] + metrics["dropped"]
    # From the intended start the wait was long; from the actual one it was not: the start was late.
    assert metrics["response.max_ns"] > SECOND_NS // 4 > metrics["service.p50_ns"]
    assert metrics["start.max_ns"] > SECOND_NS // 4
