"""Records on disk: what was written is what is read, and what cannot be read is said with its place."""

import base64
import contextlib
import json
import os
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from loadgen.analysis.summary_document import summary_document
from loadgen.records.bounds import EXACT
from loadgen.records.damage import DEEPEST, LONGEST_LINE, Damage, check_depth
from loadgen.records.directory import RunDirectory, RunError
from loadgen.records.events import (
    AnyEvent,
    BothWays,
    CommandEnded,
    Gap,
    LoadEnds,
    ProcessDied,
    SampleCheck,
    ServerCounted,
    ServerEnded,
)
from loadgen.records.info import Status
from loadgen.records.latency import HIGHEST_NS, Counts, Distribution, Latency, Tag, read_line
from loadgen.records.types import (
    SCHEMA_VERSION,
    Interval,
    Record,
    Sample,
    ViewpointSample,
)
from loadgen.records.viewpoints import APART, Scope, Viewpoint
from loadgen.tcp import Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.codec import convert, decode, encode
from loadgen.wire.messages import GapCause
from loadgen.wire.served import Served
from tests.made_records import made_info, opened

SIDE = ViewpointSample(
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
    viewpoints={Side.CLIENT: SIDE, Side.SERVER: ViewpointSample({}, None, {}, 0, 0)},
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
    closes={Ending.CLIENT_FIN: 2, Ending.CLIENT_RST: 1, Ending.SERVER_FIN: 1, Ending.SERVER_RST: 1},
    errors={Failure(Phase.CONNECT, "EADDRNOTAVAIL"): 2, Failure(Phase.RECEIVE, Fault.SHORT): 1},
    connect_p50_ns=20_000,
    connect_p99_ns=90_000,
    response_p50_ns=None,
    response_p99_ns=None,
)
EVENT = ProcessDied(5, "server", "by SIGKILL", "é")
LATER = Interval(INTERVAL.end_ns, INTERVAL.end_ns + 1, opened=0, connected=0, in_flight=0)
RECORDS: list[Record] = [EVENT, LoadEnds(7), SAMPLE, INTERVAL, LATER]
FILES = ("events.jsonl", "samples.jsonl", "intervals.jsonl", "latency.hlog")

numbers = st.integers(0, EXACT)
times = st.integers(-EXACT, EXACT)
counts = st.dictionaries(st.text(), numbers)
failures = st.builds(Failure, st.sampled_from(Phase), st.text(min_size=1))
side_samples = st.builds(
    ViewpointSample,
    st.dictionaries(st.sampled_from(State), numbers),
    st.none() | numbers,
    counts,
    numbers,
    numbers,
)
samples = st.builds(
    Sample,
    times,
    numbers,
    st.booleans(),
    st.fixed_dictionaries(dict.fromkeys(Side, side_samples)),
    numbers,
)
intervals = st.builds(
    Interval,
    times,
    st.just(EXACT),
    numbers,
    numbers,
    numbers,
    attempts=st.none() | numbers,
    closes=st.none() | st.dictionaries(st.sampled_from(Ending), numbers),
    errors=st.none() | st.dictionaries(failures, numbers),
)
both_ways = st.builds(BothWays, numbers, numbers)
events = st.one_of(
    st.builds(LoadEnds, times),
    st.builds(ProcessDied, times, st.text(), st.text(), st.text()),
    st.builds(ServerEnded, times, st.integers(-64, 255), st.text()),
    st.builds(CommandEnded, times, st.integers(-64, 255), st.booleans(), st.text()),
    st.builds(SampleCheck, times, st.fixed_dictionaries(dict.fromkeys(Side, both_ways))),
    st.builds(Gap, times, st.text(), times, st.sampled_from(GapCause)),
    st.builds(ServerCounted, times, st.builds(Served, accept_errors=counts)),
)


def latency(start_ns: int = 0) -> Latency:
    gathered = Distribution()
    gathered.record(Counts.of(Tag.CONNECT, np.array([5_000, 7_000])))
    taken = gathered.take(Tag.CONNECT, start_ns, start_ns + 1_000_000_000)
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
    line = encode(record).decode()
    assert "\n" not in line
    read = decode(line, type(record))
    assert read == record
    if isinstance(read, Interval):
        assert {type(failure) for failure in read.errors or ()} <= {Failure}
        assert {type(ending) for ending in read.closes or ()} <= {Ending}
    assert convert(json.loads(line), type(record)) == record


def test_what_is_absent_in_a_sample_is_zero() -> None:
    assert SIDE.count(State.TIME_WAIT) == 28_000
    assert SIDE.count(State.LISTEN) == 0


def test_closes_add_up() -> None:
    assert sum((INTERVAL.closes or {}).values()) == 5


