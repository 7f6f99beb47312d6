"""A run with a capture: its packets, the endings that churn counted, and the samples agree."""

import json
import os
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.analysis.packets.beside import beside
from loadgen.analysis.packets.connection import Connection, connections
from loadgen.analysis.packets.states import TIME_WAIT_NS, contradictions, spans
from loadgen.records.directory import RunDirectory
from loadgen.records.events import Captured, Origin
from loadgen.records.pcapng import read_capture
from loadgen.records.segment import Flags
from loadgen.records.types import Sample
from loadgen.tcp import Ending, How, Side, State
from tests.command import churn
from tests.runs.closings import CRASHED, OPEN_CLIENT, OPEN_SERVER, SCENARIO, WAYS, expected, follows

SLACK_NS = 5_000_000
"""A sample is of no one instant: its reading takes some time, and on a busy machine more."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("ladder")
    (folder / "x.yaml").write_text(SCENARIO)
    done = churn("run", folder / "x.yaml", "--json", "--no-figures", runs=folder / "runs")
    assert done.code == 0, done.said
    (path,) = (folder / "runs").iterdir()
    return RunDirectory(path)


def captured(run: RunDirectory, variant: str) -> list[Connection]:
    return connections(read_capture(run.capture(variant)), beside(run.records(variant)))


def test_both_sides_pass_the_states_of_each_way_to_close(run: RunDirectory) -> None:
    for variant in run.variants():
        every, others = captured(run, variant), list[object]()
        for number, connection in enumerate(every):
            client, server = expected(variant, number)
            found = {side: [span.state.value for span in of] for side, of in spans(connection).items()}
            if not (
                follows(found[Side.CLIENT], f"{OPEN_CLIENT} {client}")
                and follows(found[Side.SERVER], f"{OPEN_SERVER} {server}")
            ):
                others.append((number, found))
        share = WAYS[variant].share if variant in WAYS else 1.0
        assert len(others) <= (1 - share) * len(every), (variant, others)


def test_a_crash_ends_the_states_of_its_side_without_a_segment(run: RunDirectory) -> None:
    every = captured(run, CRASHED)
    assert len(every) == 3
    for connection in every:
        client, server = (
            next(span for span in spans(connection)[side] if span.state is State.ESTABLISHED) for side in Side
        )
        assert client.end_ns is not None
        assert server.end_ns is None or server.end_ns > client.end_ns
        assert not [one for one in connection.transits if one.by is Side.CLIENT and one.at_ns > client.end_ns]


def test_a_fin_that_comes_again_restarts_time_wait_or_meets_a_reset(run: RunDirectory) -> None:
    (answered, *others), (reset, *_) = (
        [
            connection
            for connection in captured(run, variant)
            if any(one.ignored for one in connection.transits)
        ]
        for variant in ("last-ack-lost", "last-ack-lost-no-time-wait")
    )
    for connection in (answered, *others):
        (time_wait,) = (span for span in spans(connection)[Side.CLIENT] if span.state is State.TIME_WAIT)
        assert time_wait.restarted
        assert (time_wait.length_ns or 0) > TIME_WAIT_NS
        last = connection.transits[-1]
        assert (last.by, last.ignored, last.segment.has(Flags.RST)) == (Side.CLIENT, False, False)
    last = reset.transits[-1]
    assert (last.by, last.segment.has(Flags.RST)) == (Side.CLIENT, True)
    # Each FIN that comes again is one by the server, and numbered.
    again = [one.repeat for one in answered.transits if one.repeat]
    assert again == list(range(1, len(again) + 1))


def test_the_first_closers_in_the_capture_are_those_that_churn_counted(run: RunDirectory) -> None:
    summary = json.loads((run.path / "summary.json").read_text())
    for variant in run.variants():
        metrics = summary["variants"][variant]["metrics"]
        counted = Counter({ending: metrics[f"closes.{ending}"] for ending in Ending})
        found: Counter[Ending] = Counter()
        way = WAYS.get(variant)
        if variant == CRASHED:
            continue
        for connection in captured(run, variant):
            assert connection.closer is not None
            how = How.RST if connection.closer.segment.has(Flags.RST) else How.FIN
            found[Ending.of(connection.closer.by, how)] += 1
            lost = {(one.by, one.segment.takes) for one in connection.transits if one.lost}
            assert lost <= ({(Side.CLIENT, 0)} if way is not None and way.loses else set()), variant
        # Where FINs cross, each side is the first in its own packets.
        assert found == +counted or (counted[Ending.BOTH_FIN] and found.total() == counted.total()), variant
        assert counted.total() > 2
        (event,) = [record for record in run.records(variant) if isinstance(record, Captured)]
        assert (event.connections, event.dropped, event.error) == (counted.total(), 0, "")


def test_no_sample_contradicts_the_states_inferred(run: RunDirectory) -> None:
    compared = 0
    for variant in run.variants():
        records = list(run.records(variant))
        (origin,) = [record for record in records if isinstance(record, Origin)]
        zero_ns = round(origin.wall_s * 1e9)
        every = {
            side: [
                (connection.begin_ns - zero_ns, span)
                for connection in captured(run, variant)
                for span in spans(connection)[side]
            ]
            for side in Side
        }
        for record in records:
            if isinstance(record, Sample) and not record.late:
                # Those that were read earlier are left out: reading is dear on a busy machine.
                sampled = {
                    side: record.viewpoints[side].states
                    for side in Side
                    if record.viewpoints[side].states_age_ns == 0
                }
                slack_ns = SLACK_NS + record.cost_ns
                found = contradictions(every, sampled, record.t_ns, slack_ns, all_captured=True)
                assert found == [], variant
                compared += 1
    assert compared > 100


def test_another_reader_of_pcapng_finds_the_same_packets(run: RunDirectory) -> None:
    for variant in run.variants():
        data = run.capture(variant).read_bytes()
        packets = list(read_capture(run.capture(variant)))
        found = list(_packets(data))
        assert found == [(one.side, one.t_ns, one.sent, one.data) for one in packets]
        assert len(found) > 20


def _packets(data: bytes) -> Iterator[tuple[str, int, bool, bytes]]:
    """A reader of its own, after draft-ietf-opsawg-pcapng, sections 3 and 4."""
    names: list[str] = []
    place = 0
    assert data[:4] == b"\x0a\x0d\x0d\x0a"
    order = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}[data[8:12]]
    while place < len(data):
        kind, length = struct.unpack_from(f"{order}II", data, place)
        assert length % 4 == 0
        assert data[place + length - 4 : place + length] == data[place + 4 : place + 8]
        body = data[place + 8 : place + length - 4]
        if kind == 1:
            link, reserved = struct.unpack_from(f"{order}HH", body)
            options = _options(body[8:], order)
            assert (link, reserved, options[9]) == (101, 0, b"\x09")
            names.append(options[2].decode())
        elif kind == 6:
            number, high, low, captured, whole = struct.unpack_from(f"{order}IIIII", body)
            assert captured <= whole
            options = _options(body[20 + -(-captured // 4) * 4 :], order)
            direction = struct.unpack(f"{order}I", options[2])[0] & 3
            yield names[number], (high << 32) + low, direction == 2, body[20 : 20 + captured]
        place += length
    assert place == len(data)


def _options(body: bytes, order: str) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while (head := struct.unpack_from(f"{order}HH", body)) != (0, 0):
        found[head[0]] = body[4 : 4 + head[1]]
        body = body[4 + -(-head[1] // 4) * 4 :]
    return found


def test_tshark_opens_all_and_finds_no_malformed_frame(run: RunDirectory, tmp_path: Path) -> None:
    """`make peers` installs tshark. Where it is missing the reader above stands in, but not in CI."""
    program = shutil.which("tshark")
    assert program or os.environ.get("CI") != "true", "tshark is missing: make peers"
    expected_flags = [_flags(one.data) for name in run.variants() for one in read_capture(run.capture(name))]
    # A pcapng may have several sections, so the captures make one file: tshark takes long to start.
    path = tmp_path / "all.pcapng"
    path.write_bytes(b"".join(run.capture(name).read_bytes() for name in run.variants()))
    if program is None:
        for name in run.variants():
            assert list(_packets(run.capture(name).read_bytes()))
        return
    argv = [program, "-r", str(path), "-T", "fields", "-e", "tcp.flags", "-e", "_ws.malformed"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert not any(malformed for _, malformed in rows)
    assert [int(flags, 16) & 0x3F for flags, _ in rows] == expected_flags


def _flags(data: bytes) -> int:
    return data[(data[0] & 0xF) * 4 + 13] & 0x3F


def test_churn_ladder_draws_and_prints_a_connection(run: RunDirectory) -> None:
    variant = run.variants()[0]
    done = churn("ladder", run.path, "--variant", variant, "--connection", "2")
    assert done.code == 0, done.said
    assert "The client closes first, by FIN" in done.stdout
    assert "TIME-WAIT 60 s" in done.stdout
    for suffix in ("svg", "png"):
        path = run.figures / f"ladder-{variant}-2.{suffix}"
        assert path.stat().st_size > 10_000
        assert str(path) in done.stdout
    for arguments, words in (
        (("--variant", "x"), "there is no such variant"),
        (("--connection", "99"), "captured connections"),
    ):
        done = churn("ladder", run.path, *arguments)
        assert (done.code, words in done.stderr) == (2, True), done.said


def test_a_run_without_a_capture_is_refused_with_the_key_to_write(run: RunDirectory, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    for path in copy.glob("*/capture.pcapng"):
        path.unlink()
    done = churn("ladder", copy)
    assert done.code == 2
    assert "has no capture; write capture: {connections: 3}" in done.stderr
