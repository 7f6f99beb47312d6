"""Latency histograms: HdrHistogram V2, kept per tag and second, in the HdrHistogram log format.

hdrhistogram's codec is used as it is. Its log writer is not: it drops tags and misformats times, so
the lines are written here. The log opens in any HdrHistogram tool (format 1.3, maxima in
milliseconds).
"""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TextIO

import numpy as np
from hdrh.histogram import HdrHistogram  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from loadgen.wire.messages import Message

LOWEST_NS = 1
"""A coarser unit would cost the digits of what takes microseconds, as connect() does (K8)."""
HIGHEST_NS = 3_600_000_000_000
"""One hour: the longest that a scenario may last."""
DIGITS = 3

_LARGEST = 1 << 20
"""Bytes of a histogram unpacked: 40 of its header, and 9 at most for each of 34,816 counts."""
_OUTER = struct.Struct(">II")
"""Before the packed part: cookie and length (HdrHistogram V2, `HdrHistogramEncoder` of hdrhistogram)."""
_INNER = struct.Struct(">IIIIQQd")
"""Unpacked, before the counts: cookie, their length, offset, digits, lowest and highest value, ratio."""
_PACKED_COOKIE, _COUNTS_COOKIE = 0x1C849314, 0x1C849313

HISTOGRAM_NS = 1_000_000_000
"""The stretch of time that one histogram of the latency log spans."""


class Tag(StrEnum):
    """What a latency spans."""

    START = "start"
    """From the intended start of a request to its actual one: what the generator, or a full pool, adds. In
    an open loop alone: in a closed one the two are one instant."""
    CONNECT = "connect"
    """From the call of connect() to ESTABLISHED."""
    RESPONSE = "response"
    """From the intended start of a request to its whole response: what a user waits."""
    SERVICE = "service"
    """From the actual start to the whole response: what the server and the network take."""


class Counts(Message, frozen=True, tag="latency"):
    """Latencies of one tag as they leave a driver: distinct values and how often each was seen.

    The values are rounded down to 12 significant bits, finer than the histogram's three digits. A
    driver sends these and not a histogram because filling one costs it milliseconds of its loop.
    """

    tag: Tag
    values_ns: Sequence[int]
    counts: Sequence[int]

    @classmethod
    def of(cls, tag: Tag, values_ns: NDArray[np.int64]) -> "Counts":
        clipped = np.clip(values_ns, LOWEST_NS, HIGHEST_NS)
        shift = np.maximum(np.floor(np.log2(clipped)).astype(np.int64) - 11, 0)
        values, counts = np.unique((clipped >> shift) << shift, return_counts=True)
        return cls(tag, values.tolist(), counts.tolist())

    @classmethod
    def merged(cls, parts: Sequence["Counts"]) -> "Counts":
        """All of them as one; they are of one tag, and there is at least one."""
        values_ns = np.concatenate([np.asarray(part.values_ns, np.int64) for part in parts])
        counts = np.concatenate([np.asarray(part.counts, np.int64) for part in parts])
        distinct, place = np.unique(values_ns, return_inverse=True)
        added = np.zeros(len(distinct), np.int64)
        np.add.at(added, place, counts)
        return cls(parts[0].tag, distinct.tolist(), added.tolist())

    def quantile_ns(self, quantile: float) -> int:
        """The value at `quantile` (0 to 1), nearest rank."""
        seen = np.cumsum(self.counts)
        rank = min(int(quantile * seen[-1]), int(seen[-1]) - 1)
        return self.values_ns[int(np.searchsorted(seen, rank, side="right"))]


@dataclass(frozen=True, slots=True)
class Latency:
    """The histogram of one tag over one stretch of time, encoded (HdrHistogram V2, base64)."""

    tag: Tag
    start_ns: int
    end_ns: int
    max_ns: int
    histogram: str

    def line(self) -> str:
        """This histogram as a line of a HdrHistogram log."""
        start_s, length_s = self.start_ns / 1e9, (self.end_ns - self.start_ns) / 1e9
        return f"Tag={self.tag},{start_s:.3f},{length_s:.3f},{self.max_ns / 1e6:.3f},{self.histogram}"

    @classmethod
    def parse(cls, line: str) -> "Latency":
        """Read a tagged log line back. Raises ValueError where it is none."""
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError("not a histogram")
        tag, start, length, maximum, histogram = found.groups()
        _check(histogram)
        start_ns = round(float(start) * 1e9)
        return cls(
            tag=Tag(tag),
            start_ns=start_ns,
            end_ns=start_ns + round(float(length) * 1e9),
            max_ns=round(float(maximum) * 1e6),
            histogram=histogram,
        )


