"""Runs that go wrong: each ends all the same, says why, keeps what it had, and leaves nothing behind."""

import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.dom.minidom
from asyncio.subprocess import PIPE
from collections.abc import Callable, Generator
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from rich.table import Table
from rich.text import Text

from loadgen.analysis.caveats.audit import NOT_AUDITED
from loadgen.analysis.reread import reread
from loadgen.analysis.summary_document import summary_document
from loadgen.cli.columns import Screen
from loadgen.cli.signals import STOP_SIGNALS
from loadgen.engine.child import LOOK_S, Child
from loadgen.engine.experiment import create_directory, run_scenario
from loadgen.lab.errors import BuilderKilledError
from loadgen.lab.exchange import request
from loadgen.lab.lab import Lab, open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.records.directory import RunDirectory
from loadgen.records.info import Status
from loadgen.records.types import Sample
from loadgen.scenario.document import Variant
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Side
from loadgen.wire.exit_status import how_ended
from tests.attack.signals import attack
from tests.command import Done, Running, churn, document, eventually, lines, processes_with
from tests.made_records import made_info
from tests.runs.test_runs import SMALL, caveats, exact, run, shared_path, write

__all__ = ["shared_path"]

LONG = """
title: long
load: {closed_loop: {connections: 4}, duration: 20s}
connection: {closer: client}
variants: {a: {}, b: {}}
"""
LAST = "title: last\nload: {closed_loop: {connections: 4}, duration: 1s}\n"
"""Long enough to be meddled with."""
TENTH_NS = 100_000_000
ROUNDS = 3


def start(folder: Path, text: str, *arguments: str, **options: Any) -> Running:
    scenario = write(folder, text)
    return Running("run", scenario, "--no-figures", *arguments, runs=folder / "runs", **options)


def status(run: Running) -> str:
    return json.loads((run.directory() / "run.json").read_text())["status"]


def whole(directory: Path, variant: str) -> None:
    """Every record of a variant can be read, and there are some of each kind that is made at once."""
    kinds = {type(record).__name__ for record in RunDirectory(directory).records(variant)}
    assert kinds >= {"Origin", "Sample", "Interval"}


def invalid(done: Done, kind: str) -> dict[str, Any]:
    """The one variant of a run that ended with a caveat of this kind, without a traceback."""
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr, done.said
    variant: dict[str, Any] = document(done.stdout)["variants"]["main"]
    assert kind in caveats(variant)
    return variant


# ---- interrupted


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_one_signal_ends_the_variant_and_summarises(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, LONG) as running:
        running.reaches(3 * TENTH_NS, "a")
        running.process.send_signal(number)
        done = running.finish()
    assert done.code == 105, done.said
    assert "; the client collects up to" in done.stdout
    assert "interrupted after" in done.stdout
    assert "a was cut short; not run: b." in " ".join(done.stdout.split())
    directory = running.directory()
    assert status(running) == "interrupted"
    assert not (directory / "b").exists()
    summary = document((directory / "summary.json").read_text())
    assert list(summary["variants"]) == ["a"]
    assert summary["passed"] is False
    assert "interrupted" in caveats(summary["variants"]["a"])
    assert exact(summary["variants"]["a"])
    whole(directory, "a")


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    # Stopped workers let nobody finish: the first signal alone would wait for the timeouts.
    with start(tmp_path, LONG) as running:
        workers = running.event("processes", "a")["workers"]
        running.reaches(3 * TENTH_NS, "a")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGINT)
        running.event("interrupted", "a")
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGINT)
        done = running.finish()
    assert done.code == 105, done.said
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert str(running.directory()) in done.stderr
    assert status(running) == "interrupted"
    whole(running.directory(), "a")


def test_ctrl_c_reaches_the_whole_terminal_and_only_churn_heeds_it(tmp_path: Path) -> None:
    # While the lab is built, for one: the process that builds it is not to die of it.
    with start(tmp_path, LONG, start_new_session=True) as running:
        assert any("begins" in line for line in running.stderr)
        os.killpg(running.process.pid, signal.SIGINT)
        done = running.finish()
    assert done.code == 105, done.said
    assert "Traceback" not in done.stderr
    assert status(running) == "interrupted"
    assert not (running.directory() / "b").exists()


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_while_figures_are_drawn_cuts_them_short(number: signal.Signals, tmp_path: Path) -> None:
    scenario = write(tmp_path, SMALL)
    with Running("run", scenario, cwd=tmp_path, start_new_session=True) as running:
        assert any("drawing" in line for line in running.stderr)
        os.killpg(running.process.pid, number)
        done = running.finish()
    assert done.code == 105, done.said
    assert done.stderr.endswith(f"Stopped while drawing; to draw the figures: churn plot {words(running)}\n")
    assert "Traceback" not in done.stderr
    assert status(running) == "finished"


