"""Faults by script in whole runs: each acts on what it names and on nothing else, and is undone."""

from pathlib import Path
from typing import Any

import pytest

from loadgen.records.directory import RunDirectory
from loadgen.records.events import FaultBegan, FaultEnded, FaultFailed
from loadgen.records.types import Interval
from tests.command import Running, churn, eventually, lines
from tests.runs.test_runs import caveats, exact, run, write

LOAD = (
    "title: t\nload: {driver: protocol, open_loop: {rate: 100/s, late: 1min}, duration: 1500ms}\nvariants:\n"
)


def ran(folder: Path, variants: str, head: str = LOAD) -> tuple[dict[str, Any], RunDirectory, int]:
    """The variants of a run by name, its directory and exit code."""
    done, summary = run(folder, head + variants)
    (directory,) = (folder / "runs").iterdir()
    return summary["variants"], RunDirectory(directory), done.code


def faults(directory: RunDirectory, variant: str) -> list[tuple[str, str]]:
    """The events of the script in order: what happened, and to what."""
    kinds = {FaultBegan: "began", FaultEnded: "ended", FaultFailed: "failed"}
    events = [one for one in directory.records(variant) if isinstance(one, tuple(kinds))]
    return [(kinds[type(one)], one.do) for one in sorted(events, key=lambda one: one.t_ns)]


def connected_after(directory: RunDirectory, variant: str, later_ns: int = 0) -> int:
    """Connections in intervals that begin at least `later_ns` after the last event of the script."""
    records = list(directory.records(variant))
    last_ns = max(one.t_ns for one in records if isinstance(one, FaultBegan | FaultEnded | FaultFailed))
    return sum(
        one.connected for one in records if isinstance(one, Interval) and one.start_ns > last_ns + later_ns
    )


def test_faults_of_processes_and_links_act_and_are_undone(tmp_path: Path) -> None:
    variants, directory, code = ran(
        tmp_path,
        """
  cut: {script: [{at: 300ms, for: 500ms, do: cut, on: client}]}
  pause: {script: [{at: 300ms, for: 700ms, do: pause, on: server}]}
  sysctl:
    script: [{at: 300ms, for: 500ms, do: sysctl, on: server, sysctl: {net.ipv4.tcp_max_tw_buckets: 0}}]
  restart: {script: [{at: 300ms, for: 300ms, do: restart, on: server, signal: KILL}]}
  paused-load: {script: [{at: 300ms, for: 700ms, do: pause, on: client}]}
""",
    )
    # A pause is no gap, a killed server no dead process, and no count is lost: nothing is invalid.
    assert code == 0
    for name, variant in variants.items():
        assert exact(variant), name
        assert not caveats(variant) & {"process_died", "server_held_up", "generator_held_up"}, name
        do = {"paused-load": "pause"}.get(name, name)
        assert faults(directory, name) == [("began", do), ("ended", do)]
        assert connected_after(directory, name) > 0, name
    errors = {
        name: {f"{one['phase']}:{one['kind']}": one["count"] for one in variant["errors"]}
        for name, variant in variants.items()
    }
    assert errors["cut"].keys() == {"connect:ENETUNREACH"}
    assert errors["pause"] == errors["sysctl"] == errors["paused-load"] == {}
    assert errors["restart"].keys() <= {"connect:ECONNREFUSED", "receive:ECONNRESET", "receive:CLOSED"}
    assert errors["restart"]["connect:ECONNREFUSED"] > 0
    # What was closed before and after the fault is in TIME-WAIT, what was closed in it is not.
    metrics = variants["sysctl"]["metrics"]
    assert 0 < metrics["server.kernel.TCPTimeWaitOverflow"] < metrics["connected"]
    assert (
        metrics["server.time_wait.end"] == metrics["connected"] - metrics["server.kernel.TCPTimeWaitOverflow"]
    )


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_crashed_server_is_silent_and_knows_no_connection_when_it_is_back(
    family: str, tmp_path: Path
) -> None:
    variants, directory, code = ran(
        tmp_path,
        """
  gone: {script: [{at: 500ms, do: crash, on: server}]}
  back: {script: [{at: 500ms, for: 1s, do: crash, on: server}]}
""",
        head=f"""
title: t
lab: {{family: {family}, server: {{addresses: 2}}}}
load: {{driver: protocol, duration: 4500ms, closed_loop: {{connections: 6}}, timeouts: {{connect: 100ms}}}}
connection: {{closer: client, requests: 2, think: 1h, keepalive: {{idle: 1s, probes: 2, on: client}}}}
variants:
""",
    )
    assert code == 0
    gone, back = (variants[name]["metrics"] for name in ("gone", "back"))
    # Nothing left the crashed host: not the RST that its kernel makes for each connection.
    assert gone["errors.ETIMEDOUT"] == gone["client.kernel.TCPAbortOnTimeout"] == 6
    assert gone["server.kernel.EstabResets"] == back["server.kernel.EstabResets"] == 6
    assert back["errors.total"] == back["errors.ECONNRESET"] == 6
    assert back["connected"] == 12
    assert exact(variants["gone"])
    assert exact(variants["back"])
    assert faults(directory, "gone") == [("began", "crash")]
    assert faults(directory, "back") == [("began", "crash"), ("ended", "crash")]


