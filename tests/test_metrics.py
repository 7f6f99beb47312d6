"""The registry of metrics: which names there are, and that a metric is declared in one place only."""

import errno
from pathlib import Path

import pytest

from loadgen.analysis import metrics
from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Unit
from loadgen.analysis.metric_names import MetricNames
from loadgen.analysis.metrics import METRICS, measure
from loadgen.kernel import netstat, snmp
from loadgen.records.types import COUNTS, Closes
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Fault, Side
from loadgen.text.problem import ScenarioError
from tests.made_records import STEP, S, ended, interval, sample, side

COUNTERS = [*snmp.COUNTERS, *netstat.COUNTERS]
ADDED = Metric(
    "server.backlog.{side}", Unit.SHARE, "a test's own", lambda fold, _: fold.ports / 2, (metrics.SIDE,)
)


def fold() -> Fold:
    found = Fold(100)
    before = side(counters={"ListenOverflows": 3, "TCPSynRetrans": 5})
    after = side(counters={"ListenOverflows": 10, "TCPSynRetrans": 5})
    for record in (sample(-STEP, side(), before), interval(0, 5), sample(S, side(), after), *ended(S)):
        found.add(record)
    return found


# The names


@pytest.mark.parametrize(
    "name",
    [
        *COUNTS,
        *(f"closes.{name}" for name in Closes.__struct_fields__),
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
        *("start.p95_ns", "closes.both_fin", "{side}.cpu_ns"),
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
def test_a_metric_added_in_one_place_is_known_to_expectations_and_measured(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nexpect: {all: [server.backlog.client == 50]}\n")
    (variant,) = load_scenario(path, metrics=MetricNames(COUNTERS)).variants
    found = measure(fold())
    assert found["server.backlog.client"] == found["server.backlog.server"] == 50
    (expectation,) = variant.expect
    assert expectation.evaluate(found).passed