def words(run: Running) -> Path:
    """The run directory as churn names it: where it was begun, by a relative path."""
    return run.directory().relative_to(run.runs.parent)


def test_one_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    # As `nohup` asks, and a shell without jobs of its command in the background.
    before = ["bash", "-c", 'trap "" HUP INT; exec "$@"', "bash"]
    with start(tmp_path, LAST, before=before) as running:
        running.reaches(TENTH_NS)
        for number in (signal.SIGHUP, signal.SIGINT):
            running.process.send_signal(number)
        done = running.finish()
    assert done.code == 0, done.said
    assert status(running) == "finished"


@pytest.mark.parametrize("left", ["pthread_sigmask(SIG_BLOCK, [SIGCHLD])", "signal(SIGCHLD, SIG_IGN)"])
def test_the_end_of_a_child_is_noticed_whatever_the_caller_left(left: str, tmp_path: Path) -> None:
    script = f"import os, sys; from signal import *; {left}; os.execv(sys.argv[1], sys.argv[1:])"
    with start(tmp_path, SMALL, before=[sys.executable, "-c", script]) as running:
        assert running.finish().code == 0


def test_signals_at_random_instants_leave_nothing(tmp_path: Path) -> None:
    # More of them: python -m tests.attack.signals 40
    faults = [str(each) for each in attack(ROUNDS, seed=5, folder=tmp_path) if each.faults]
    assert not faults, "\n".join(faults)


def test_after_sigkill_nothing_is_left_but_records_that_can_be_read(tmp_path: Path) -> None:
    links = socket.if_nameindex()
    with start(tmp_path, LONG) as running:
        driver = running.event("processes", "a")["driver"]
        running.reaches(12 * TENTH_NS, "a")
        network = Path(f"/proc/{driver}/ns/net").readlink()
        assert len(processes_with(running.mark)) == 4  # churn; server, load worker, sampler
        running.process.kill()
        running.finish()
    assert network not in networks()
    assert socket.if_nameindex() == links
    assert status(running) == "running"
    whole(running.directory(), "a")
    (summary,) = reread(RunDirectory(running.directory())).summaries
    assert summary.name == "a"
    assert summary.metrics["client.time_wait.max"] > 0
    assert NOT_AUDITED in [caveat.kind for caveat in summary.caveats]
    drawn = churn("plot", running.directory())
    assert drawn.code == 0, drawn.said
    assert all(Path(name).stat().st_size for name in drawn.stdout.split())


def networks() -> set[Path]:
    """The network namespaces that a process is in."""
    found: set[Path] = set()
    for process in Path("/proc").iterdir():
        try:
            found.add((process / "ns" / "net").readlink())
        except OSError:  # No process, or one that just ended.
            continue
    return found


# ---- processes that are held up

HELD = "title: held\nload: {closed_loop: {connections: 4}, duration: 4s}\n"
HELD_S = 1.6
"""Longer than a server's worker needs to see that it was held up, and a good part of the load."""


@pytest.mark.parametrize(
    ("who", "driver", "kind", "name"),
    [
        ("sampler", "auto", "sampler_held_up", "the sampler was held up"),
        ("driver", "protocol", "generator_held_up", "the load worker was held up"),
        ("driver", "auto", "generator_held_up", "the load worker was held up"),
        ("server", "auto", "server_held_up", "the server was held up"),
    ],
)
def test_a_process_that_was_held_up_is_named_with_its_span(
    who: str, driver: str, kind: str, name: str, tmp_path: Path
) -> None:
    with start(tmp_path, HELD, "--json", "--set", f"load.driver={driver}") as running:
        processes = running.event("processes")
        running.reaches(3 * TENTH_NS)
        running.sampled(3 * TENTH_NS)
        (sampler,) = (
            pid for pid in processes_with(running.mark) if b"loadgen.observe.sampler" in command(pid)
        )
        pid = {"sampler": sampler, "driver": processes["driver"], "server": processes["workers"][0]}[who]
        hold(pid, HELD_S)
        done = running.finish()
    variant = invalid(done, kind)
    (cause,) = [caveat["cause"] for caveat in variant["caveats"] if caveat["kind"] == kind]
    assert name in cause
    gaps = [event for event in lines(running.directory() / "main" / "events.jsonl") if event["type"] == "gap"]
    assert max(gap["end_ns"] - gap["t_ns"] for gap in gaps) >= HELD_S * 1e9
    metrics = variant["metrics"]
    assert exact(variant)
    if who == "sampler":
        assert metrics["samples.missed"] >= HELD_S * 10 - 2
    else:
        # The time in which nothing was done does not lower the mean.
        assert metrics["rate.mean"] > metrics["connected"] * 1e9 / metrics["load.time_ns"]


