"""Scenarios side by side: their exit codes, reports and verdicts, and how they are stopped."""

import errno
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.analysis.claims import RunClaims
from loadgen.cli import gallery, lanes, main
from loadgen.cli.exits import Exit
from loadgen.cli.lanes import Ended, run_in_lanes
from loadgen.cli.lanes_view import LiveLanes, picture
from loadgen.cli.streams import StreamError
from tests.command import document

PACED = """
title: {name}
load: {{open_loop: {{rate: 20/s, late: 60s}}, duration: {duration}}}
connection: {{closer: client}}
claims: {{{claim}: {{confirmed: [connected@main > 0]}}}}
"""


def written(folder: Path, name: str, *, duration: str = "300ms", claim: str = "C3", more: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(PACED.format(name=name, duration=duration, claim=claim) + more)
    return path


def interrupt() -> None:
    # Not SIGINT: of a test run in the background that is ignored.
    os.kill(os.getpid(), signal.SIGTERM)


class Looker:
    """Keeps what it is shown, and stops the run once `stop` of them have begun."""

    def __init__(self, stop: int = 0) -> None:
        self.seen: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.most = 0
        self._now: set[str] = set()
        self._stop = stop
        self._loads: set[str] = set()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def begins(self, name: str) -> None:
        self._now.add(name)
        self.most = max(self.most, len(self._now))
        self.seen.append((name, "begins"))

    def says(self, name: str, line: str) -> None:
        self.lines.append(line)
        if " of " in line and "conn/s" in line and name not in self._loads:
            self._loads.add(name)
            if len(self._loads) == self._stop:
                self.stop()

    def stop(self) -> None:
        interrupt()

    def ends(self, name: str, code: Exit, report: str) -> None:  # noqa: ARG002
        self._now.remove(name)
        self.seen.append((name, report))


def test_two_run_beside_each_other_and_what_cannot_run_keeps_nobody_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = "server: {kind: command, command: [no-such-program]}"
    paths = {
        "first": written(tmp_path, "first"),
        "missing": written(tmp_path, "missing", more=command),
        "second": written(tmp_path, "second", claim="C18"),
    }
    monkeypatch.setattr(gallery, "bundled", lambda: paths)
    runs = tmp_path / "runs"
    result = CliRunner().invoke(main, ["run", "--all", "--no-figures", "-o", str(runs)])
    assert result.exit_code == 106, result.output
    assert "missing: exit code 106" in result.stderr
    assert "missing: no-such-program" in result.stderr or "no-such-program" in result.stderr
    reports, _, table = result.stdout.rpartition("claims, and what decides them")
    assert "first" in reports
    assert "second" in reports
    assert "C3" in table
    assert "C18" in table
    assert len(list(runs.glob("*/summary.json"))) == 2


def test_as_json_there_are_the_verdicts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {name: written(tmp_path, name) for name in ("first", "second")}
    monkeypatch.setattr(gallery, "bundled", lambda: paths)
    arguments = ["run", "--all", "--json", "--no-figures", "--set", "load.duration=200ms"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    assert [(run["valid"], run["claims"][0]["verdict"]) for run in json.loads(result.stdout)] == [
        (True, "confirmed"),
        (True, "confirmed"),
    ]
    for run in (tmp_path / "runs").iterdir():
        (variant,) = document((run / "run.json").read_text())["scenario"]["variants"]
        assert variant["load"]["duration"] == "200ms"


def test_ctrl_c_ends_all_that_run_in_order_and_no_other_begins(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, duration="10min") for name in ("first", "second", "third")]
    looker = Looker(stop=2)
    runs = tmp_path / "runs"
    ended, stopped = run_in_lanes(paths, [f"--output={runs}", "--no-figures"], looker, lanes=2)
    assert stopped
    assert {(one.name, one.code) for one in ended} == {
        ("first", Exit.INTERRUPTED),
        ("second", Exit.INTERRUPTED),
    }
    assert looker.most == 2
    assert "third" not in dict(looker.seen)
    for run in runs.iterdir():
        assert document((run / "run.json").read_text())["status"] == "interrupted"
        assert document((run / "summary.json").read_text())["variants"]["main"]["metrics"]["connected"] > 0


def fake_processes(monkeypatch: pytest.MonkeyPatch, refused: Sequence[str] = ()) -> None:
    """Lanes whose churn does nothing and exits with 0; of some the system refuses the process."""
    popen: type[subprocess.Popen[bytes]] = subprocess.Popen

    def start(argv: Sequence[Any], **options: Any) -> "subprocess.Popen[bytes]":
        if Path(argv[-1]).stem in refused:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return popen(["true"], **options)

    monkeypatch.setattr(subprocess, "Popen", start)


class LateStop(Looker):
    """A stop signal when a lane has decided its exit code."""

    def ends(self, name: str, code: Exit, report: str) -> None:
        super().ends(name, code, report)
        interrupt()


def test_a_ctrl_c_that_no_lane_handles_skips_the_rest_as_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = written(tmp_path, "alone", more="alone: true")
    paths = {name: written(tmp_path, name) for name in ("first", "second")} | {"alone": alone}
    looker = LateStop()

    def one_lane(paths: Sequence[Path], options: Sequence[str], _: object) -> tuple[Sequence[Ended], bool]:
        return run_in_lanes(paths, options, looker, lanes=1)

    monkeypatch.setattr(gallery, "bundled", lambda: paths)
    monkeypatch.setattr(lanes, "run_in_lanes", one_lane)
    fake_processes(monkeypatch)
    runs = tmp_path / "runs"
    result = CliRunner().invoke(main, ["run", "--all", "--no-figures", "-o", str(runs)])
    assert result.exit_code == Exit.INTERRUPTED, result.output
    assert looker.seen == [("first", "begins"), ("first", "")]
    assert not runs.exists()


class EarlyStop(Looker):
    """A stop signal just before the process of a lane begins."""

    def begins(self, name: str) -> None:
        super().begins(name)
        interrupt()


def test_a_lane_that_is_stopped_while_it_imports_prints_no_traceback(tmp_path: Path) -> None:
    looker = EarlyStop()
    paths = [written(tmp_path, name, duration="10min") for name in ("first", "second")]
    ended, stopped = run_in_lanes(paths, [f"--output={tmp_path / 'runs'}"], looker)
    assert stopped
    assert ended == [Ended("first", Exit.INTERRUPTED, None)]
    assert looker.lines == ["interrupted"]


def test_a_lane_that_cannot_start_keeps_nobody_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_processes(monkeypatch, refused=("none", "last"))
    looker = Looker()
    ended, stopped = run_in_lanes([Path("none"), Path("runs"), Path("last")], [], looker, lanes=1)
    assert not stopped
    assert [(one.name, one.code) for one in ended] == [
        ("none", Exit.INVALID),
        ("runs", Exit.FINE),
        ("last", Exit.INVALID),
    ]
    assert looker.lines == ["cannot start a process: Resource temporarily unavailable"] * 2


class GoneReader(Looker):
    """Stderr, or stdout, has no reader any more."""

    def stop(self) -> None:
        raise StreamError


def test_when_nobody_reads_any_more_the_lanes_end_in_order(tmp_path: Path) -> None:
    paths = [written(tmp_path, name, duration="10min") for name in ("first", "second")]
    runs = tmp_path / "runs"
    with pytest.raises(StreamError):
        run_in_lanes(paths, [f"--output={runs}", "--no-figures"], GoneReader(stop=2))
    statuses = [document((run / "run.json").read_text())["status"] for run in runs.iterdir()]
    assert statuses == ["interrupted", "interrupted"]


def test_verdicts_come_in_the_order_of_the_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {name: written(tmp_path, name) for name in ("first", "second", "third")}

    def other_order(paths: Sequence[Path], *_: object) -> tuple[Sequence[Ended], bool]:
        names = [path.stem for path in paths]
        return [
            Ended(name, Exit.FINE, RunClaims(run=name, valid=True, claims=())) for name in names[::-1]
        ], False

    monkeypatch.setattr(gallery, "bundled", lambda: paths)
    monkeypatch.setattr(lanes, "run_in_lanes", other_order)
    result = CliRunner().invoke(main, ["run", "--all", "--json", "-o", str(tmp_path / "runs")])
    assert [run["run"] for run in json.loads(result.stdout)] == list(paths)


def test_the_live_view_has_a_line_for_each_and_the_names_of_those_that_follow() -> None:
    console = Console(width=40, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(picture({"one": ["starts", "main: 3 of 5 s" + "x" * 99], "two": ["starts"]}, ["three"]))
    one, two, then = console.export_text().splitlines()
    assert one.startswith("▶ one  main: 3 of 5 s")
    assert len(one) <= 40
    assert two.rstrip() == "▶ two  starts"
    assert then.rstrip() == "  then three"


def test_on_a_terminal_the_end_of_what_failed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with open(os.devnull, "w") as null:
        view = LiveLanes(Console(file=null, force_terminal=True), ["one", "two"], quiet=False)
        with view:
            for name in ("one", "two"):
                view.begins(name)
                view.says(name, f"what {name} printed")
            view.ends("one", Exit.INVALID, "the report of one")
            view.ends("two", Exit.FINE, "the report of two")
    shown = capsys.readouterr()
    assert shown.out == "the report of one\nthe report of two\n"
    assert "one: what one printed\none: exit code 106\n" in shown.err
    assert "what two printed" not in shown.err
