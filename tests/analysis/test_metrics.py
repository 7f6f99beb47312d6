"""The registry of metrics: which names there are, and that a metric is declared in one place only."""

import errno
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from loadgen.analysis import metrics
from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Unit
from loadgen.analysis.metric_names import MetricNames
from loadgen.analysis.metrics import METRICS, measure
from loadgen.analysis.summary import summarise
from loadgen.analysis.summary_document import summary_document
from loadgen.analysis.summary_schema import summary_schema
from loadgen.cli import main
from loadgen.kernel import netstat, snmp
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.records.directory import SUMMARY_FILE, RunDirectory
from loadgen.records.types import COUNTS
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Ending, Fault, Side
from loadgen.text.problem import ScenarioError
from tests.command import Done
from tests.made_records import STEP, S, ended, interval, sample, side

COUNTERS = [*snmp.COUNTERS, *netstat.COUNTERS]
ADDED = Metric(
    "server.backlog.{viewpoint}",
    Unit.SHARE,
    "a test's own",
    lambda fold, _: fold.ports / 2,
    (metrics.VIEWPOINT,),
)


def fold() -> Fold:
    found = Fold(100)
    before = side(counters={"ListenOverflows": 3, "TCPSynRetrans": 5})
    after = side(counters={"ListenOverflows": 10, "TCPSynRetrans": 5})
    for record in (sample(-STEP, side(), before), interval(0, 5), sample(S, side(), after), *ended(S)):
        found.add(record)
    return found


def churn(*arguments: str) -> Done:
    result = CliRunner().invoke(main, arguments)
    return Done(result.exit_code, result.stdout, result.stderr)


def summary(tmp_path: Path, *expect: str) -> dict[str, Any]:
    """summary.json of a run, as it is written."""
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\nexpect: {{all: {json.dumps(expect)}}}\n")
    (asked,) = load_scenario(path, metrics=MetricNames(COUNTERS)).variants
    summarised = summarise(asked, predict(situation(asked)), fold())
    directory = RunDirectory(tmp_path)
    directory.write_summary(summary_document("x", [summarised], ["main"], whole=True))
    return json.loads((tmp_path / SUMMARY_FILE).read_text())


# The names

NAMED = {"server_fin_reset": "closes.server_fin_reset", "pool_closed": "pool.closed"}
"""The metrics that are not called like the field that they add up."""


@pytest.mark.parametrize(
    "name",
    [
        *(NAMED.get(name, name) for name in COUNTS),
        *(f"closes.{ending}" for ending in Ending),
        *(f"errors.{kind}" for kind in (*errno.errorcode.values(), *Fault, "total", "HTTP_503")),
        *("client.time_wait.max", "server.fin_wait_2.end", "start.p999_ns", "service.max_ns"),
        *("server.kernel.ListenOverflows", "client.kernel.TCPSynRetrans"),
    ],
)
def test_what_can_be_measured_is_known(name: str) -> None:
    assert name in MetricNames(COUNTERS)
    assert name in MetricNames()


@pytest.mark.parametrize(
    "name",
    [
        *("", "errors", "errors.HTTP_5030", "errors.ENOSUCH", "EADDRNOTAVAIL", "errors.total.max"),
        *("client.time_wait", "proxy.time_wait.max", "client_ports", "Client.ports", "client.ports\n"),
        *("server.kernel.", "server.kernel.listen_overflows", "server.kernel.Listen_Overflows", "kernel.TW"),
        *("start.p95_ns", "closes.both_rst", "{viewpoint}.cpu_ns"),
    ],
)
def test_what_cannot_is_not(name: str) -> None:
    assert name not in MetricNames(COUNTERS)
    assert name not in MetricNames()


def test_a_counter_is_any_word_in_camel_case_unless_those_that_are_recorded_are_given() -> None:
    assert "server.kernel.TCPDeferAcceptDrop" in MetricNames()
    assert "server.kernel.TCPDeferAcceptDrop" not in MetricNames(COUNTERS)


def test_names_are_listed_once_and_each_is_known() -> None:
    names = MetricNames(COUNTERS)
    listed = list(names)
    assert len(names) == len(listed) == len(set(listed))
    assert all(name in names for name in listed)
    assert {f"{side}.kernel.{name}" for side in Side for name in COUNTERS} <= set(listed)


def test_a_counter_of_the_kernel_is_what_it_grew_by() -> None:
    found = measure(fold())
    assert found["server.kernel.ListenOverflows"] == 7
    assert found["server.kernel.TCPSynRetrans"] == 0
    # The client's kernel did not have it: absent is not zero.
    assert "client.kernel.ListenOverflows" not in found