def test_churn_that_stands_still_with_its_pipes_full_stops_no_load(tmp_path: Path) -> None:
    # Long enough for a pipe to fill: 64 KiB are a few seconds of records.
    text = HELD.replace("4s", "14s")
    with start(tmp_path, text, "--json") as running:
        running.reaches(3 * TENTH_NS)
        hold(running.process.pid, 12)
        done = running.finish()
    variant = document(done.stdout)["variants"]["main"]
    assert exact(variant)
    assert "records_unread" not in caveats(variant)
    assert "process_died" not in caveats(variant)
    intervals = lines(running.directory() / "main" / "intervals.jsonl")
    samples = lines(running.directory() / "main" / "samples.jsonl")
    gaps = [event for event in lines(running.directory() / "main" / "events.jsonl") if event["type"] == "gap"]
    longest_ns = max((gap["end_ns"] - gap["t_ns"] for gap in gaps), default=0)
    # Whatever else the machine was busy with, none waited for churn.
    assert max(one["end_ns"] - one["start_ns"] for one in intervals) < 5e9
    assert max(after["t_ns"] - before["t_ns"] for before, after in pairwise(samples)) < 5e9
    assert longest_ns < 5e9


def test_a_child_is_not_silent_while_its_reader_stood_still() -> None:
    """What it wrote meanwhile is read first, and the wait counts once however long it was."""

    async def main() -> tuple[list[Any], int]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", TALKER, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        child = Child("talker", process, dict[str, int])
        found: list[Any] = []
        async for line in child.received(3 * LOOK_S):
            found.append(line)
            if len(found) == 2:
                time.sleep(4 * LOOK_S)  # noqa: ASYNC251
        await child.end()
        return found, process.returncode or 0

    found, code = asyncio.run(main())
    assert [line["number"] for line in found] == [0, 1, 2, 3]
    assert code == 0


TALKER = """
import time
for number in range(4):
    print('{"number": %d}' % number, flush=True)
    time.sleep(0 if number == 0 else 1.2)
"""


