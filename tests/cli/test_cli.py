"""The command line as it answers at once: what is said where, with which exit code. Nothing is run here."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from loadgen.cli import main
from loadgen.engine import machine
from loadgen.engine.machine import Check, Verdict
from loadgen.records.directory import RunDirectory
from loadgen.scenario.document import Scenario
from loadgen.scenario.schema import resolved
from tests.command import Done, Running, churn
from tests.made_records import made_info, variant
from tests.unprivileged import as_ordinary_user

ROOT = Path(__file__).parents[2]
HTTP10 = ROOT / "scenarios" / "http10.yaml"
COMMANDS = ("run", "check", "list", "plot", "claims", "serve", "doctor", "schema", "metrics")


def refused(done: Done, code: int, *words: str) -> None:
    """It exits with this code, says these words on stderr, and nothing elsewhere; no traceback."""
    assert done.code == code, done.said
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def invoke(*arguments: str) -> Done:
    """A command in this process, where a process of its own would tell no more."""
    result = CliRunner().invoke(main, arguments)
    return Done(result.exit_code, result.stdout, result.stderr)


def python(script: str, *arguments: str) -> str:
    # -B: in a new clone the first import would write bytecode, which is none of churn's doing.
    argv = [sys.executable, "-B", "-c", script, *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def test_help_names_every_command_and_shows_examples() -> None:
    done = churn("--help")
    assert done.code == 0
    assert done.stderr == ""
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
        assert invoke(command, "--help").code == 0
    examples, _, commands = done.stdout.partition("Commands:")
    assert examples.count("\n  churn ") == 5
    assert commands
    alone = churn()
    assert (alone.code, alone.stdout) == (0, done.stdout)


def test_help_loads_no_library_that_is_slow_to_load() -> None:
    script = """
import sys
from loadgen.cli import main
main(["--help"], standalone_mode=False)
slow = {"matplotlib", "aiohttp", "pyroute2", "numpy", "pydantic", "rich", "uvloop"}
print("loaded:", *slow & sys.modules.keys())
"""
    assert python(script).endswith("loaded:\n")


def test_check_predicts_and_touches_nothing() -> None:
    script = """