def test_records_come_back_kind_by_kind_in_their_order(tmp_path: Path) -> None:
    run = written(tmp_path, latency(), INTERVAL, LATER, SAMPLE, LoadEnds(7), EVENT)
    found = list(run.records("main"))
    assert found == [LoadEnds(7), EVENT, SAMPLE, INTERVAL, LATER, latency()]


def test_a_record_is_on_disk_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with run.writer("main") as writer:
        for number, record in enumerate([*RECORDS, latency()], 1):
            writer.append(record)
            assert len(list(run.records("main"))) == number


def test_variants_keep_apart(tmp_path: Path) -> None:
    written(tmp_path, EVENT, variant="one")
    run = written(tmp_path, SAMPLE, INTERVAL, variant="two")
    run.write_info(made_info("two", "one", "never begun", status=Status.RUNNING))
    assert run.variants() == ["two", "one"]
    assert list(run.records("one")) == [EVENT]
    assert list(run.records("two")) == [SAMPLE, INTERVAL]


def test_a_variant_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path, EVENT)
    with pytest.raises(FileExistsError):
        written(tmp_path, EVENT)


def test_a_variant_without_records_has_none(tmp_path: Path) -> None:
    assert list(RunDirectory(tmp_path).records("main")) == []


@pytest.mark.parametrize("file", FILES)
def test_a_killed_run_reads_up_to_its_last_whole_line(tmp_path: Path, file: str) -> None:
    """Cut anywhere inside its last line, as SIGKILL may: only that line is lost."""
    later = structs.replace(SAMPLE, t_ns=0)
    pairs = [EVENT, EVENT, SAMPLE, later, INTERVAL, LATER, latency(), latency(1_000_000_000)]
    run = written(tmp_path, *pairs)
    path = tmp_path / "main" / file
    text = path.read_text()
    last = text.rindex("\n", 0, -1) + 1
    for end in {last, last + 1, (last + len(text)) // 2, len(text) - 1}:
        path.write_text(text[:end])
        assert len(list(run.records("main"))) == len(pairs) - 1


BROKEN = [
    *("", "{", "not json", "null", "7", "[]", "{}", '{"t_ns":5}', "\xff", "[" * 100_000, '{"a":' * 100_000),
    *('{"viewpoints":[]}', '{"viewpoints":{"client":[]}}', '{"viewpoints":{"elsewhere":{}}}'),
    *('{"closes":[],"errors":[]}', '{"closes":{},"errors":{"sleep:NONE":1},"start_ns":1,"end_ns":2}'),
    *("Tag=connect,0", "Tag=sleep,0.000,1.000,1.000,HISTFA", "Tag=connect,nan,1.000,1.000,HISTFA"),
    "x" * (2 * LONGEST_LINE),
]


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:20])
@pytest.mark.parametrize("file", FILES)
def test_a_broken_line_in_the_middle_is_named_and_the_others_are_read(
    tmp_path: Path, file: str, line: str
) -> None:
    run = written(tmp_path, *RECORDS, latency())
    whole = list(run.records("main"))
    path = tmp_path / "main" / file
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\n" + line.encode("latin-1") + b"\n" + rest)
    found = list(run.records("main"))
    (damage,) = [one for one in found if isinstance(one, Damage)]
    assert str(damage).startswith(f"{path}:2: ")
    assert len(str(damage)) < len(str(path)) + 200
    assert [one for one in found if not isinstance(one, Damage)] == whole


OTHER_VALUES = (
    *(
        "-1",
        "1.5",
        "1e2",
        "true",
        "null",
        '"7"',
        "NaN",
        "Infinity",
        "1e999",
        "9" * 19,
        "9" * 5000,
        "[]",
        "{}",
    ),
)


@pytest.mark.parametrize("text", OTHER_VALUES, ids=lambda text: text[:20])
@pytest.mark.parametrize("key", ["cost_ns", "TIME-WAIT", "ActiveOpens"])
def test_a_count_of_a_sample_is_a_whole_number(key: str, text: str) -> None:
    _refused(SAMPLE, key, text)


@pytest.mark.parametrize(
    "text", [text for text in OTHER_VALUES if text != "null"], ids=lambda text: text[:20]
)
@pytest.mark.parametrize("key", ["ports_held", "cpu_user_ns"])
def test_a_count_that_not_every_viewpoint_has_is_a_whole_number_or_absent(key: str, text: str) -> None:
    _refused(SAMPLE, key, text)


@pytest.mark.parametrize("text", OTHER_VALUES, ids=lambda text: text[:20])
@pytest.mark.parametrize("key", ["connected", "client_fin", "connect:EADDRNOTAVAIL"])
def test_a_count_of_an_interval_is_a_whole_number(key: str, text: str) -> None:
    _refused(INTERVAL, key, text)