def hold(pid: int, for_s: float) -> None:
    """Let a process stand still for so long."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(for_s)
    finally:
        os.kill(pid, signal.SIGCONT)


# ---- processes that die


def test_every_signal_has_a_name() -> None:
    named = {number: how_ended(-number) for number in range(1, 65)}
    assert len(set(named.values())) == len(named)
    assert named[9] == "by SIGKILL"
    assert named[40] == "by signal 40 (SIGRTMIN+6)"
    assert how_ended(3) == "with exit status 3"


@pytest.mark.parametrize("number", [9, 11, 15, 40])
@pytest.mark.parametrize("reads", ["head -c 1 <&0 >/dev/null;", ""])
def test_a_builder_of_a_lab_that_is_killed_is_named(
    number: int, reads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    killed.write_text(f"#!/bin/bash\n{reads} kill -{number} $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    with pytest.raises(BuilderKilledError, match=re.escape(how_ended(-number))):
        request(client_server_lab())


@pytest.mark.parametrize("arguments", [("run", "http10", "--no-figures"), ("doctor",)])
def test_without_its_builder_no_lab_is_no_verdict_on_the_machine(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with Running(*arguments, runs=tmp_path / "runs") as running:
        eventually(lambda: kill_first(b"loadgen.lab.build", running), "no lab was built")
        done = running.finish()
    assert done.code == 106, done.said
    assert done.stderr.endswith("dmesg shows whether the out-of-memory killer did)\n")
    assert "no lab: the process that builds it ended early, by SIGKILL" in done.stderr
    assert done.stdout == ""


def kill_first(module: bytes, running: Running) -> bool:
    """Kill the process of a run that runs this module, if there is one yet."""
    found = [pid for pid in processes_with(running.mark) if module in command(pid)]
    for pid in found:
        kill(pid)
    return bool(found)


@pytest.mark.parametrize("number", [9, 40])
def test_a_command_that_a_signal_ended_is_told_by_its_name(number: int, tmp_path: Path) -> None:
    command = f'command: [bash, -c, "kill -{number} $$"]'
    text = (
        f"title: x\nload: {{duration: 1s}}\nvariants:\n  serves: {{server: {{kind: command, {command}}}}}\n"
    )
    done, summary = run(tmp_path, text + f"  drives: {{load: {{driver: command, {command}}}}}\n")
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr
    for name in ("serves", "drives"):
        assert how_ended(-number) in json.dumps(summary["variants"][name]["caveats"])


def test_a_server_that_dies_is_refused_connections_and_told_of(tmp_path: Path) -> None:
    with start(tmp_path, LAST, "--json") as running:
        processes = running.event("processes")
        running.reaches(3 * TENTH_NS)
        for pid in processes["workers"]:
            kill(pid)
        done = running.finish()
    variant = invalid(done, "process_died")
    assert variant["metrics"]["errors.ECONNREFUSED"] > 0
    assert variant["metrics"]["load.time_ns"] > 9 * TENTH_NS  # The load went on.
    assert "the server ended before the load did, by SIGKILL" in json.dumps(variant["caveats"])
    intervals = lines(running.directory() / "main" / "intervals.jsonl")
    assert "connect:ECONNREFUSED" in {name for interval in intervals for name in interval["errors"]}
    whole(running.directory(), "main")


def test_one_of_two_workers_that_dies_is_told_of(tmp_path: Path) -> None:
    with start(tmp_path, LAST + "server: {workers: 2}", "--json") as running:
        workers = running.event("processes")["workers"]
        running.reaches(3 * TENTH_NS)
        kill(workers[0])
        done = running.finish()
    variant = invalid(done, "process_died")
    assert "a worker of the server" in json.dumps(variant["caveats"])
    whole(running.directory(), "main")


@pytest.mark.parametrize("module", ["loadgen.drivers", "loadgen.observe.sampler"])
def test_a_load_worker_or_sampler_that_dies_is_told_of(module: str, tmp_path: Path) -> None:
    with start(tmp_path, LAST, "--json") as running:
        running.reaches(3 * TENTH_NS)
        (pid,) = (pid for pid in processes_with(running.mark) if module.encode() in command(pid))
        kill(pid)
        done = running.finish()
    invalid(done, "process_died")
    assert status(running) == "finished"
    whole(running.directory(), "main")


def test_one_of_two_load_workers_that_dies_is_told_of_and_the_other_goes_on(tmp_path: Path) -> None:
    with start(
        tmp_path, LAST + "connection: {closer: client}", "--json", "--set", "load.workers=2"
    ) as running:
        pids = running.event("processes")["load_workers"]
        running.reaches(3 * TENTH_NS)
        kill(pids[1])
        done = running.finish()
    variant = invalid(done, "process_died")
    assert "the load worker 2 of 2 ended before the load did, by SIGKILL" in json.dumps(variant["caveats"])
    assert variant["metrics"]["load.time_ns"] > 9 * TENTH_NS
    last = lines(running.directory() / "main" / "intervals.jsonl")[-3:]
    assert any(interval["succeeded"] for interval in last)
    assert last[-1]["in_flight"] == 0
    whole(running.directory(), "main")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # It went with the one before it.
        os.kill(pid, signal.SIGKILL)


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # It ended meanwhile.
        return b""


def of_a_child(script: str, look: Callable[[Child[Any]], Any]) -> Any:
    """What `look` finds of a child that runs this script in place of a module."""

    async def main() -> Any:
        with open_lab(client_server_lab()) as lab:
            argv = [sys.executable, "-c", script]
            process = await Lab.spawn(lab, Side.CLIENT, argv, stdin=-1, stdout=-1, stderr=-1)
            async with asyncio.timeout(30):
                return await look(Child("child", process, dict[str, int]))

    return asyncio.run(main())


def test_half_a_line_of_a_killed_process_is_left_out() -> None:
    script = """
