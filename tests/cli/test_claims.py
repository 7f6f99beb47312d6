"""`churn claims` and the gallery's runs: one table of many runs, and the most serious of their exit codes."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import gallery, main
from loadgen.cli.exits import Exit, worst
from loadgen.records.directory import RunDirectory
from loadgen.records.info import Status
from loadgen.scenario.claim import Claim
from loadgen.scenario.document import Scenario
from loadgen.scenario.expectation import Expectation
from loadgen.scenario.schema import resolved
from loadgen.tcp import State
from loadgen.text.problem import Mark
from tests.command import Done
from tests.made_records import S, ended, interval, made_info, sample, side, variant


def invoke(*arguments: object) -> Done:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return Done(result.exit_code, result.stdout, result.stderr)


def compared(text: str) -> tuple[Expectation, ...]:
    return (Expectation.parse(text, Mark("x.yaml", 1, 1)),)


CLAIMS = (
    Claim(
        id="C17",
        confirmed=compared("client.time_wait.max@main == 7"),
        refuted=compared("client.time_wait.max@main == 8"),
    ),
    Claim(id="C2", confirmed=compared("server.time_wait.max@main == 0")),
    Claim(id="C4"),
)


def recorded(runs: Path, name: str, waiting: int, claims: Sequence[Claim] = CLAIMS) -> RunDirectory:
    """A run of one variant whose client had so many TIME-WAITs."""
    run = RunDirectory(runs / name)
    run.path.mkdir(parents=True)
    scenario = resolved(Scenario(title="t", variants=(variant(),), claims=tuple(claims)))
    run.write_info(made_info("main", id=name, status=Status.FINISHED, scenario=scenario))
    with run.writer("main") as writer:
        waits = side({State.TIME_WAIT: waiting}, counters={"TW": waiting})
        for record in (sample(-S), interval(0, waiting), sample(S, waits), *ended(S)):
            writer.append(record)
    return run


def test_the_verdicts_of_many_runs_make_one_table(tmp_path: Path) -> None:
    recorded(tmp_path, "first", 7)
    recorded(tmp_path, "second", 8)
    recorded(tmp_path, "third", 9)
    done = invoke("claims", "first", "second", "third", "-o", tmp_path)
    assert done.code == 0, done.said
    rows = [line.split() for line in done.stdout.splitlines() if " C" in line[:8]]
    assert [row[:3] for row in rows] == [
        *([["✔", "C2", "confirmed"]] * 3),
        ["≠", "C17", "confirmed"],
        ["✔", "C17", "refuted"],
        ["✘", "C17", "undecided"],
    ]
    assert "expected: refuted" in done.stdout
    assert "client.time_wait.max@main == 8 (8 == 8)" in done.stdout
    assert "not confirmed: client.time_wait.max@main == 7 (9 == 7 is false)" in done.stdout
    assert "C4" not in done.stdout


def test_the_table_as_data_and_as_markdown(tmp_path: Path) -> None:
    recorded(tmp_path, "first", 8)
    (run,) = json.loads(invoke("claims", "first", "--json", "-o", tmp_path).stdout)
    assert run["run"] == "first"
    assert [(claim["claim"], claim["verdict"], claim["expected"]) for claim in run["claims"]] == [
        ("C17", "refuted", "refuted"),
        ("C2", "confirmed", "confirmed"),
    ]
    (ground,) = run["claims"][0]["grounds"]
    assert (ground["left"], ground["right"], ground["passed"]) == (8, 8, True)
    head, rule, *rows = invoke("claims", "first", "--markdown", "-o", tmp_path).stdout.splitlines()
    assert (head.count("|"), rule.count("|"), len(rows)) == (7, 7, 2)
    assert all(row.count("|") == 7 for row in rows)


def test_a_run_that_decides_none_and_one_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    recorded(tmp_path, "none", 8, claims=())
    done = invoke("claims", "none", "-o", tmp_path)
    assert (done.code, done.stdout) == (0, "")
    assert "none: its scenario decides no claim" in done.stderr
    recorded(tmp_path, "whole", 8)
    broken = recorded(tmp_path, "broken", 8)
    (broken.path / "run.json").write_text("{")
    done = invoke("claims", "broken", "whole", "-o", tmp_path)
    assert done.code == 2
    assert "broken/run.json" in done.stderr
    assert "C17" in done.stdout


def test_a_claim_that_this_churn_does_not_know_is_reported_by_file_and_key(tmp_path: Path) -> None:
    run = recorded(tmp_path, "newer", 8)
    path = run.path / "run.json"
    path.write_text(path.read_text().replace('"C17"', '"C999"'))
    done = invoke("claims", "newer", "-o", tmp_path)
    assert done.code == 2
    assert done.stderr == f'{path}: scenario.claims.0.id: this churn knows no such value: "C999"\n'


def test_a_verdict_of_an_invalid_run_is_marked(tmp_path: Path) -> None:
    run = recorded(tmp_path, "cut", 8)
    run.write_status(Status.FAILED)
    assert "in cut, INVALID" in invoke("claims", "cut", "-o", tmp_path).stdout


def test_without_a_run_all_claims_are_listed() -> None:
    done = invoke("claims")
    assert done.code == 0
    assert done.stdout.startswith("closing\n    C1 ")
    assert "tcp_fin_timeout makes TIME-WAIT shorter. [refuted]" in done.stdout


def test_the_most_serious_exit_code_is_the_one_that_remains() -> None:
    assert worst([]) is Exit.FINE
    assert worst([Exit.FINE, Exit.EXPECTATION_FAILED, Exit.FINE]) is Exit.EXPECTATION_FAILED
    assert worst([Exit.INVALID, Exit.EXPECTATION_FAILED]) is Exit.INVALID
    assert worst([Exit.USAGE, Exit.INVALID]) is Exit.USAGE
    assert worst([Exit.INTERRUPTED, Exit.USAGE]) is Exit.INTERRUPTED
    assert {worst([code]) for code in Exit} == set(Exit)


SMALL = """
title: small
load: {closed_loop: {connections: 4}, duration: 300ms}
connection: {closer: client}
"""
DECIDED = f"""{SMALL}
claims:
  C3:
    confirmed: [client.time_wait.max@main == connected@main, server.time_wait.max@main == 0]
    refuted: [client.time_wait.max@main == 0]