def test_metrics_have_a_sentence_each() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.sentence
        assert not metric.sentence.endswith(".")


# Expectations


def problem(tmp_path: Path, expectation: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\nexpect: {{all: ['{expectation}']}}\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, metrics=MetricNames(COUNTERS))
    (only,) = caught.value.problems
    return f"{only.message} ({only.hint})"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("server.kernel.ListenOverflow", "server.kernel.ListenOverflows"),
        ("client.kernel.tcpsynretrans", "client.kernel.TCPSynRetrans"),
        ("client.time_wiat.max", "client.time_wait.max"),
        ("errors.EADRNOTAVAIL", "errors.EADDRNOTAVAIL"),
        ("errors.TIMEOT", "errors.TIMEOUT"),
    ],
)
def test_an_unknown_name_is_answered_by_the_one_most_like_it(name: str, meant: str, tmp_path: Path) -> None:
    assert problem(tmp_path, f"{name} == 0") == f'unknown metric "{name}" (did you mean "{meant}"?)'


def test_a_name_like_none_is_answered_by_where_to_look(tmp_path: Path) -> None:
    assert problem(tmp_path, "zzz == 0") == 'unknown metric "zzz" (churn metrics lists them all)'


# One place


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric more than there are, declared where all are."""
    monkeypatch.setattr(metrics, "METRICS", (*METRICS, ADDED))


@pytest.mark.usefixtures("one_more")
def test_a_metric_added_in_one_place_shows_in_expectations_summary_schema_list_and_docs(
    tmp_path: Path,
) -> None:
    document = summary(tmp_path, "server.backlog.client == 50")
    (found,) = document["variants"].values()
    assert found["metrics"]["server.backlog.client"] == found["metrics"]["server.backlog.server"] == 50
    assert found["expectations"][0]["passed"] is True
    validator().validate(document)
    assert churn("metrics", "backlog.server").stdout.splitlines()[0].split(maxsplit=2) == [
        *("server.backlog.{viewpoint}", "share"),
        "a test's own",
    ]
    assert "| `server.backlog.{viewpoint}` | share | a test's own |" in churn("metrics", "--markdown").stdout


# What is made from it


def validator() -> jsonschema.Draft202012Validator:
    schema = summary_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_page_is_the_one_that_is_generated() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert churn("metrics", "--markdown").stdout == page.read_text(), (
        "churn metrics --markdown > docs/metrics.md"
    )


def test_a_summary_keeps_to_the_schema_that_is_printed(tmp_path: Path) -> None:
    document = summary(tmp_path, "connected == 5", "client.kernel.TW == 0", "start.p50_ns < 1s")
    assert json.loads(churn("schema", "--summary").stdout) == summary_schema()
    validator().validate(document)
    (found,) = document["variants"].values()
    assert "server.kernel.ListenOverflows" in found["metrics"]
    assert [one["passed"] for one in found["expectations"]] == [True, True, False]
    for metrics_of in ({"rate.men": 1}, {"rate.mean": None}, {"rate.mean": "1"}, {"server.kernel.": 1}):
        found["metrics"] = metrics_of
        assert not validator().is_valid(document), metrics_of


def test_the_list_is_searched_by_name_and_by_sentence() -> None:
    every = churn("metrics").stdout
    assert all(metric.name.replace("{counter}", "TW") in every for metric in METRICS)
    for word in ("state}.max", "MOST SOCKETS"):
        found = churn("metrics", word).stdout.splitlines()
        assert found[0].startswith("{viewpoint}.{state}.max  sockets  the most sockets")
        assert found[1] == ""
        assert [line.split()[0] for line in found[2:]] == ["{viewpoint}", "{state}"]
    assert churn("metrics", "listenoverflows").stdout.startswith(
        "{viewpoint}.kernel.ListenOverflows  count  "
    )
    assert churn("metrics", "errors.EADDRNOTAVAIL").stdout.startswith("errors.{kind}  count  ")
    (busiest,) = json.loads(churn("metrics", "busy.max", "--json").stdout)
    assert (busiest["name"], busiest["unit"]) == ("{viewpoint}.busy.max", "share")
    assert busiest["placeholders"] == {
        "viewpoint": ["client", "server", "proxy.downstream", "proxy.upstream", "nat"]
    }


def test_a_search_without_an_answer_is_a_usage_error() -> None:
    done = churn("metrics", "zzz")
    assert (done.code, done.stdout) == (2, "")
    assert "zzz" in done.stderr
    assert churn("metrics", "--markdown", "--json").code == 2