_NUMBER = r"(-?[0-9]{1,9}\.[0-9]{3})"
_LINE = re.compile(rf"Tag=({'|'.join(Tag)}),{_NUMBER},{_NUMBER},{_NUMBER},([A-Za-z0-9+/]+=*)")


def _check(histogram: str) -> None:
    """Raise ValueError for a histogram that is not as `Distribution` writes them.

    One that grows without end when it is unpacked is unpacked as far as one of churn's can be.
    """
    try:
        packed = base64.b64decode(histogram, validate=True)
        cookie, length = _OUTER.unpack_from(packed)
        if (cookie, length) != (_PACKED_COOKIE, len(packed) - _OUTER.size):
            raise ValueError("not a histogram: its header is another")
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(packed[_OUTER.size :], _LARGEST)
        if not unpacking.eof or unpacking.unused_data:
            raise ValueError("not a histogram: it is cut short or too long")
        cookie, length, *form = _INNER.unpack_from(content)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise ValueError(f"not a histogram: {error}") from None
    if (cookie, length) != (_COUNTS_COOKIE, len(content) - _INNER.size) or form != [
        0,
        DIGITS,
        LOWEST_NS,
        HIGHEST_NS,
        1.0,
    ]:
        raise ValueError("not a histogram of churn's: its units are others")


def write_header(file: TextIO, start_wall_s: float) -> None:
    """Open a log: its times count from `start_wall_s`, seconds since the epoch."""
    file.write("#[Histogram log format version 1.3]\n")
    file.write(f"#[StartTime: {start_wall_s:.3f} (seconds since epoch)]\n")
    file.write(f"#[BaseTime: {start_wall_s:.3f} (seconds since epoch)]\n")
    file.write('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n')


def read_line(line: bytes) -> Latency | None:
    """A line of a log; None of its head. Raises ValueError."""
    text = line.decode("ascii")
    return None if text.startswith(("#[", '"StartTimestamp"')) else Latency.parse(text)


class Distribution:
    """A growing histogram of nanoseconds. Values beyond an hour count as an hour."""

    def __init__(self) -> None:
        self._histogram: Any = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)

    @property
    def count(self) -> int:
        return int(self._histogram.total_count)

    @property
    def max_ns(self) -> int:
        return int(self._histogram.get_max_value())

    def quantile_ns(self, quantile: float) -> int | None:
        """The value at `quantile` (0 to 1), None where nothing was recorded."""
        return int(self._histogram.get_value_at_percentile(100 * quantile)) if self.count else None

    def record(self, counts: Counts) -> None:
        for value_ns, count in zip(counts.values_ns, counts.counts, strict=True):
            self._histogram.record_value(value_ns, count)

    def add(self, latency: Latency) -> None:
        """Merge an encoded histogram. Raises ValueError for counts that cannot be."""
        try:
            self._histogram.decode_and_add(latency.histogram.encode())
        except (IndexError, OverflowError, RuntimeError, MemoryError) as error:
            raise ValueError(
                f"{latency.tag} at {latency.start_ns / 1e9:.0f} s: not a histogram ({error})"
            ) from None

    def take(self, tag: Tag, start_ns: int, end_ns: int) -> Latency | None:
        """What was recorded since the last take, encoded; None where that is nothing."""
        if not self.count:
            return None
        encoded: bytes = self._histogram.encode()
        taken = Latency(tag, start_ns, end_ns, self.max_ns, encoded.decode())
        self._histogram.reset()
        return taken


class Histograms:
    """Gathers latencies into one histogram a tag and second."""

    def __init__(self, emit: Callable[[Latency], None]) -> None:
        self._emit = emit
        self._gathering = {tag: Distribution() for tag in Tag}
        self._start_ns = 0
        self._end_ns = 0

    def add(self, counts: Counts) -> None:
        self._gathering[counts.tag].record(counts)

    def advance(self, end_ns: int) -> None:
        """An interval ended, whose latencies are still to come: those before it may be complete."""
        if self._end_ns - self._start_ns >= HISTOGRAM_NS:
            self.flush()
        self._end_ns = end_ns

    def flush(self) -> None:
        """Emit what was gathered."""
        for tag, distribution in self._gathering.items():
            latency = distribution.take(tag, self._start_ns, self._end_ns)
            if latency is not None:
                self._emit(latency)
        self._start_ns = self._end_ns
