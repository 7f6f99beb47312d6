"""Latencies: counted by a driver, gathered in histograms, written to a log that others can read."""

import io
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # pyright: ignore[reportMissingTypeStubs]
from hdrh.log import HistogramLogReader  # pyright: ignore[reportMissingTypeStubs]
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadgen.records.latency import (
    HIGHEST_NS,
    LOWEST_NS,
    Counts,
    Distribution,
    Latency,
    Tag,
    read_line,
    write_header,
)
from loadgen.wire.codec import decode, encode

HOUR_NS = 3_600_000_000_000
PRECISION = 2e-3
"""Three digits of the histogram, and twelve bits of the driver before it."""
UNIT_NS = 512
"""What a histogram whose least value is a microsecond counts in: the power of two below it."""


def counts(*values_ns: int, tag: Tag = Tag.SERVICE) -> Counts:
    return Counts.of(tag, np.array(values_ns, dtype=np.int64))


def distribution(values_ns: NDArray[np.int64]) -> Distribution:
    filled = Distribution()
    filled.record(Counts.of(Tag.SERVICE, values_ns))
    return filled


def taken(*values_ns: int, tag: Tag = Tag.SERVICE, start_ns: int = 0, end_ns: int = 10**9) -> Latency:
    latency = distribution(np.array(values_ns, dtype=np.int64)).take(tag, start_ns, end_ns)
    assert latency is not None
    return latency


def log_of(*latencies: Latency) -> str:
    file = io.StringIO()
    write_header(file, 1_800_000_000.5)
    for latency in latencies:
        file.write(latency.line() + "\n")
    return file.getvalue()