"""
UNDECIDED = f"{SMALL}\nclaims: {{C18: {{confirmed: [errors.EADDRNOTAVAIL@main > 0]}}}}"
MISSING = f"{SMALL}\nclaims: [C2]\nserver: {{kind: command, command: [no-such-program]}}"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of three small scenarios; the folder of its runs."""
    paths: dict[str, Path] = {}
    for name, text in (("decided", DECIDED), ("missing", MISSING), ("undecided", UNDECIDED)):
        paths[name] = tmp_path / f"{name}.yaml"
        paths[name].write_text(text)
    monkeypatch.setattr(gallery, "bundled", lambda: paths)
    return tmp_path / "runs"


def test_a_theme_runs_its_scenarios_and_ends_with_their_claims(small: Path) -> None:
    done = invoke("run", "--theme", "ports", "--no-figures", "-o", small)
    assert done.code == 99, done.said
    (run,) = small.iterdir()
    summary = json.loads((run / "summary.json").read_text())
    (claim,) = summary["claims"]
    assert (summary["passed"], claim["claim"], claim["verdict"]) == (False, "C18", "undecided")
    table = done.stdout.rpartition("claims, and what decides them")[2]
    assert "✘  C18  undecided" in table
    assert "INVALID" not in table
    assert "(0 > 0 is false)" in table


def test_all_run_though_one_cannot_and_the_worst_exit_code_remains(small: Path) -> None:
    done = invoke("run", "--all", "--json", "--no-figures", "-o", small)
    assert done.code == 106, done.said
    runs = json.loads(done.stdout)
    assert [(run["valid"], [claim["verdict"] for claim in run["claims"]]) for run in runs] == [
        (True, ["confirmed"]),
        (True, ["undecided"]),
    ]
    assert "no-such-program" in done.stderr
    assert "missing: exit code 106" in done.stderr
    assert "undecided: exit code 99" in done.stderr
    assert len(list(small.iterdir())) == 2


def test_ctrl_c_ends_all(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []

    def interrupted(path: Path, *_: object) -> None:
        began.append(path.stem)
        raise SystemExit(int(Exit.INTERRUPTED))

    monkeypatch.setattr(sys.modules["loadgen.cli.run"], "run_one", interrupted)
    assert invoke("run", "--all", "-o", small).code == 105
    assert len(began) == 1


def test_a_mistake_is_reported_before_any_runs(small: Path) -> None:
    done = invoke("run", "--all", "--set", "load.durtion=1s", "-o", small)
    assert (done.code, small.exists()) == (104, False)
    assert "unknown key" in done.stderr
