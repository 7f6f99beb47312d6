"""Lines on a pipe: all of them arrive in order, and no reader that stands still stops the writer."""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any

import pytest
from msgspec import structs

from loadgen.drivers.channel import Reporter
from loadgen.drivers.plan import ClosedLoop
from loadgen.drivers.tally import Tally
from loadgen.observe import sampler
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Message
from loadgen.wire.pulse import HELD_UP_NS, Pulse, Span
from servers.lines import AcceptError, Served, say
from tests.made_records import STEP, S, sample


class Number(Message, frozen=True):
    """Any message."""

    number: int


@dataclass(slots=True)
class Pipe:
    """A pipe whose reader takes nothing until it is asked to."""

    reader: int
    writer: int

    def all(self) -> list[dict[str, Any]]:
        """Every line up to the end, which has to be reached."""
        with os.fdopen(os.dup(self.reader)) as file:
            return [json.loads(line) for line in file]

    def close(self, lines: Lines) -> list[dict[str, Any]]:
        """End the writing; all that was written."""
        found: list[dict[str, Any]] = []
        reading = Thread(target=lambda: found.extend(self.all()))
        reading.start()
        lines.close()
        os.close(self.writer)
        reading.join()
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield Pipe(reader, writer)
    os.close(reader)


def test_a_reader_that_stands_still_stops_nobody_and_then_gets_every_line_in_order(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    for number in range(10_000):
        lines.say(Number(number))
    assert not lines.full
    assert [line["number"] for line in pipe.close(lines)] == list(range(10_000))


def test_what_is_kept_is_written_as_room_comes(pipe: Pipe) -> None:
    lines = Lines(pipe.writer, most_bytes=100)
    while not lines.full:
        lines.say(Number(0))
    os.read(pipe.reader, 1 << 16)
    lines.flush()
    assert not lines.full
    pipe.close(lines)


def test_nobody_left_to_read_is_an_error_and_not_a_wait() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        Lines(writer).say(Number(0))
    os.close(writer)


def test_a_worker_that_is_not_read_merges_its_intervals_and_loses_no_count(pipe: Pipe) -> None:
    lines = Lines(pipe.writer, most_bytes=4096)
    tally = Tally(ClosedLoop(1))
    reporter = Reporter(lines, tally, 0)
    ends_ns = [STEP * (index + 1) for index in range(200)]
    for end_ns in ends_ns:
        tally.connected += 1
        tally.connect_ns.append(end_ns)
        reporter.take(end_ns, last=end_ns == ends_ns[-1])
    said = pipe.close(lines)
    intervals = [line for line in said if line["type"] == "interval"]
    (gap,) = [line for line in said if line["type"] == "unobserved"]
    assert len(intervals) < 100
    assert sum(line["connected"] for line in intervals) == 200
    assert sum(sum(line["counts"]) for line in said if line["type"] == "latency") == 200
    # They join, and the merged one is the gap that is said.
    assert [line["start_ns"] for line in intervals] == [0, *(line["end_ns"] for line in intervals[:-1])]
    *_, last = intervals
    assert (gap["start_ns"], gap["end_ns"]) == (last["start_ns"], last["end_ns"])
    assert gap["cause"] == "unread"


def test_a_sampler_that_is_not_read_drops_samples_and_counts_them(pipe: Pipe) -> None:
    lines = Lines(pipe.writer, most_bytes=4096)
    plan = sampler.Plan((), STEP, 0, {})
    reporter = sampler.Reporter(lines, plan, 0)
    for index in range(200):
        one = structs.replace(sample(index * STEP), missed=2 if index == 150 else 0)
        reporter.sample(one, last=index == 199)
    said = pipe.close(lines)
    samples = [line for line in said if line["type"] == "sample"]
    (gap,) = [line for line in said if line["type"] == "unobserved"]
    assert len(samples) + sum(line["missed"] for line in samples) == 202
    assert (gap["start_ns"], gap["end_ns"]) == (samples[-2]["t_ns"], samples[-1]["t_ns"])
    assert gap["cause"] == "unread"


def test_a_server_that_is_not_read_leaves_out_what_its_totals_count(pipe: Pipe) -> None:
    lines = Lines(pipe.writer, most_bytes=4096)
    for _ in range(1_000):
        say(lines, AcceptError("EMFILE"))
    say(lines, Served(accept_errors={"EMFILE": 1_000}))
    said = pipe.close(lines)
    assert len(said) < 500
    assert said[-1]["accept_errors"] == {"EMFILE": 1_000}


def test_a_pulse_that_comes_much_too_late_gives_the_span() -> None:
    pulse = Pulse(STEP, 0)
    assert pulse.beat(STEP) is None
    assert pulse.beat(2 * STEP + HELD_UP_NS - 1) is None
    assert pulse.beat(5 * S) == Span(2 * STEP + HELD_UP_NS - 1, 5 * S)
    assert pulse.beat(5 * S + STEP) is None


def test_a_load_worker_that_was_held_up_says_so_before_its_long_interval(pipe: Pipe) -> None:
    lines = Lines(pipe.writer)
    reporter = Reporter(lines, Tally(ClosedLoop(1)), S)
    reporter.beat(S + STEP // 2)
    reporter.take(S + 3 * S)
    gap, interval = pipe.close(lines)
    assert (gap["type"], interval["type"]) == ("unobserved", "interval")
    assert (gap["start_ns"], gap["end_ns"], gap["cause"]) == (S + STEP // 2, 4 * S, "held_up")
    assert (interval["start_ns"], interval["end_ns"]) == (0, 3 * S)
