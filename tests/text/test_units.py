"""Quantities: what is read, what is refused, and that each gives back the text it is read from."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text.units import ByteSize, Duration, PortRange, Rate, UnitError, whole


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("30s", 30_000_000_000),
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("10 us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("2min", 120_000_000_000),
        ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000),
        (" 5s ", 5_000_000_000),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_durations_are_nanoseconds(text: str, ns: int) -> None:
    assert Duration.parse(text) == ns


@pytest.mark.parametrize(
    ("text", "fragment", "hint"),
    [
        ("30", 'got "30"', "30s or 30ms"),
        ("", 'got ""', ""),
        ("-5s", 'got "-5s"', ""),
        ("5 parsecs", "expected a duration", ""),
        ("1h30m", "expected a duration", ""),
        ("12:30:00", "expected a duration", ""),
        ("1e3s", "expected a duration", ""),
        ("0.5ns", "finer than a nanosecond", "whole nanoseconds"),
        ("9" * 400 + "s", "expected a duration", ""),
        ("٣s", "expected a duration", ""),
    ],
)
def test_durations_say_what_is_wrong(text: str, fragment: str, hint: str) -> None:
    with pytest.raises(UnitError) as caught:
        Duration.parse(text)
    assert fragment in caught.value.message
    assert hint in caught.value.hint


def test_a_duration_is_written_in_the_largest_unit_that_leaves_it_whole() -> None:
    assert [str(Duration(ns)) for ns in (0, 1, 1_500, 1_500_000_000, 90_000_000_000, 60_000_000_000)] == [
        "0s",
        "1ns",
        "1500ns",
        "1500ms",
        "90s",
        "1min",
    ]
    assert Duration.parse("1500ms").seconds == 1.5


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("1000/s", 1000), ("2.5k/s", 2500), ("90/min", 1.5), ("3600/h", 1), ("10 / s", 10), ("0.5/s", 0.5)],
)
def test_rates_are_per_second(text: str, per_second: float) -> None:
    assert Rate.parse(text) == per_second


@pytest.mark.parametrize(
    ("text", "hint"),
    [("1000", "1000/s"), ("10k", "10k/s"), ("-1/s", ""), ("1/", ""), ("nan/s", ""), ("1e999/s", "")],
)
def test_rates_say_what_is_wrong(text: str, hint: str) -> None:
    with pytest.raises(UnitError, match="expected a rate such as 1000/s") as caught:
        Rate.parse(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128", 128),
        ("0", 0),
        ("1KiB", 1024),
        ("10kB", 10_000),
        ("10 KB", 10_000),
        ("2MiB", 2 << 20),
        ("5B", 5),
    ],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert ByteSize.parse(text) == size


@pytest.mark.parametrize("text", ["", "1.5KiB", "1e3", "-1", "1 GB", "010", "KiB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UnitError):
        ByteSize.parse(text)


def test_a_port_range_includes_both_ends() -> None:
    ports = PortRange.parse("32768-60999")
    assert (ports.first, ports.last, ports.count) == (32768, 60999, 28232)
    assert PortRange.parse("2000 - 2000").count == 1


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("x", 'expected a port range such as 32768-60999, got "x"'),
        ("32768", "expected a port range"),
        ("1000-2000", "within 1024 and 65535"),
        ("60000-65536", "within 1024 and 65535"),
        ("60999-32768", "is empty"),
        ("02000-3000", "expected a port range"),
        ("1-2-3", "expected a port range"),
    ],
)
def test_port_ranges_say_what_is_wrong(text: str, fragment: str) -> None:
    with pytest.raises(UnitError) as caught:
        PortRange.parse(text)
    assert fragment in caught.value.message


def test_an_empty_port_range_is_turned_round_by_its_hint() -> None:
    with pytest.raises(UnitError) as caught:
        PortRange(60999, 32768)
    assert caught.value.hint == "write 32768-60999"


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10), ("0", 0), ("-3", -3), ("1e3", 1000), ("1.5E+2", 150), (" 7 ", 7)]
)
def test_whole_numbers(text: str, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "1.5", "1.0", "1e-3", "1.25e1", "0x10", "0o17", "1_000", "no", "12:30", "1e999", "9" * 40, "١"],
)
def test_whole_numbers_that_are_none(text: str) -> None:
    with pytest.raises(UnitError, match="expected a whole number"):
        whole(text)


@pytest.mark.parametrize(("text", "hint"), [("010", "write 10"), ("00", "write 0"), ("08", "write 8")])
def test_a_leading_zero_is_ambiguous(text: str, hint: str) -> None:
    with pytest.raises(UnitError, match="ambiguous") as caught:
        whole(text)
    assert caught.value.hint == hint


@given(st.integers(0, 10**15 - 1))
def test_durations_and_sizes_survive_being_written(number: int) -> None:
    assert Duration.parse(str(Duration(number))) == number
    assert ByteSize.parse(str(ByteSize(number))) == number


@given(st.floats(0.01, 1e6))
def test_rates_survive_being_written(per_second: float) -> None:
    assert Rate.parse(str(Rate(per_second))) == per_second


@given(st.integers(1024, 65535), st.integers(0, 60000))
def test_port_ranges_survive_being_written(first: int, more: int) -> None:
    ports = PortRange(first, min(first + more, 65535))
    assert PortRange.parse(str(ports)) == ports


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (whole, Duration.parse, Rate.parse, ByteSize.parse, PortRange.parse):
        with contextlib.suppress(UnitError):
            assert read(text) is not None
