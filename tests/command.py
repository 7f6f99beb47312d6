"""The `churn` command as its users start it: a process of its own, whose every descendant carries a mark.

Run it to its end with `churn("check", "http10")`, or meddle with it in a block of `Running`.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from tests.unprivileged import as_ordinary_user

CHURN = str(Path(sys.executable).with_name("churn"))
LIMIT_S = 180.0
"""Bounds what is awaited; on a calm machine nothing takes a sixth of it."""
POLL_S = 0.02

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


class Running:
    """A command under way. Leaving the block kills what is left of it."""

    def __init__(
        self,
        *arguments: object,
        runs: Path | None = None,
        cwd: Path | None = None,
        ordinary: bool = False,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """`runs` is for -o. `before` goes in front of the command, as `unshare -m` does; `ordinary` takes
        away the privilege it would have."""
        value = str(uuid.uuid4())
        self.mark = f"CHURN_TEST={value}"
        # A shell that put the tests in its background had them ignore SIGINT, and churn would do likewise.
        argv = [
            "env",
            "--default-signal",
            *before,
            CHURN,
            *map(str, arguments),
            *(("-o", str(runs)) if runs else ()),
        ]
        self.runs = runs or Path(cwd or ".") / "runs"
        self.process = subprocess.Popen(
            as_ordinary_user(argv) if ordinary else argv,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {}), "CHURN_TEST": value},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def stderr(self) -> IO[str]:
        assert self.process.stderr is not None
        return self.process.stderr

    def finish(self) -> Done:
        """Wait for its end, and see that nothing of it is left: neither process nor namespace."""
        stdout, stderr = self.process.communicate(timeout=LIMIT_S)
        # A namespace of a lab is held by marked processes alone.
        eventually(lambda: not processes_with(self.mark), "a process outlived churn")
        return Done(self.process.returncode, stdout or "", stderr or "")

    def directory(self) -> Path:
        """The run directory, as soon as there is one."""
        return eventually(lambda: next(self.runs.glob("*/run.json"), None), "no run began").parent

    def event(self, kind: str, variant: str = "main") -> dict[str, Any]:
        """A variant's first event of this kind, as soon as it is recorded."""
        path = self.directory() / variant / "events.jsonl"

        def found() -> dict[str, Any] | None:
            return next((line for line in lines(path) if line["type"] == kind), None)

        return eventually(found, f"no event {kind!r}")

    def reaches(self, t_ns: int, variant: str = "main") -> int:
        """Wait until a variant's load has counted up to `t_ns`; returns how far it is."""
        return self._passes(t_ns, variant, "intervals.jsonl", "end_ns")

    def sampled(self, t_ns: int, variant: str = "main") -> int:
        """Wait until a variant has been sampled at `t_ns`; returns how far it is."""
        return self._passes(t_ns, variant, "samples.jsonl", "t_ns")

    def _passes(self, t_ns: int, variant: str, name: str, key: str) -> int:
        path = self.directory() / variant / name

        def passed() -> int | None:
            times = [line[key] for line in lines(path)]
            return times[-1] if times and times[-1] >= t_ns else None

        return eventually(passed, f"{name} did not reach {t_ns} ns")


def churn(*arguments: object, **options: Any) -> Done:
    """Run a command to its end."""
    with Running(*arguments, **options) as running:
        return running.finish()


def eventually(condition: Callable[[], T | None], failure: str) -> T:
    """The condition's value, once it is true."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, failure
        time.sleep(POLL_S)
    return value


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a record file that may still grow."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def document(text: str) -> dict[str, Any]:
    """A text that is one JSON object as the standard has it, without NaN or Infinity."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def processes_with(mark: str) -> list[int]:
    """The processes whose environment holds the mark."""

    def environment(process: Path) -> bytes:
        try:
            return (process / "environ").read_bytes()
        except OSError:  # It ended meanwhile, or is another user's.
            return b""

    own = [process for process in Path("/proc").iterdir() if process.name.isdecimal()]
    return [int(process.name) for process in own if mark.encode() in environment(process)]