SHAPES = {
    "uniform": lambda random: random.integers(10_000, 900_000, 5000),
    "exponential": lambda random: 1000 + random.exponential(3e6, 5000),
    "log-normal": lambda random: 1000 + random.lognormal(14, 3, 5000),
    "two humps": lambda random: np.concatenate(
        [random.normal(2e5, 1e3, 2500), random.normal(3e9, 1e6, 2501)]
    ),
    "one value": lambda random: np.full(7, random.integers(1000, 10**12)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_agree_with_the_sorted_values(shape: str) -> None:
    values = np.asarray(SHAPES[shape](np.random.default_rng(3)), dtype=np.int64)
    filled = distribution(values)
    assert filled.count == len(values)
    for quantile in (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0):
        found = filled.quantile_ns(quantile)
        assert found is not None
        # Definitions differ in which of two neighbouring values they name: one rank either way.
        ranks = [100 * min(max(quantile + step / len(values), 0), 1) for step in (-1, 1)]
        low, high = np.percentile(values, ranks, method="inverted_cdf")
        assert low * (1 - PRECISION) - UNIT_NS <= found <= high * (1 + PRECISION) + UNIT_NS
    assert filled.max_ns == pytest.approx(values.max(), rel=PRECISION, abs=UNIT_NS)


@given(st.lists(st.integers(LOWEST_NS, HIGHEST_NS), min_size=1))
def test_counts_are_close_and_complete(values_ns: list[int]) -> None:
    made = counts(*values_ns)
    assert sum(made.counts) == len(values_ns)
    spread = np.repeat(made.values_ns, made.counts)
    for value, kept in zip(sorted(values_ns), spread.tolist(), strict=True):
        assert value * (1 - 1e-3) <= kept <= value


def test_counts_gather_what_is_alike() -> None:
    made = counts(5_000, 7_000, 5_000)
    assert (made.values_ns, made.counts) == ([5_000, 7_000], [2, 1])


def test_counts_survive_the_pipe() -> None:
    made = counts(5_000, 7_000)
    assert decode('{"type":"latency","tag":"service","values_ns":[5000,7000],"counts":[1,1]}', Counts) == made
    assert decode(encode(made), Counts) == made


@pytest.mark.parametrize(
    ("value_ns", "kept_ns"),
    [
        (0, LOWEST_NS),
        (1, LOWEST_NS),
        (LOWEST_NS, LOWEST_NS),
        (HOUR_NS, HOUR_NS),
        (HOUR_NS + 1, HOUR_NS),
        (1 << 62, HOUR_NS),
    ],
)
def test_extremes_are_kept_as_the_nearest_there_is(value_ns: int, kept_ns: int) -> None:
    filled = distribution(np.array([value_ns], dtype=np.int64))
    assert filled.count == 1
    assert filled.quantile_ns(0.5) == pytest.approx(kept_ns, rel=PRECISION, abs=UNIT_NS)
    assert filled.max_ns == pytest.approx(kept_ns, rel=PRECISION, abs=UNIT_NS)


def test_nothing_has_no_quantile_and_takes_no_line() -> None:
    empty = Distribution()
    assert empty.count == 0
    assert empty.quantile_ns(0.5) is None
    assert empty.take(Tag.CONNECT, 0, 1) is None


def test_taking_starts_anew() -> None:
    filled = distribution(np.array([5_000, 9_000], dtype=np.int64))
    first = filled.take(Tag.CONNECT, 0, 10)
    assert filled.take(Tag.CONNECT, 10, 20) is None
    filled.record(counts(70_000))
    second = filled.take(Tag.CONNECT, 10, 20)
    assert first
    assert second
    assert first.max_ns == pytest.approx(9_000, rel=PRECISION, abs=UNIT_NS)
    assert second.max_ns == pytest.approx(70_000, rel=PRECISION, abs=UNIT_NS)
    alone = Distribution()
    alone.add(second)
    assert alone.count == 1


def test_merged_histograms_are_one_of_all_values() -> None:
    random = np.random.default_rng(4)
    parts = [np.asarray(random.exponential(scale, 1000) + 1000, np.int64) for scale in (1e4, 1e6, 1e9)]
    merged, whole = Distribution(), distribution(np.concatenate(parts))
    for part in parts:
        merged.add(taken(*part.tolist()))
    assert merged.count == whole.count == 3000
    for quantile in (0.1, 0.5, 0.9, 0.99, 1.0):
        assert merged.quantile_ns(quantile) == whole.quantile_ns(quantile)
    assert merged.max_ns == pytest.approx(whole.max_ns, rel=PRECISION, abs=UNIT_NS)


def test_a_line_is_read_back() -> None:
    latency = taken(1_234_567, 2_000, tag=Tag.CONNECT, start_ns=1_500_000_000, end_ns=2_612_000_000)
    read = Latency.parse(latency.line())
    assert (read.tag, read.start_ns, read.end_ns) == (Tag.CONNECT, 1_500_000_000, 2_612_000_000)
    assert read.histogram == latency.histogram
    assert read.line() == latency.line()


def test_a_log_is_read_back_in_its_order() -> None:
    latencies = [taken(value, tag=tag) for value in (4_000, 8_000_000) for tag in Tag]
    head = [None] * 4
    found = [read_line(line.encode()) for line in log_of(*latencies).splitlines()]
    assert [one and one.line() for one in found] == [*head, *(latency.line() for latency in latencies)]


@pytest.mark.parametrize("line", ["Tag=connect", "Tag=other,0,1,1,HIST", "Tag=connect,x,1,1,HIST"])
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whatever it says: rundir adds the place)
        Latency.parse(line)


def test_other_tools_read_the_log(tmp_path: Path) -> None:
    """hdrh's reader knows nothing of churn; tags, times and values have to come through."""
    path = tmp_path / "latency.hlog"
    latencies = [
        taken(5_000_000, 6_000_000, tag=Tag.CONNECT, start_ns=0, end_ns=10**9),
        taken(7_000, tag=Tag.RESPONSE, start_ns=10**9, end_ns=2_250_000_000),
    ]
    path.write_text(log_of(*latencies))
    reader = HistogramLogReader(str(path), HdrHistogram(LOWEST_NS, HIGHEST_NS, 3))
    try:
        first, second = (reader.get_next_interval_histogram() for _ in range(2))
        assert reader.get_next_interval_histogram() is None
        assert reader.get_start_time_sec() == 1_800_000_000.5
    finally:
        reader.close()
    assert first
    assert second
    assert (first.get_tag(), first.get_total_count()) == ("connect", 2)
    assert (second.get_tag(), second.get_total_count()) == ("response", 1)
    assert first.get_value_at_percentile(100) == pytest.approx(6_000_000, rel=PRECISION, abs=UNIT_NS)
    assert second.get_value_at_percentile(50) == pytest.approx(7_000, rel=PRECISION, abs=UNIT_NS)
    # Absolute, in milliseconds.
    assert second.get_start_time_stamp() == pytest.approx(1_800_000_001_500)
    assert second.get_end_time_stamp() == pytest.approx(1_800_000_002_750)
