"""conntrack: bytes the kernel once sent, of seven entries of which one is of UDP."""

import struct
from collections import Counter
from pathlib import Path

import pytest

from loadgen.kernel import conntrack
from loadgen.kernel.procfile import ParseError
from loadgen.tcp import Tracked

FIXTURES = Path(__file__).parents[1] / "fixtures"
MESSAGE = struct.Struct("=IHHII")
MIXED = {Tracked.TIME_WAIT: 3, Tracked.SYN_SENT: 1, Tracked.CLOSE_WAIT: 1, Tracked.CLOSE: 1}
COLUMNS = b"entries  clashres found insert_failed drop early_drop icmp_error\n"


def captured(name: str, of: str = "conntrack") -> bytes:
    """A receive buffer, stored as hexadecimal digits, one message a line."""
    return bytes.fromhex((FIXTURES / of / f"{name}.hex").read_text())


def done(code: int = 0, kind: int = 3) -> bytes:
    return MESSAGE.pack(20, kind, 2, 0, 0) + struct.pack("=i", code)


def test_entries_are_counted_by_state_and_those_of_other_protocols_are_not() -> None:
    part = conntrack.parse(captured("mixed"), {})
    assert (part.entries, part.done) == (MIXED, False)


def test_entries_that_are_alike_are_counted_as_one_by_one() -> None:
    places: conntrack.Places = {}
    buffer = captured("time_wait")
    first = conntrack.parse(buffer, places)
    assert places
    again = conntrack.parse(buffer, places)
    assert first == again
    assert first.entries == {Tracked.TIME_WAIT: 3}


def test_a_place_that_is_known_is_not_taken_for_an_entry_that_differs() -> None:
    places: conntrack.Places = {}
    conntrack.parse(captured("time_wait"), places)
    (length,) = places
    # Another protocol's entry of the same length: the state's attribute has another type.
    other = bytearray(captured("time_wait"))
    place, _ = places[length]
    other[place + 2] = 9
    assert conntrack.parse(bytes(other), places).entries == {Tracked.TIME_WAIT: 2}


def test_the_end_of_a_dump_is_seen_behind_entries_and_alone() -> None:
    places: conntrack.Places = {}
    for _ in range(2):
        part = conntrack.parse(captured("time_wait") + done(), places)
        assert (part.entries, part.done) == ({Tracked.TIME_WAIT: 3}, True)
    assert conntrack.parse(captured("done", "sock_diag"), places) == conntrack.Part(Counter(), done=True)


def test_an_error_of_the_kernel_is_raised() -> None:
    with pytest.raises(PermissionError):
        conntrack.parse(done(-1, kind=2), {})


@pytest.mark.parametrize(
    "buffer",
    [
        captured("mixed")[:-4],
        captured("mixed")[:10],
        MESSAGE.pack(8, 0x100, 0, 0, 0),
        MESSAGE.pack(20, 0x999, 0, 0, 0) + bytes(4),
        MESSAGE.pack(28, 0x100, 0, 0, 0) + bytes(4) + struct.pack("=HHI", 99, 4, 0),
    ],
    ids=["cut", "short", "length", "kind", "attribute"],
)
def test_what_is_no_whole_entry_is_an_error(buffer: bytes) -> None:
    with pytest.raises(ParseError):
        conntrack.parse(buffer, {})


def test_counters_are_added_up_over_the_cpus_and_the_entries_are_not() -> None:
    text = COLUMNS + b"0000000a 0 1 00000010 00000011 0 0\n0000000a 0 1 00000001 00000002 3 0\n"
    found = conntrack.parse_stat(text)
    assert found.count == 10
    assert found.counters == {"insert_failed": 17, "drop": 19, "early_drop": 3}


@pytest.mark.parametrize(
    "text", [b"", COLUMNS, b"entries\n0\n", COLUMNS + b"1 2\n", COLUMNS + b"g 0 1 2 3 4 5\n"]
)
def test_counters_that_do_not_read_as_expected_are_an_error(text: bytes) -> None:
    with pytest.raises(ParseError):
        conntrack.parse_stat(text)