import sys
from loadgen.cli import main
def refuse(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.mkdir")):
        raise SystemExit(f"{event} {arguments}")
    path, mode = (arguments[0], arguments[1]) if event == "open" else (0, "")
    if not isinstance(path, int) and isinstance(mode, str) and set(mode) & set("wax+"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(refuse)
main(["check", "http10"], standalone_mode=False)
"""
    shown = python(script)
    for name in ("short-server-closes", "short-client-closes", "kept-server-closes", "kept-client-closes"):
        assert name in shown
    assert "ports gone" in shown
    assert "assumed: " in shown
    assert "\x1b" not in shown


def test_check_says_what_settings_lead_to_before_the_prediction(tmp_path: Path) -> None:
    late = tmp_path / "late.yaml"
    late.write_text(
        "title: late\nserver: {delay: 3s}\nload: {timeouts: {response: 2s}}\n"
        "variants: {one: {}, two: {}, quick: {server: {delay: 1s}}}\n"
    )
    lines = invoke("check", str(late)).stdout.splitlines()
    said = "one, two: every request will time out: server.delay is 3 s and load.timeouts.response 2 s"
    assert lines.index(said) < next(place for place, line in enumerate(lines) if line.startswith("variant "))
    alone = invoke("check", str(late), "--variant", "one").stdout.splitlines()
    assert said.partition(": ")[2] in alone


def test_list_tells_the_questions_by_theme_and_how_long_each_takes() -> None:
    done = invoke("list")
    assert done.code == 0
    assert done.stdout.startswith("closing\n")
    assert "2 min 10 s of load, 24 s with --quick" in done.stdout
    assert "http10: HTTP/1.0" in done.stdout
    assert "Which side collects TIME-WAIT" in done.stdout


def test_schema_is_one_and_the_gallery_keeps_to_it() -> None:
    done = invoke("schema")
    assert done.code == 0
    schema: dict[str, Any] = json.loads(done.stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (ROOT / "scenarios").glob("*.yaml"):
        validator.validate(YAML(typ="safe").load(path))  # pyright: ignore[reportUnknownMemberType]
    assert list(validator.iter_errors({"title": "t", "loads": {}}))


@pytest.mark.parametrize("ordinary", [False, True])
def test_doctor_finds_this_machine_fit(ordinary: bool) -> None:
    done = churn("doctor", ordinary=ordinary, runs=Path(tempfile.gettempdir()))
    assert done.code == 0, done.said
    assert "namespaces" in done.stdout
    assert " fail " not in done.stdout


def test_a_remedy_of_the_doctor_stands_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = (
        f"as root: sysctl -w {' '.join(f'user.max_{name}_namespaces=10000' for name in ('user', 'net') * 4)}"
    )
    found = [Check("kernel", Verdict.OK, "[Linux]"), Check("namespaces", Verdict.FAIL, "none left", remedy)]
    monkeypatch.setattr(machine, "checks", lambda **_: found)
    monkeypatch.setenv("COLUMNS", "80")
    for terminal in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", terminal)
        done = invoke("doctor")
        assert done.code == 106, done.said
        assert f"namespaces: {remedy}" in done.stdout.splitlines()
        assert "[Linux]" in done.stdout


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    refused(churn("run", "nosuch"), 2, "nosuch", "http10")
    refused(invoke("check", "htp10"), 2, "htp10", "http10")
    refused(invoke("check", "nosuch.yaml"), 2, "nosuch.yaml", "http10")
    refused(invoke("check", "http10", "--variant", "short"), 104, "short-server-closes")
    refused(invoke("plot", "nosuch"), 2, "nosuch")


def test_a_scenario_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("title: mine")
    assert "who closes first pays" in churn("check", "scenarios/http10.yaml", cwd=tmp_path).stdout
    monkeypatch.chdir(tmp_path)
    for name in ("http10", "scenarios/http10.yaml", str(HTTP10)):
        assert "who closes first pays" in invoke("check", name).stdout
    assert "mine" in invoke("check", "own/mine.yaml").stdout
    # What lies here goes before what is bundled.
    (tmp_path / "http10").write_text("title: a file of that name")
    assert "a file of that name" in invoke("check", "http10").stdout
    monkeypatch.chdir(tmp_path / "own")
    assert "mine" in invoke("check", "../own/mine.yaml").stdout


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", "1:1"),
        (b"title: [", "1:"),
        (b"title: t\nlab: {topology: ring}", "2:17"),
        (b"title: t\nload:\n  duration: 5 parsecs", "3:13"),
        (b"title: t\nlod: {}", "2:1"),
        (b"title: t\ntitle: u", "2:1"),
        (b"title: t\nexpect: {main: [rate.maen > 0]}", "2:"),
        (b"title: t\nexpect: {man: [rate.mean > 0]}", "2:"),
        (b"title: t\nlab: {topology: host, family: ipv6, client: {addresses: 2}}", "2:"),
        (b"title: t\n\tload: {}", "2:1"),
        (b"title: \xff", "1:8"),
        (b"- a\n- b", "1:1"),
        (b"title: t\nload: &a {open_loop: {rate: 1/s}, closed_loop: {connections: 1}}", "2:"),
    ],
)
def test_a_bad_scenario_is_told_where_it_is_bad(text: bytes, place: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(text)
    refused(churn("run", "bad.yaml", cwd=tmp_path), 104, f"bad.yaml:{place}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]


def test_every_problem_is_told_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("title: t\nlab: {topolgy: pair}\nload: {duration: soon}\nserver: {port: 0}")
    refused(invoke("check", str(path)), 104, "bad.yaml:2:", "bad.yaml:3:", "bad.yaml:4:")


@pytest.mark.parametrize(
    "arguments",
    [
        ["churn"],
        ["run"],
        ["run", "http10", "http10"],
        ["run", "http10", "--all"],
        ["run", "--all", "--theme", "closing"],
        ["run", "--theme", "nosuch"],
        ["run", "--all", "--variant", "ab"],
        ["claims", "--json"],
        ["claims", "last", "--json", "--markdown"],
        ["run", "http10", "--fast"],
        ["run", "http10", "-o", "/dev/null"],
        ["plot"],
        ["serve", "--port", "70000"],
        ["serve", "--delay", "soon"],
        ["serve", "--response", "-1"],
        ["serve", "--kind", "nginx"],
        ["serve", "--request", "10B"],
        ["serve", "--kind", "raw", "--response", "0B"],
        ["serve", "--kind", "raw", "--request", "0B"],
        ["serve", "--closer", "nobody"],
        ["serve", "--host", "not an address"],
    ],
)
def test_a_command_line_that_is_wrong_is_a_usage_error(arguments: list[str]) -> None:
    refused(invoke(*arguments), 2)


@pytest.mark.parametrize(
    "override",
    ["load", "load.durtion=3s", "load.duration=", "=3s", "load.duration=3 parsecs", "a.b.c=[", "lab=1"],
)
def test_a_bad_override_is_told_by_its_text(override: str) -> None:
    refused(invoke("check", "http10", "--set", override), 104, f"--set {override}")


@pytest.mark.parametrize(
    "run_json",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema_version": 99}',
        '{"schema_version": 4}',
        '{"schema_version": 4, "scenario": 3}',
    ],
)
def test_a_directory_that_is_no_run_cannot_be_drawn(run_json: str, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    (run / "run.json").write_text(run_json)
    refused(invoke("plot", "last", "-o", str(tmp_path / "runs")), 2, "runs/x")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"driver": "warp"}, 'scenario.variants.0.load.driver: this churn knows no such value: "warp"'),
        ({"driver": None}, "scenario.variants.0.load.driver: this churn knows no such value"),
        ({"closed_loop": None, "open_loop": {}}, "scenario.variants.0.load.open_loop.rate: is missing"),
    ],
)
def test_a_run_of_another_churn_is_told_by_file_and_key(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    scenario = resolved(Scenario(title="t", variants=(variant(),)))
    scenario["variants"][0]["load"] |= change
    RunDirectory(tmp_path).write_info(made_info("main", scenario=scenario))
    done = invoke("plot", str(tmp_path))
    refused(done, 2, f"{tmp_path / 'run.json'}: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_without_runs_there_is_no_last(tmp_path: Path) -> None:
    refused(invoke("plot", "last", "-o", str(tmp_path)), 2, "no runs here yet")


def test_serve_answers_until_ctrl_c_and_tells_its_totals() -> None:
    closing = ("--closer", "server", "--close", "fin")
    with Running("serve", "--port", "0", "--response", "5B", "--workers", "2", *closing) as serving:
        assert serving.process.stdout
        listening = json.loads(serving.process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", listening["port"], timeout=10)
        for _ in range(3):
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert (answer.status, len(answer.read())) == (200, 5)
            connection.close()
        taken = churn("serve", "--port", listening["port"])
        refused(taken, 2, "Address already in use")
        serving.process.send_signal(signal.SIGINT)
        done = serving.finish()
    assert done.code == 0, done.said
    served = json.loads(done.stdout.splitlines()[-1])
    assert (served["type"], served["accepted"], served["exchanges"], served["fin"]) == ("served", 3, 3, 3)
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_lacks_a_sign_gets_another(encoding: str) -> None:
    done = churn("check", "http10", env={"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert done.code == 0, done.said
    assert "short-server-closes" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["check", "http10"], ["list"], ["schema"], ["--help"], ["run", "--help"]]
)
def test_stdout_that_takes_nothing_is_told_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = churn(*arguments, stdout=full)
    assert (done.code, done.stderr) == (2, "cannot write to stdout: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = churn(*arguments, stdout=writer)
    os.close(writer)
    assert (done.code, done.stderr) == (2, "cannot write to stdout: Broken pipe\n")


@pytest.mark.parametrize("arguments", [["check"], ["check", "nosuch"], ["run", "nosuch"]])
def test_stderr_that_takes_nothing_is_no_bug(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = churn(*arguments, stderr=full)
    assert (done.code, done.stdout) == (2, "")


def test_a_scenario_that_the_user_cannot_reach_is_an_error_of_one_line(tmp_path: Path) -> None:
    # pytest's own folders are their owner's alone.
    done = churn("check", tmp_path / "x.yaml", ordinary=True)
    assert done.code == 2
    assert done.stderr.strip() == f"{tmp_path / 'x.yaml'}: Permission denied"


def test_an_ordinary_user_may_ask_all_the_same() -> None:
    argv = as_ordinary_user([sys.executable, "-c", "from loadgen.cli import main; main(['check', 'http10'])"])
    assert subprocess.run(argv, stdout=subprocess.DEVNULL, check=False, timeout=60).returncode == 0
