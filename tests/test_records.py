"""Records on disk: what was written is what is read, and what cannot be read is said with its place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.latency import Counts, Distribution, Latency, Tag
from loadgen.records import (
    SCHEMA_VERSION,
    Closes,
    Event,
    Interval,
    Record,
    Sample,
    SideSample,
    to_json,
)
from loadgen.rundir import RunDirectory, RunError, Status
from loadgen.tcp import Failure, Fault, Phase, Side, State

SIDE = SideSample(
    states={State.TIME_WAIT: 28_000, State.SYN_SENT: 2},
    ports_held=28_002,
    counters={"ActiveOpens": 28_002, "TWRecycled": 0},
    cpu_user_ns=10_000_000,
    cpu_system_ns=30_000_000,
)
SAMPLE = Sample(
    t_ns=-200_000_000,
    cost_ns=40_000,
    late=True,
    full=False,
    sides={Side.CLIENT: SIDE, Side.SERVER: SideSample({}, 0, {}, 0, 0)},
    softnet_dropped=3,
)
INTERVAL = Interval(
    start_ns=0,
    end_ns=100_000_000,
    offered=9,
    started=8,
    late=1,
    dropped=1,
    attempts=8,
    opened=7,
    connected=6,
    exchanges=5,
    succeeded=4,
    in_flight=1,
    closes=Closes(client_fin=2, client_rst=1, server_fin=1, server_rst=1),
    errors={Failure(Phase.CONNECT, "EADDRNOTAVAIL"): 2, Failure(Phase.RECEIVE, Fault.SHORT): 1},
    connect_p50_ns=20_000,
    connect_p99_ns=90_000,
    response_p50_ns=None,
    response_p99_ns=None,
)
EVENT = Event(5, "process_died", {"what": "server", "workers": [1, 2], "ends": {"stderr": ""}})
RECORDS: list[Record] = [EVENT, Event(7, "quiet"), SAMPLE, INTERVAL, Interval(0, 1)]

numbers = st.integers(0, 1 << 62)
counts = st.dictionaries(st.text(), numbers)
failures = st.builds(Failure, st.sampled_from(Phase), st.text(min_size=1))
side_samples = st.builds(
    SideSample, st.dictionaries(st.sampled_from(State), numbers), numbers, counts, numbers, numbers
)
samples = st.builds(
    Sample,
    st.integers(),
    numbers,
    st.booleans(),
    st.booleans(),
    st.dictionaries(st.sampled_from(Side), side_samples),
    numbers,
)
intervals = st.builds(
    Interval, closes=st.builds(Closes, numbers, numbers), errors=st.dictionaries(failures, numbers)
)
events = st.builds(Event, st.integers(), st.text(), counts)


def latency() -> Latency:
    gathered = Distribution()
    gathered.record(Counts.of(Tag.CONNECT, np.array([5_000, 7_000])))
    taken = gathered.take(Tag.CONNECT, 0, 1_000_000_000)
    assert taken
    return Latency.parse(taken.line())


def written(path: Path, *records: Record | Latency, variant: str = "main") -> RunDirectory:
    run = RunDirectory(path)
    with run.writer(variant) as writer:
        for record in records:
            writer.append(record)
    return run


@given(st.one_of(samples, intervals, events))
def test_every_record_survives_json(record: Record) -> None:
    line = to_json(record)
    assert "\n" not in line
    assert type(record).from_json(json.loads(line)) == record


def test_what_is_absent_in_a_sample_is_zero() -> None:
    assert SIDE.count(State.TIME_WAIT) == 28_000
    assert SIDE.count(State.LISTEN) == 0


def test_closes_add_up() -> None:
    assert INTERVAL.closes.total == 5


def test_records_come_back_kind_by_kind_in_their_order(tmp_path: Path) -> None:
    run = written(tmp_path, *reversed(RECORDS), latency())
    found = list(run.records("main"))
    assert found == [Event(7, "quiet"), EVENT, SAMPLE, Interval(0, 1), INTERVAL, latency()]


def test_a_record_is_on_disk_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with run.writer("main") as writer:
        for number, record in enumerate([*RECORDS, latency()], 1):
            writer.append(record)
            assert len(list(run.records("main"))) == number


def test_variants_keep_apart(tmp_path: Path) -> None:
    written(tmp_path, EVENT, variant="one")
    run = written(tmp_path, SAMPLE, INTERVAL, variant="two")
    run.write_info({"variants": {"two": {}, "one": {}, "never begun": {}}})
    assert run.variants() == ["two", "one"]
    assert list(run.records("one")) == [EVENT]
    assert list(run.records("two")) == [SAMPLE, INTERVAL]


def test_a_variant_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path, EVENT)
    with pytest.raises(FileExistsError):
        written(tmp_path, EVENT)


def test_a_variant_without_records_has_none(tmp_path: Path) -> None:
    assert list(RunDirectory(tmp_path).records("main")) == []


@pytest.mark.parametrize("file", ["events.jsonl", "samples.jsonl", "intervals.jsonl", "latency.hlog"])
def test_a_killed_run_reads_up_to_its_last_whole_line(tmp_path: Path, file: str) -> None:
    """Cut anywhere inside its last line, as SIGKILL may: only that line is lost."""
    pairs = [EVENT, EVENT, SAMPLE, SAMPLE, INTERVAL, INTERVAL, latency(), latency()]
    run = written(tmp_path, *pairs)
    path = tmp_path / "main" / file
    text = path.read_text()
    last = text.rindex("\n", 0, -1) + 1
    for end in {last, last + 1, (last + len(text)) // 2, len(text) - 1}:
        path.write_text(text[:end])
        assert len(list(run.records("main"))) == len(pairs) - 1


BROKEN = [
    "",
    "{",
    "not json",
    "null",
    "7",
    "[]",
    "{}",
    '{"t_ns":5}',
    '{"sides":[]}',
    '{"sides":{"client":[]}}',
    '{"sides":{"elsewhere":{}}}',
    '{"closes":[],"errors":[]}',
    '{"closes":{},"errors":{"sleep:NONE":1},"start_ns":1,"end_ns":2}',
    "\xff",
]


@pytest.mark.parametrize("line", BROKEN)
@pytest.mark.parametrize("file", ["events.jsonl", "samples.jsonl", "intervals.jsonl"])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, file: str, line: str) -> None:
    run = written(tmp_path, EVENT, EVENT, SAMPLE, SAMPLE, INTERVAL, INTERVAL)
    path = tmp_path / "main" / file
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + line.encode("latin-1") + b"\n" + second)
    with pytest.raises(RunError, match=r"not a record") as caught:
        list(run.records("main"))
    assert f"{path}:2: " in str(caught.value)


@pytest.mark.parametrize("line", ["Tag=connect,0", "Tag=sleep,0.000,1.000,1.000,HISTFA", "Tag=\xff"])
def test_a_broken_histogram_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    run = written(tmp_path, latency())
    path = tmp_path / "main" / "latency.hlog"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n" + latency().line().encode() + b"\n")
    number = len(path.read_bytes().splitlines()) - 1
    with pytest.raises(RunError, match=r"not a histogram") as caught:
        list(run.records("main"))
    assert f"{path}:{number}: " in str(caught.value)


def test_documents_come_back_with_their_version(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_info({"status": Status.RUNNING, "variants": {}})
    assert run.info() == {"schema_version": SCHEMA_VERSION, "status": "running", "variants": {}}
    run.write_info({"status": Status.FINISHED})
    assert Status(run.info()["status"]) is Status.FINISHED
    run.write_summary({"variants": [1]})
    assert run.summary() == {"schema_version": SCHEMA_VERSION, "variants": [1]}
    # Replaced whole, and nothing of the making is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "summary.json"]


def test_a_document_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_info({"status": Status.RUNNING})
    with pytest.raises(TypeError):
        run.write_info({"status": object()})
    assert run.info()["status"] == "running"


def test_a_directory_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json: not found; is .* a run directory\?"):
        RunDirectory(tmp_path).info()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ('{"schema_version": 1', "not JSON"),
        ("\xff", "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "schema_version None, but this churn reads 1"),
        ('{"schema_version": 2}', "schema_version 2, but this churn reads 1"),
        ('{"schema_version": "1"}', "schema_version '1', but this churn reads 1"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_a_document_that_is_none_is_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    run = RunDirectory(tmp_path)
    read: dict[str, Any] = {"run.json": run.info, "summary.json": run.summary}
    with pytest.raises(RunError, match=problem) as caught:
        read[name]()
    assert str(tmp_path / name) in str(caught.value)


def test_a_run_is_named_by_its_directory(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "20261120T213005Z-http10").id == "20261120T213005Z-http10"


def test_failures_are_spelled_and_read_back() -> None:
    failure = Failure(Phase.CONNECT, "EADDRNOTAVAIL")
    assert str(failure) == "connect:EADDRNOTAVAIL"
    assert Failure.parse("connect:EADDRNOTAVAIL") == failure
    with pytest.raises(ValueError, match="sleep"):
        Failure.parse("sleep:EADDRNOTAVAIL")
    assert "ephemeral ports" in failure.limit
    assert Failure(Phase.SEND, "EXOTIC").limit == ""
