"""What a load worker reads and reports: messages on its stdin, JSON lines on its stdout."""

import os
import select

from loadgen.drivers.tally import Tally
from loadgen.records.aggregation import Taken, merged
from loadgen.wire.lines import Lines
from loadgen.wire.messages import GapCause, Unobserved
from loadgen.wire.pulse import Pulse, Span

STDIN = 0
SWEEP_NS = 50_000_000
"""How often a load worker looks at deadlines, at its stdin, and whether it was held up meanwhile."""


def read_message() -> str:
    """The next line of stdin, waited for; empty at its end. No more is read: another reader may follow."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(STDIN, 1)
        if not byte:
            return ""
        line += byte
    return line.decode()


def stop_requested() -> bool:
    """Whether stdin has a line, or its end: after the load has begun, both mean stop."""
    return bool(select.select([STDIN], [], [], 0)[0])


class Reporter:
    """Reports what a worker counted, interval by interval, and the spans in which it was held up.

    Intervals for which the pipe has no room are merged into one, which is reported once there is room: no
    count and no latency is lost, but their times are.
    """

    def __init__(self, lines: Lines, tally: Tally, origin_ns: int) -> None:
        self._lines = lines
        self._tally = tally
        self._origin_ns = origin_ns
        self._pulse = Pulse(SWEEP_NS, origin_ns)
        self._taken_ns = 0
        self._merged: Taken | None = None

    def beat(self, now_ns: int) -> None:
        """The worker runs: once a sweep at least."""
        self._lines.flush()
        if (span := self._pulse.beat(now_ns)) is not None:
            self._say_gap(span, GapCause.HELD_UP)

    def take(self, end_ns: int, *, last: bool = False) -> None:
        """The interval ends that began with the last one's end; the `last` one is reported in any case."""
        self.beat(end_ns)
        start_ns, self._taken_ns = self._taken_ns, end_ns - self._origin_ns
        taken = Taken(*self._tally.take(start_ns, self._taken_ns, self._origin_ns))
        if self._merged is not None:
            start_ns = self._merged.interval.start_ns
            taken = merged(start_ns, self._taken_ns, taken.interval.in_flight, [self._merged, taken])
        if self._lines.full and not last:
            self._merged = taken
            return
        if self._merged is not None:
            self._merged = None
            self._say_gap(Span(self._origin_ns + start_ns, end_ns), GapCause.UNREAD)
        self._lines.say(taken.interval)
        for counts in taken.latencies:
            self._lines.say(counts)

    def _say_gap(self, span: Span, cause: GapCause) -> None:
        self._lines.say(Unobserved(span.start_ns, span.end_ns, cause))
