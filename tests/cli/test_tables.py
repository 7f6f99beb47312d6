"""The tables of a run and of a prediction on screens of several widths."""

import re
from pathlib import Path

import pytest

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.claims import Ground, JudgedClaim
from loadgen.analysis.compared import Compared
from loadgen.analysis.findings.finding import Finding, FindingKind, Rank
from loadgen.analysis.states import StateCount
from loadgen.analysis.summary import VariantSummary
from loadgen.cli.tables import print_predictions, print_report
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.records.directory import RunDirectory
from loadgen.scenario.catalogue import Decision
from loadgen.scenario.document import Scenario
from loadgen.scenario.expectation import Verdict
from loadgen.tcp import State
from tests.made_records import NO_PORT, variant

NAMES = ("short-client-closes", "keeps-100,driver=aiohttp")
METRICS = {
    "rate.mean": 101_331,
    "rate.requests": 112_489,
    "start.p99_ns": 123_000,
    "client.time_wait.max": 28_232,
    "server.time_wait.max": 14_116,
    "errors.total": 2_293,
    "closes.client_fin": 90_000,
    "closes.server_fin": 907,
    "connect.p50_ns": 46_600,
    "connect.p99_ns": 1_680_000,
    "connected": 90_907,
    "timed": 2_899,
    "response.p99_ns": 45_400_000,
    "client.busy.max": 1.0,
    "connect.share": 0.96,
    "server.busy.max": 0.06,
}
CELLS = (
    *("conn/s", "req/s", "start p99", "TW client", "TW server", "errors"),
    *("connect p50", "connect p99", "of timed", "response p99", "load CPU", "in connect", "server CPU"),
    *("101,331", "112,489", "123 µs", "28,232", "14,116", "2,293", "46.6 µs", "1.68 ms", "2,899", "45.4 ms"),
    *("100%", "96%", "6%", "client FIN 99%", "90,907", "90,906", "28,000/s", "19,458/s", "+43.9%"),
    *("28,231", "27,999", "client TIME-WAIT", "[client.time_wait", "28,232]"),
    *("C19", "confirmed", "expected: refuted", "(27,998"),
)
CLAIMS = [
    JudgedClaim(
        claim="C19",
        text="Throughput falls only when the ports are gone.",
        verdict=Decision.CONFIRMED,
        expected=Decision.REFUTED,
        reason="",
        grounds=[
            Ground(text="knee.ports@main > 0", passed=True, reason="27,998 > 0", decision=Decision.CONFIRMED)
        ],
    )
]
WIDTHS = (60, 80, 100, 120, 200)


def summary(name: str) -> VariantSummary:
    return VariantSummary(
        name=name,
        metrics=METRICS,
        audit=[AuditLine("connections established", "server PassiveOpens", 90_907, 90_906)],
        caveats=[],
        expectations=[
            Verdict(text="knee.ports >= 0.475 * client.ports", passed=True, reason="3,995 >= 3,800")
        ],
        compared=[
            Compared(name="rate before the knee", unit="/s", predicted=28_000, measured=19_458, assumed=True)
        ],
        errors={NO_PORT: 2_293},
        reasons={NO_PORT: "the client's ports"},
        verdict="It is as it is.",
        findings=[
            Finding(
                kind=FindingKind("ports_gone"),
                rank=Rank.LIMITED,
                viewpoint="client",
                sentence="the client has no free port from 3.0 s on",
                numbers={},
                evidence=("client.time_wait 28,232",),
                observed=True,
            )
        ],
        states=[StateCount("client", State.TIME_WAIT, 28_232, 28_231, 27_999)],
    )


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of so many columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def plain_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def scenario(names: tuple[str, ...]) -> Scenario:
    connection = {"closer": "client", "requests": 100}
    return Scenario(title="t", variants=tuple(variant(name=name, connection=connection) for name in names))


def test_a_report_breaks_no_number_and_no_heading(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    directory = RunDirectory(Path("runs/x"))
    print_report(
        scenario(NAMES), [summary(name) for name in NAMES], CLAIMS, directory, quick=False, whole=True
    )
    shown = plain_lines(capsys)
    assert all(len(line) <= width for line in shown)
    for cell in CELLS:
        assert any(cell in line for line in shown), cell
    heads = [line.split("  ") for line in shown if line.startswith("variant ")]
    assert len(heads) == {60: 5, 80: 3, 100: 3, 120: 2, 200: 1}[width]
    assert ["closed first" in map(str.strip, head) for head in heads] == [True, *[False] * (len(heads) - 1)]
    for name in NAMES:
        assert sum(line.startswith(f"{name} ") for line in shown) == len(heads)


def test_a_prediction_breaks_no_number_and_no_heading(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    asked = scenario(NAMES)
    print_predictions(asked, [(each, predict(situation(each))) for each in asked.variants], Path("x.yaml"))
    shown = plain_lines(capsys)
    assert all(len(line) <= width for line in shown)
    cells = (
        "conn/s",
        "slow connect()",
        "rate falls",
        "ports gone",
        "ceiling",
        "TW client",
        "TW server",
        "463/s",
        "64 in flight, 10s",
    )
    for cell in cells:
        assert any(cell in line for line in shown), cell


def test_a_name_wider_than_the_screen_costs_no_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    name = "a" * 80
    print_report(
        scenario((name,)), [summary(name)], CLAIMS, RunDirectory(Path("runs/x")), quick=False, whole=True
    )
    shown = plain_lines(capsys)
    for cell in CELLS:
        assert any(cell in line for line in shown), cell