@pytest.mark.parametrize(
    ("record", "key", "text"),
    [
        (SAMPLE, "late", "1"),
        (SAMPLE, "late", '"true"'),
        (INTERVAL, "end_ns", "-1"),
        (INTERVAL, "connected", "null"),
        (INTERVAL, "attempts", "true"),
        (EVENT, "type", "7"),
        (EVENT, "t_ns", "1.0"),
        (EVENT, "what", "null"),
        (EVENT, "stderr", "[]"),
    ],
)
def test_a_value_of_another_type_is_refused(record: Record, key: str, text: str) -> None:
    _refused(record, key, text)


def checked(line: str, kind: type[Record]) -> None:
    """Read a record as a run directory does. Raises ValueError."""
    record = decode(line, kind)
    if isinstance(record, Interval):
        record.check()


def _refused(record: Record, key: str, text: str) -> None:
    """A record's line with `text` for the value of a key, of whatever depth, cannot be read."""
    line = re.sub(rf'"{key}":[^,{{}}]+', f'"{key}":{text}', encode(record).decode(), count=1)
    assert line != encode(record).decode()
    with pytest.raises(ValueError, match=r"."):
        checked(line, type(record))


@pytest.mark.parametrize("record", [EVENT, SAMPLE, INTERVAL])
def test_unknown_keys_and_missing_ones_are_refused(record: Record) -> None:
    line = encode(record).decode()
    with pytest.raises(ValueError, match=r"unknown field `unheard_of`"):
        decode(line.replace("{", '{"unheard_of":1,', 1), type(record))
    with pytest.raises(ValueError, match=r"missing required field"):
        decode(re.sub(r'"(t_ns|start_ns)":-?\d+,', "", line, count=1), type(record))


def test_a_sample_of_one_side_is_refused(tmp_path: Path) -> None:
    run = written(
        tmp_path, structs.replace(SAMPLE, viewpoints={Side.SERVER: SIDE}), structs.replace(SAMPLE, t_ns=9)
    )
    (damage,) = [one for one in run.records("main") if isinstance(one, Damage)]
    assert damage.place == "samples.jsonl:1"
    assert "client" in damage.why


def test_a_sample_has_every_viewpoint_of_the_lab(tmp_path: Path) -> None:
    three = Scope((*APART.viewpoints, Viewpoint("middle", "middle")), APART.legs)
    both = structs.replace(SAMPLE, t_ns=9, viewpoints={**SAMPLE.viewpoints, "middle": SIDE})
    run = written(tmp_path, opened(three), SAMPLE, both)
    (damage,) = [one for one in run.records("main") if isinstance(one, Damage)]
    assert (damage.place, damage.why) == ("samples.jsonl:1", "lacks the viewpoint middle")


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ('"name":"client"', '"name":"Client\\u001b[31m"'),
        ('"name":"client"', '"name":"server"'),
        ('"opener":"client"', '"opener":"middle"'),
        ('"legs":[{"opener":"client","accepter":"server"}]', '"legs":[]'),
        ('"ports":null', '"ports":[1,65536]'),
    ],
)
def test_a_lab_whose_viewpoints_do_not_fit_together_is_refused(part: str, changed: str) -> None:
    line = encode(opened(APART)).decode()
    assert part in line
    with pytest.raises(ValueError, match=r"scope|leg"):
        decode(line.replace(part, changed, 1), AnyEvent)


def test_an_event_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="port_flap"):
        decode('{"type":"port_flap","t_ns":0}', AnyEvent)


def test_a_document_is_nested_as_deep_as_churn_writes() -> None:
    def nested(depth: int) -> Any:
        return {"a": nested(depth - 1)} if depth else 1

    check_depth(nested(DEEPEST))
    with pytest.raises(ValueError, match="nested too deeply"):
        check_depth(nested(DEEPEST + 2))


def places(run: RunDirectory) -> list[str]:
    return [one.place for one in run.records("main") if isinstance(one, Damage)]


def test_only_the_first_faults_of_a_file_are_named(tmp_path: Path) -> None:
    run = written(tmp_path, *RECORDS)
    path = tmp_path / "main" / "samples.jsonl"
    path.write_text("{}\n" * 500 + path.read_text() + "{}\n" * 10**6)
    assert SAMPLE in run.records("main")
    *named, rest, more = [str(one) for one in run.records("main") if isinstance(one, Damage)]
    assert [one.removeprefix(f"{path}:")[:2] for one in named] == ["1:", "2:", "3:"]
    assert rest == f"{path}: the rest of the file was not tried, from line 1,502 on"
    assert more == f"{path}: 1,497 more lines cannot be read"