def test_a_server_without_reuse_address_cannot_start_again_and_that_is_a_result(tmp_path: Path) -> None:
    variants, directory, code = ran(
        tmp_path,
        """
  with: {script: [{at: 500ms, do: restart, on: server}]}
  without: {server: {reuse_address: false}, script: [{at: 500ms, do: restart, on: server}]}
  killed: {script: [{at: 500ms, do: kill, on: server}]}
""",
    )
    assert code == 0
    assert faults(directory, "with") == [("began", "restart"), ("ended", "restart")]
    assert faults(directory, "without") == [("began", "restart"), ("failed", "restart")]
    assert faults(directory, "killed") == [("began", "kill")]
    assert "not_restarted" in caveats(variants["without"])
    assert "not_restarted" not in caveats(variants["with"])
    assert connected_after(directory, "with") > 0
    # A killed process closes its listening socket when it next gets the CPU.
    assert connected_after(directory, "without", 300_000_000) == 0
    assert connected_after(directory, "killed", 300_000_000) == 0
    assert all(exact(variant) for variant in variants.values())


def test_commands_are_paused_killed_and_restarted_with_all_that_they_started(tmp_path: Path) -> None:
    server = """{kind: command, command: ["{python}", -P, -m, http.server, --bind, "{host}", "{port}"]}"""
    variants, directory, code = ran(
        tmp_path,
        """
  pause: {script: [{at: 300ms, for: 500ms, do: pause, on: server}]}
  restart: {script: [{at: 300ms, for: 300ms, do: restart, on: server, signal: KILL}]}
""",
        head=LOAD.replace("1500ms", "6s").replace(
            "variants:", f"connection: {{http: '1.0'}}\nserver: {server}\nvariants:"
        ),
    )
    assert code == 0, variants
    assert faults(directory, "pause") == [("began", "pause"), ("ended", "pause")]
    assert faults(directory, "restart") == [("began", "restart"), ("ended", "restart")]
    assert connected_after(directory, "pause") > 0
    assert connected_after(directory, "restart") > 0


def test_a_sysctl_that_the_kernel_refuses_is_an_error_before_the_run(tmp_path: Path) -> None:
    text = "title: t\nscript: [{at: 1s, do: sysctl, on: server, sysctl: {net.ipv4.tcp_no_such: 1}}]\n"
    scenario = write(tmp_path, text)
    done = churn("run", scenario, runs=tmp_path / "runs")
    assert done.code == 106
    assert "script.0 of main (sysctl)" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_nothing_is_left_after_churn_is_killed_with_faults_active(tmp_path: Path) -> None:
    text = (
        "title: t\nload: {driver: protocol, duration: 30s}\nscript:\n"
        "  - {at: 100ms, for: 20s, do: cut, on: client}\n"
        "  - {at: 100ms, for: 20s, do: pause, on: server}\n"
    )
    with Running("run", write(tmp_path, text), "--no-figures", runs=tmp_path / "runs") as running:
        eventually(lambda: faults_begun(running) == 2, "the faults did not begin")
        running.process.kill()
        running.finish()


def faults_begun(running: Running) -> int:
    path = running.directory() / "main" / "events.jsonl"
    return sum(line["type"] == "fault_began" for line in lines(path))