import os, signal, sys
sys.stdout.write('{"n": 1}\\\\n{"n": ')
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
""".replace("\\\\", "\\")

    async def look(child: Child[Any]) -> Any:
        return [line async for line in child.received()], (await child.died()).how

    assert of_a_child(script, look) == ([{"n": 1}], "by SIGKILL")


def test_a_process_that_falls_silent_is_given_up() -> None:
    async def look(child: Child[Any]) -> Any:
        return [line async for line in child.received(silence_s=1)], (await child.died()).how

    script = "import time; print('{}', flush=True); time.sleep(60)"
    assert of_a_child(script, look) == ([{}], "by SIGKILL")


# ---- what the machine lacks


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = SMALL + f"lab: {{topology: host}}\nserver: {{port: {taken.getsockname()[1]}}}"
        done = churn("run", write(tmp_path, text), "--json", "--no-figures", runs=tmp_path / "runs")
    invalid(done, "process_died")
    assert "cannot listen: " in done.stderr
    assert "Address already in use" in done.stderr


def test_a_sysctl_that_the_kernel_refuses_is_a_bad_scenario(tmp_path: Path) -> None:
    text = SMALL + "lab: {sysctl: {client: {net.ipv4.tcp_tw_reuse: 7}}}"
    done = churn("run", write(tmp_path, text), runs=tmp_path / "runs")
    assert done.code == 104, done.said
    assert "net.ipv4.tcp_tw_reuse = '7': Invalid argument" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("driver", "needed"), [("protocol", 464), ("aiohttp", 864)])
def test_few_descriptors_are_warned_of_and_counted(driver: str, needed: int, tmp_path: Path) -> None:
    load = "closed_loop: {connections: 400}, duration: 300ms, timeouts: {response: 1s}"
    text = f"title: few\nload: {{driver: {driver}, {load}}}\nserver: {{delay: 50ms}}"
    few = ["bash", "-c", 'ulimit -n 256; exec "$@"', "bash"]
    done, summary = run(tmp_path, text, before=few)
    assert f"descriptors: {needed} needed; limit 256" in done.stderr
    assert f"ulimit -Hn {needed}" in done.stderr
    variant = summary["variants"]["main"]
    assert variant["metrics"]["errors.EMFILE"] > 0
    assert exact(variant), variant["audit"]
    (path,) = (tmp_path / "runs").glob("*/main/intervals.jsonl")
    assert "bind:EMFILE" in {name for interval in lines(path) for name in interval["errors"]}


def test_a_server_without_descriptors_says_so(tmp_path: Path) -> None:
    load = "{closed_loop: {connections: 40}, duration: 500ms, timeouts: {response: 500ms}}"
    text = f"title: few\nload: {load}\nserver: {{delay: 100ms}}"
    with start(tmp_path, text, "--json") as running:
        (worker,) = running.event("processes")["workers"]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (20, 20))
        assert running.event("accept_error")["error"] == "EMFILE"
        done = running.finish()
    assert "Traceback" not in done.stderr
    assert exact(document(done.stdout)["variants"]["main"])


FULL = """
mkdir -p "$0" && mount -t tmpfs -o size=24k tmpfs "$0" && "$@"
code=$?; echo left: "$0"/* $(grep status "$0"/*/run.json); exit $code
"""


def test_a_full_disk_is_told_with_the_file_that_has_no_room(tmp_path: Path) -> None:
    # Who may not mount may be root of a user namespace of their own.
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-m", "-r"]
    before = [*unshare, "bash", "-c", FULL, str(tmp_path / "runs")]
    done = churn("run", write(tmp_path, LONG), runs=tmp_path / "runs", before=before)
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr
    assert "warn: disk: 0 MiB free" in done.stderr
    assert "No space left on device: " in done.stderr
    assert f"{tmp_path}/runs/" in done.stderr
    assert "-x" in done.stdout  # The directory is still there.
    assert '"status": "failed"' in done.stdout


def test_a_file_that_may_not_grow_ends_the_run_with_its_name(tmp_path: Path) -> None:
    before = ["bash", "-c", 'ulimit -f 16; exec "$@"', "bash"]
    with start(tmp_path, LONG, before=before) as running:
        done = running.finish()
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr
    assert "File too large: " in done.stderr
    assert "/a/" in done.stderr
    assert status(running) == "failed"
    whole(running.directory(), "a")
    # What there is is told all the same, and not as if it were all.
    assert re.search(r"^  a: .*; the client collects up to", done.stdout, re.MULTILINE)
    assert "the run did not come to its end" in " ".join(done.stdout.split())
    summary = document((running.directory() / "summary.json").read_text())
    assert (list(summary["variants"]), summary["valid"]) == (["a"], False)


def test_a_failure_leaves_what_earlier_variants_told(tmp_path: Path) -> None:
    refused = "{lab: {sysctl: {client: {net.ipv4.tcp_tw_reuse: 7}}}}"
    text = f"{SMALL}variants: {{good: {{}}, bad: {refused}, never: {{}}}}"
    done = churn("run", write(tmp_path, text), runs=tmp_path / "runs")
    assert done.code == 104, done.said
    assert "net.ipv4.tcp_tw_reuse = '7'" in done.stderr
    assert re.search(r"^  good: .*; the client collects up to", done.stdout, re.MULTILINE)
    assert "the run did not come to its end" in " ".join(done.stdout.split())
    (path,) = (tmp_path / "runs").iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "failed"
    summary = document((path / "summary.json").read_text())
    assert (list(summary["variants"]), summary["valid"]) == (["good"], False)
    assert summary["variants"]["good"]["valid"] is True
    again = churn("plot", "last", runs=tmp_path / "runs")
    assert again.code == 0, again.said
    assert document((path / "summary.json").read_text())["valid"] is False


def test_a_directory_that_cannot_be_made_is_a_usage_error(shared_path: Path) -> None:
    barred = shared_path / "barred"
    barred.mkdir(mode=0o555)
    scenario = write(shared_path, SMALL)
    for place in (barred / "runs", Path("/proc/runs")):
        done = churn("run", scenario, runs=place, ordinary=True)
        assert done.code == 2, done.said
        assert "Traceback" not in done.stderr
        assert str(place) in done.stderr
        assert "-o DIR" in done.stderr


def test_a_run_directory_that_goes_away_is_told(tmp_path: Path) -> None:
    with start(tmp_path, LAST) as running:
        running.reaches(3 * TENTH_NS)
        directory = running.directory()
        shutil.rmtree(directory)
        done = running.finish()
    assert done.code == 106, done.said
    assert "Traceback" not in done.stderr
    assert str(directory) in done.stderr


def test_a_connection_that_is_not_ours_shows_in_the_audit(tmp_path: Path) -> None:
    script = """
