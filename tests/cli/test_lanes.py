"""Scenarios side by side: their exit codes, reports and verdicts, and how they are stopped."""

import json
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.cli import gallery, main
from loadgen.cli.exits import Exit
from loadgen.cli.lanes import run_in_lanes
from loadgen.cli.lanes_view import LiveLanes, picture
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


class Looker:
    """Keeps what it is shown, and stops the run once `stop` of them have begun."""

    def __init__(self, stop: int = 0) -> None:
        self.seen: list[tuple[str, str]] = []
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
        if " of " in line and "conn/s" in line and name not in self._loads:
            self._loads.add(name)
            if len(self._loads) == self._stop:
                os.kill(os.getpid(), signal.SIGINT)

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
    ended = run_in_lanes(paths, [f"--output={runs}", "--no-figures"], looker, lanes=2)
    assert {(one.name, one.code) for one in ended} == {
        ("first", Exit.INTERRUPTED),
        ("second", Exit.INTERRUPTED),
    }
    assert looker.most == 2
    assert "third" not in dict(looker.seen)
    for run in runs.iterdir():
        assert document((run / "run.json").read_text())["status"] == "interrupted"
        assert document((run / "summary.json").read_text())["variants"]["main"]["metrics"]["connected"] > 0


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
