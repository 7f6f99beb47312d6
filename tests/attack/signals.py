"""Signals at random instants to random processes of a run: `python -m tests.attack.signals [ROUNDS [SEED]]`.

Each round begins a short run and sends one signal. Whatever it hits, churn ends by itself, with a code of the
contract, without a traceback; nothing is left of it, and run.json says how it ended.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadgen.cli.exits import Exit
from loadgen.wire.exit_status import signal_name
from tests.command import Done, Running, eventually, processes_with

SCENARIO = """
title: short
load: {closed_loop: {connections: 4}, duration: 500ms}
connection: {closer: client}
variants:
  own: {}
  command: {server: {kind: command, command: ["{python}", -P, -m, http.server, "{port}"]}}
"""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
HARMLESS = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT)
PAUSING = (signal.SIGSTOP, signal.SIGTSTP)
"""Followed by SIGCONT."""
DEADLY = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGUSR1, signal.SIGALRM, 40)
"""What no main process of churn survives; its children then die with it."""
SIGNALS = (*STOPPING, *HARMLESS, *PAUSING, *DEADLY)
ENDS = (Exit.FINE, Exit.USAGE, Exit.INTERRUPTED, Exit.INVALID)
"""What a run of a good scenario may exit with; USAGE where its streams or figures cannot be written."""
MAIN_SHARE = 0.4
"""Of the signals go to churn itself, the others to a process that it has begun."""
FIGURES_SHARE = 0.3
LATEST_S = 4.0
PAUSE_S = 0.5
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Shot:
    """One signal: which, to whom, and how long after churn has taken its signals in hand."""

    number: int
    to_main: bool
    after_s: float
    figures: bool
    lot: float
    """Picks the process, in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Round:
    """What was sent to which process, how churn ended, and what is wrong with that."""

    shot: Shot
    victim: str
    done: Done | None
    faults: tuple[str, ...]

    def __str__(self) -> str:
        code = self.done.code if self.done else "none"
        sent = f"{signal_name(self.shot.number)} to {self.victim} after {self.shot.after_s:.2f} s"
        return f"{sent}: exit {code}" + "".join(f"\n    {fault}" for fault in self.faults)


def shots(rounds: int, seed: int) -> Iterator[Shot]:
    lots = random.Random(seed)
    for _ in range(rounds):
        yield Shot(
            number=lots.choice(SIGNALS),
            to_main=lots.random() < MAIN_SHARE,
            after_s=lots.uniform(0, LATEST_S),
            figures=lots.random() < FIGURES_SHARE,
            lot=lots.random(),
        )


def attack(rounds: int, seed: int, folder: Path) -> Iterator[Round]:
    """Make so many rounds with runs below `folder`, each told when it has ended."""
    scenario = folder / "signals.yaml"
    scenario.write_text(SCENARIO)
    for number, shot in enumerate(shots(rounds, seed)):
        yield _round(shot, scenario, folder / f"runs{number}")


def _round(shot: Shot, scenario: Path, runs: Path) -> Round:
    before, faults = _host(), list[str]()
    options = ("--variant", "own") if shot.figures else ("--no-figures",)
    done: Done | None = None
    # A core would be written to where the run was begun.
    nothing_dumped = ["bash", "-c", 'ulimit -c 0; exec "$@"', "bash"]
    with Running(
        "run", scenario, *options, runs=runs, before=nothing_dumped, start_new_session=True
    ) as running:
        eventually(lambda: _takes_signals(running.process.pid), "churn took no signal")
        time.sleep(shot.after_s)
        victim = _victim(shot, running)
        name = _name(victim)
        _send(victim, shot.number)
        if shot.number in PAUSING:
            time.sleep(PAUSE_S)
            _send(victim, signal.SIGCONT)
        try:
            done = running.finish()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            faults.append(f"did not end, or left something: {error}")
    hit_main = victim == running.process.pid
    if done is not None:
        faults += _wrong(done, runs, shot.number if hit_main and shot.number in DEADLY else None)
    if _host() != before:
        faults.append("links or named namespaces are left on the host")
    return Round(shot, name, done, tuple(faults))


def _wrong(done: Done, runs: Path, deadly: int | None) -> Iterator[str]:
    if done.code not in ENDS and (deadly is None or done.code != -deadly):
        yield f"exit {done.code} is none of {[*map(int, ENDS)]}: {done.stderr[-500:]}"
    if any(word in done.stderr for word in ("Traceback", "Exception ignored")):
        yield f"a bug, on stderr: {done.stderr[-2000:]}"
    for path in runs.glob("*/run.json"):
        if json.loads(path.read_text())["status"] == "running" and deadly is None:
            yield "run.json says that it is running"


def _takes_signals(pid: int) -> bool:
    """Whether the process has a handler for SIGHUP: the interpreter has none of its own."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGHUP - 1) & 1)
    return False


def _victim(shot: Shot, running: Running) -> int:
    """The process to hit: where it is none of churn's own, one of those that are there as soon as any are."""
    main = running.process.pid

    def others() -> list[int] | None:
        found = sorted(set(processes_with(running.mark)) - {main})
        return found or ([main] if running.process.poll() is not None else None)

    if shot.to_main:
        return main
    found = eventually(others, "churn began no process")
    return found[int(shot.lot * len(found))]


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(words[1:3] if words[1:2] != ["-P"] else words[3:4])
    return "a process that has ended"


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _host() -> tuple[object, ...]:
    named = Path("/run/netns")
    return (socket.if_nameindex(), sorted(named.iterdir()) if named.is_dir() else [])


def main(arguments: list[str]) -> int:
    rounds, seed = (*map(int, arguments), *(ROUNDS, 1)[len(arguments) :])
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for each in attack(rounds, seed, Path(folder)):
            print(each, flush=True)
            failed += bool(each.faults)
    print(f"{rounds} rounds of seed {seed}, {failed} with faults")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