import os, socket, sys
from loadgen.lab.namespaces import enter_network, enter_user
enter_user(os.open(f"/proc/{sys.argv[1]}/ns/user", os.O_RDONLY))
enter_network(os.open(f"/proc/{sys.argv[1]}/ns/net", os.O_RDONLY))
socket.create_connection((sys.argv[2], 8080)).close()
"""
    with start(tmp_path, LAST, "--json", "--set", "load.duration=3s") as running:
        driver = running.event("processes")["driver"]
        (server,) = running.event("lab")["addresses"]["server"]
        running.reaches(TENTH_NS)
        subprocess.run([sys.executable, "-c", script, str(driver), server], check=True, timeout=30)
        done = running.finish()
    variant = invalid(done, "audit_differs")
    off = {line["what"]: line["theirs"] - line["ours"] for line in variant["audit"] if not line["exact"]}
    assert off["SYNs sent by the client"] == 1
    assert off["connections established"] == 1


def test_a_disk_that_is_full_at_the_end_keeps_the_status_true(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    info = made_info("status", status=Status.RUNNING, id="é", scenario={"status": "running"})
    directory.write_info(info)
    before = (tmp_path / "run.json").stat()
    for status in Status:
        with no_file_beyond(before.st_size):
            directory.write_status(status)
        assert directory.info() == structs.replace(info, status=status)
    after = (tmp_path / "run.json").stat()
    assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)
    with no_file_beyond(before.st_size), pytest.raises(OSError, match=r"File too large: .*summary\.json"):
        directory.write_summary(summary_document("x" * before.st_size, [], [], whole=True))
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@contextlib.contextmanager
def no_file_beyond(size: int) -> Generator[None]:
    """Within, no file of this process may grow beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_the_limit_on_descriptors_is_named(tmp_path: Path) -> None:
    scenario = write(tmp_path, SMALL)
    for limit in (20, 24, 28, 32):
        before = ["bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash"]
        done = churn("run", scenario, "--no-figures", runs=tmp_path / "runs", before=before)
        assert done.code == 106, done.said
        assert f"Too many open files: the limit is {limit} (ulimit -n)" in done.stderr
        assert "Traceback" not in done.stderr


# ---- odd surroundings