def test_what_is_out_of_order_is_named_and_costs_no_other(tmp_path: Path) -> None:
    # 90 is far too late, 3 is there twice, and 5 and 4 have changed places.
    times_ns = (1, 2, 3, 90, 3, 5, 4, 6, 7)
    run = written(tmp_path, *(structs.replace(SAMPLE, t_ns=t_ns) for t_ns in times_ns))
    assert [one.t_ns for one in run.records("main") if isinstance(one, Sample)] == [1, 2, 3, 4, 6, 7]
    assert sorted(places(run)) == ["samples.jsonl:4", "samples.jsonl:5", "samples.jsonl:6"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("put", "why"),
    [
        (os.mkfifo, "is a FIFO"),
        (Path.mkdir, "is a directory"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
    ],
)
def test_what_is_no_file_is_not_opened(
    tmp_path: Path, file: str, put: Callable[[Path], object], why: str
) -> None:
    run = written(tmp_path, *RECORDS, latency())
    path = tmp_path / "main" / file
    path.unlink()
    assert places(run) == [file]
    put(path)
    (damage,) = [one for one in run.records("main") if isinstance(one, Damage)]
    assert str(damage).startswith(f"{path}: ")
    assert why in damage.why
    put(tmp_path / "run.json")
    with pytest.raises(RunError, match=rf"run\.json: .*{why}"):
        run.info()


def test_a_run_that_ended_in_order_has_no_unfinished_lines(tmp_path: Path) -> None:
    run = written(tmp_path, *RECORDS, latency())
    for name in ("samples.jsonl", "latency.hlog"):
        path = tmp_path / "main" / name
        os.truncate(path, path.stat().st_size - 5)
    assert places(run) == []
    run.write_info(made_info())
    assert places(run) == ["samples.jsonl:1", "latency.hlog:1"]


def encoded(content: bytes, cookie: int = 0x1C849314) -> str:
    packed = zlib.compress(content, 9)
    return base64.b64encode(struct.pack(">II", cookie, len(packed)) + packed).decode()


def header(length: int = 0, digits: int = 3, highest: int = HIGHEST_NS) -> bytes:
    return struct.pack(">IIIIQQd", 0x1C849313, length, 0, digits, 1, highest, 1.0)


@pytest.mark.parametrize(
    "histogram",
    [
        "====",
        "HISTFA",
        latency().histogram[:-8],
        encoded(b""),
        encoded(header(), cookie=7),
        encoded(header(length=1)),
        encoded(header(digits=5)),
        encoded(header(highest=1 << 62)),
        encoded(header(1 << 30) + bytes(1 << 30)),
    ],
    ids=range(9),
)
def test_a_histogram_that_is_none_is_refused_and_not_unpacked_without_end(histogram: str) -> None:
    line = f"Tag=connect,0.000,1.000,1.000,{histogram}\n".encode()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="not a histogram"):
            read_line(line)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("counts", [b"\xff" * 200, b"\x7f" * 9000, b"\xff" * 9 + b"\x01", b"\x80"])
def test_counts_that_cannot_be_are_no_traceback(counts: bytes) -> None:
    read = Latency.parse(f"Tag=connect,0.000,1.000,1.000,{encoded(header(len(counts)) + counts)}")
    with contextlib.suppress(ValueError):
        Distribution().add(read)


def test_documents_come_back_with_their_version(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    asked = made_info("main", status=Status.RUNNING, scenario={"title": "é"})
    run.write_info(asked)
    assert run.info() == asked
    run.write_info(made_info())
    assert run.info() == made_info()
    assert run.info().schema_version == SCHEMA_VERSION
    run.write_summary(summary_document("x", [], [], whole=True))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == ["schema_version", "run", "valid", "passed", "verdict", "claims", "variants"]
    assert (summary["schema_version"], summary["variants"]) == (SCHEMA_VERSION, {})
    # Replaced whole, and nothing of the making is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "summary.json"]


def test_a_document_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_info(made_info(status=Status.RUNNING))
    with pytest.raises(TypeError):
        run.write_info(made_info(scenario={"title": object()}))
    assert run.info().status is Status.RUNNING


def test_a_directory_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json: not found; is .* a run directory\?"):
        RunDirectory(tmp_path).info()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ('{"schema_version": 4', "not JSON"),
        ("\xff", "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{}", "schema_version None, but this churn reads 4"),
        ('{"schema_version": 1}', "schema_version 1, but this churn reads 4"),
        ('{"schema_version": "4"}', "schema_version '4', but this churn reads 4"),
    ],
)
def test_a_document_that_is_none_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=problem) as caught:
        RunDirectory(tmp_path).info()
    assert str(tmp_path / "run.json") in str(caught.value)


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
