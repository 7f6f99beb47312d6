"""Scenarios side by side: each is a `churn run` of its own, with its own lab and run directory."""

import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Protocol

from loadgen.analysis.claims import RunClaims
from loadgen.cli.exits import Exit
from loadgen.cli.signals import stop_signals
from loadgen.lab.namespaces import die_with
from loadgen.lab.sessions import interrupts_wait, leave_terminal
from loadgen.wire.codec import decode

LANES = 3
"""So many at a time: the start of a variant takes a core for a second, and more often start together."""
CHUNK = 65536
LAST_S = 30.0
"""For a lane to end the variant that runs and to summarise it, before it is killed."""


class View(Protocol):
    """What is shown while lanes run; entered for that long."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def begins(self, name: str) -> None: ...

    def says(self, name: str, line: str) -> None: ...

    def ends(self, name: str, code: Exit, report: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a scenario ended; `claims` are its verdicts, None if it has none."""

    name: str
    code: Exit
    claims: RunClaims | None


class _Lane:
    """A scenario that runs: its process, and what it has printed. `open`: of stdout and stderr so many."""

    def __init__(self, path: Path, options: Sequence[str], folder: Path) -> None:
        self.name = path.stem
        self.open = 2
        self._verdicts = folder / f"{path.stem}.json"
        self._printed = b""
        self._unfinished = b""
        parent = os.getpid()

        def enter() -> None:
            leave_terminal()
            die_with(parent)
            # Until its `restore_signals`: a SIGINT while it imports would end it with a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

        # -P: our modules, and never those of the directory that the user is in.
        argv = [sys.executable, "-P", "-m", "loadgen.cli", "run", *options]
        with interrupts_wait():
            self._process = subprocess.Popen(
                [*argv, "--verdicts", self._verdicts, "--", path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=enter,
            )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout, self.stderr = self._process.stdout.fileno(), self._process.stderr.fileno()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def drain(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic), and drop what it prints."""
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=max(0.0, deadline - monotonic()))

    def kill(self) -> None:
        self._process.kill()
        with self._process:
            pass

    def printed(self, data: bytes) -> None:
        self._printed += data

    def lines(self, data: bytes) -> list[str]:
        """The lines of stderr that `data` completes; at the end of stderr, what is left."""
        *whole, self._unfinished = (self._unfinished + data).split(b"\n")
        if not data and self._unfinished:
            whole.append(self._unfinished)
        return [line.decode(errors="replace") for line in whole]

    def end(self) -> tuple[Exit, str, RunClaims | None]:
        """Wait for its end. Its exit code, its report, and its verdicts."""
        with self._process:
            code = self._process.wait()
        found = self._verdicts.exists()
        claims = decode(self._verdicts.read_bytes(), RunClaims) if found else None
        return _exit(code), self._printed.decode(errors="replace"), claims


def _exit(code: int) -> Exit:
    """The exit code of a churn. One that a signal ended is a bug, except by a second SIGINT."""
    if code == -signal.SIGINT:
        return Exit.INTERRUPTED
    return Exit(code) if code in frozenset(Exit) else Exit.BUG


class _Lanes:
    """The scenarios that run, and those that have ended."""

    def __init__(self, view: View, options: Sequence[str], folder: Path) -> None:
        self.ended: list[Ended] = []
        self.running: list[_Lane] = []
        self.stopped = 0
        self._view = view
        self._options = options
        self._folder = folder
        self._selector = selectors.DefaultSelector()

    def interrupt(self) -> None:
        """For a stop signal: the first ends all in order, a second one at once."""
        self.stopped += 1
        for lane in self.running:
            lane.interrupt()

    def begin(self, path: Path) -> None:
        self._view.begins(path.stem)
        try:
            lane = _Lane(path, self._options, self._folder)
        except OSError as error:  # no memory, or too many processes or files: the others run on
            self._view.says(path.stem, f"cannot start a process: {error.strerror}")
            self._view.ends(path.stem, Exit.INVALID, "")
            self.ended.append(Ended(path.stem, Exit.INVALID, None))
            return
        self.running.append(lane)
        if self.stopped:  # since the caller looked
            lane.interrupt()
        for descriptor in (lane.stdout, lane.stderr):
            self._selector.register(descriptor, selectors.EVENT_READ, lane)

    def read(self) -> None:
        """Wait until one has printed something, or has ended."""
        for key, _ in self._selector.select():
            lane: _Lane = key.data
            data = os.read(key.fd, CHUNK)
            if not data:
                self._selector.unregister(key.fd)
                lane.open -= 1
            if key.fd == lane.stdout:
                lane.printed(data)
            else:
                for line in lane.lines(data):
                    self._view.says(lane.name, line)
            if not lane.open:
                self._end(lane)

    def close(self) -> None:
        """End what is left if this fails, as when stdout has no reader: in order, after LAST_S at once."""
        try:
            if not self.stopped:
                for lane in self.running:
                    lane.interrupt()
            deadline = monotonic() + LAST_S
            for lane in self.running:
                lane.drain(deadline)
        finally:
            for lane in self.running:
                lane.kill()
            self._selector.close()

    def _end(self, lane: _Lane) -> None:
        code, report, claims = lane.end()
        self.running.remove(lane)
        self._view.ends(lane.name, code, report)
        self.ended.append(Ended(lane.name, code, claims))


def run_in_lanes(
    paths: Sequence[Path], options: Sequence[str], view: View, lanes: int = LANES
) -> tuple[Sequence[Ended], bool]:
    """Run scenarios, `lanes` at a time, in this order.

    How each that began ended, in the order of their ends; and whether a stop signal came: the codes need not
    show it, because a churn that has decided its code ignores signals. `options` are those of `churn run`.
    A stop signal ends all that run in order, a second one at once, and no other begins.
    """
    waiting = deque(paths)
    with TemporaryDirectory(prefix="churn-") as folder, view:
        going = _Lanes(view, options, Path(folder))
        try:
            with stop_signals(going.interrupt):
                while going.running or (waiting and not going.stopped):
                    while waiting and len(going.running) < lanes and not going.stopped:
                        going.begin(waiting.popleft())
                    # None runs if a signal came just now, or if none could start.
                    if going.running:
                        going.read()
        finally:
            going.close()
    return going.ended, going.stopped > 0