def test_a_working_directory_that_was_deleted_is_told(tmp_path: Path) -> None:
    before = ["bash", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', str(tmp_path / "gone")]
    for arguments in (("run", write(tmp_path, SMALL)), ("plot", "last"), ("doctor",)):
        done = churn(*arguments, before=before)
        assert done.code == 2, done.said
        assert done.stderr == (
            "the working directory cannot be used: No such file or directory; cd to one that exists\n"
        )


def test_control_characters_reach_no_terminal(tmp_path: Path) -> None:
    text = 'title: "a\\e[31mb"\nquestion: "q\\e]0;hi\\a\\u202e"\nload: {duration: 300ms, driver: command,'
    text += " command: [bash, -c, \"printf '\\e[2Jlast' >&2; exit 3\"]}\n"
    scenario = write(tmp_path, text)
    done = churn("check", scenario)
    assert (done.code, "a\\x1b[31mb" in done.stdout, "q\\x1b]0;hi\\x07\\u202e" in done.stdout) == (
        0,
        True,
        True,
    )
    ran = churn("run", scenario, runs=tmp_path / "runs")
    assert "ended with exit status 3: \\x1b[2Jlast" in " ".join(ran.stdout.split()), ran.said
    bad = churn("check", write(tmp_path, 'title: x\n"a\\e[31m\\nb": 1\n', name="bad"))
    assert "a\\x1b[31m\\nb: unknown key" in bad.stderr
    told = [done.stdout, ran.stdout, ran.stderr, bad.stderr, churn("plot", "\x1b[31m").stderr]
    assert not [each for each in told if set(each) & {"\x1b", "\x07", "\x9b", "\u202e"}]
    (drawn,) = (tmp_path / "runs").glob("*/figures/variants.svg")
    xml.dom.minidom.parse(str(drawn))


def test_a_console_neutralises_all_but_its_own_styles() -> None:
    out = StringIO()
    console = Screen(file=out, force_terminal=True, width=60)
    table = Table(box=None)
    table.add_column("h\x1b[1m")
    table.add_row("\x1b[2Jx")
    console.print(table, Text("\x9b31m", style="bold"))
    plain = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert all(word in plain for word in ("h\\x1b[1m", "\\x1b[2Jx", "\\x9b31m"))
    assert out.getvalue() != plain
    assert not set(plain) & {"\x1b", "\x9b"}


def test_files_of_our_names_where_the_user_is_are_not_taken_for_ours(tmp_path: Path) -> None:
    for name in ("servers", "loadgen", "plots", "scenarios"):
        (tmp_path / name).mkdir()
        for file in ("__init__.py", "__main__.py"):
            (tmp_path / name / file).write_text("raise SystemExit('taken for ours')")
    for name in ("json", "asyncio", "socket", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken for ours')")
    done, summary = run(tmp_path, SMALL, cwd=tmp_path)
    assert done.code == 0, done.said
    assert exact(summary["variants"]["main"])


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_a_standard_stream_that_is_closed_is_done_without(descriptor: int, tmp_path: Path) -> None:
    before = ["bash", "-c", f'exec "$@" {descriptor}>&-', "bash"]
    done = churn("run", write(tmp_path, SMALL), "--no-figures", runs=tmp_path / "runs", before=before)
    assert done.code == 0, done.said
    assert bool(done.stdout) is (descriptor != 1)
    assert bool(done.stderr) is (descriptor != 2)


def test_progress_that_nobody_reads_leaves_nothing_behind(tmp_path: Path) -> None:
    with start(tmp_path, LAST) as running:
        assert any("begins" in line for line in running.stderr)
        running.stderr.close()
        running.process.stderr = None
        running.finish()
    whole(running.directory(), "main")


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    with start(tmp_path, SMALL, "--json") as one, start(tmp_path, SMALL, "--json") as other:
        ended = [one.finish(), other.finish()]
    assert [done.code for done in ended] == [0, 0]
    documents = [document(done.stdout) for done in ended]
    made = {path.name for path in (tmp_path / "runs").iterdir()}
    assert made == {found["run"] for found in documents}
    assert len(made) == 2
    assert all(exact(found["variants"]["main"]) for found in documents)


# ---- odd scenarios

ODD = {
    "nothing": "load: {open_loop: {rate: 0.01/s, arrivals: poisson}, duration: 100ms}",
    "one-port": "lab: {client: {ports: 40000-40000}}, connection: {closer: client},"
    " load: {closed_loop: {connections: 1}}",
    "slow": "server: {delay: 1s}, load: {timeouts: {response: 200ms}}",
    "idle": "server: {idle_timeout: 50ms}, connection: {requests: 10, think: 10s, closer: client},"
    " load: {duration: 600ms}",
    "crowded": "server: {backlog: 1, delay: 10ms},"
    " load: {closed_loop: {connections: 200}, timeouts: {connect: 300ms}}",
    "big": "server: {response: 4MiB}",
}
CLOSES = {"slow": "; the client closes first by RST; no side collects TIME-WAIT", "idle": "; the server "}
"""Who ended connections, which is not the closer of the scenario."""
ERRORS = {"one-port": "errors.EADDRNOTAVAIL", "slow": "errors.TIMEOUT", "crowded": "errors.TIMEOUT"}


def test_odd_scenarios_are_audited_like_any(tmp_path: Path) -> None:
    text = "title: odd\nload: {closed_loop: {connections: 10}, duration: 300ms}\nvariants:\n"
    text += "".join(f"  {name}: {{{settings}}}\n" for name, settings in ODD.items())
    done, summary = run(tmp_path, text + "matrix: {load.driver: [protocol, aiohttp]}")
    assert done.code == 0, done.said
    assert len(summary["variants"]) == 2 * len(ODD)
    for name, variant in summary["variants"].items():
        assert exact(variant), (name, variant["audit"])
        metrics = variant["metrics"]
        assert metrics["attempts"] == metrics["succeeded"] + metrics["errors.total"]
        kinds = {key for key in metrics if key.startswith("errors.")} - {"errors.total"}
        assert kinds == {ERRORS[odd] for odd in ERRORS if name.startswith(odd)}, name
        # A close by the server between two exchanges is a fair one, and no error; but not what was asked for.
        assert not name.startswith("idle") or "closer_differs" in caveats(variant)
        told = next((words for odd, words in CLOSES.items() if name.startswith(odd)), "")
        assert told in variant["verdict"], name


@pytest.mark.parametrize("driver", ["uring", "protocol", "aiohttp"])
def test_a_server_that_ends_connections_as_the_client_leaves_is_audited(tmp_path: Path, driver: str) -> None:
    text = "title: race\nload: {closed_loop: {connections: 100}}\n"
    text += "connection: {requests: 10, think: 1s, closer: client}\nvariants:\n"
    for ms in range(300, 318, 2):
        text += f"  idle{ms}: {{load: {{duration: {ms}ms}}, server: {{idle_timeout: 300ms}}}}\n"
    for ms in (199, 200, 201):
        text += f"  late{ms}: {{load: {{duration: 300ms, timeouts: {{response: {ms}ms}}}},"
        text += " server: {delay: 200ms}, connection: {requests: 1, think: 0s, closer: server}}\n"
    done, summary = run(tmp_path, text, "--set", f"load.driver={driver}")
    assert done.code == 0, done.said
    for name, variant in summary["variants"].items():
        assert exact(variant), (name, variant["audit"])
        raced = any(line["by_races"] for line in variant["audit"])
        # What the driver cannot see itself is named, and nothing else is.
        named = {"closed_by_both", "ended_by_reset", "data_after_close", "never_accepted"}
        assert bool(named & {*caveats(variant)}) is raced, name


# ---- a bug


class Clumsy:
    """A watcher with a bug: it falls at the second variant's first sample."""

    def __enter__(self) -> "Clumsy":
        return self

    def __exit__(self, *_: object) -> None: ...

    def variant_begins(self, variant: Variant, *_: object) -> None:
        self._fails = variant.name == "b"

    def record(self, record: object) -> None:
        if self._fails and isinstance(record, Sample):
            raise RuntimeError("a bug")

    def variant_ends(self, *_: object) -> None: ...


def test_a_bug_is_the_runs_failure_and_what_was_recorded_is_summarised(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL + "variants: {a: {}, b: {}, c: {}}")
    directory = create_directory(tmp_path / "runs", path)
    watched = run_scenario(load_scenario(path), directory, Clumsy(), asyncio.Event(), quick=False)
    outcome = asyncio.run(watched)
    assert isinstance(outcome.failure, RuntimeError)
    assert [(summary.name, summary.valid) for summary in outcome.summaries] == [("a", True), ("b", False)]
    assert directory.info().status is Status.FAILED
    assert json.loads((directory.path / "summary.json").read_text())["valid"] is False
