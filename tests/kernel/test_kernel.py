"""The files of /proc that churn reads: their parsers on fixture texts, their descriptors on this kernel."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from loadgen.kernel import meminfo, netstat, process, schedstat, snmp, sockstat, softnet
from loadgen.kernel.process import CpuClock, CpuTime, open_all
from loadgen.kernel.procfile import ParseError
from loadgen.kernel.sockstat import Sockstat
from tests.peers import need

CLONE_NEWNET = 0x40000000
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "proc"
PARSERS: dict[str, Callable[[bytes], object]] = {
    "sockstat": sockstat.parse,
    "snmp": snmp.parse,
    "netstat": netstat.parse,
    "softnet_stat": softnet.parse,
    "meminfo": meminfo.parse,
    "stat": process.parse,
    "schedstat": schedstat.parse,
}
BROKEN = sorted(path.relative_to(FIXTURES / "broken") for path in (FIXTURES / "broken").glob("*/*"))


def test_sockstat_is_the_tcp_line() -> None:
    with sockstat.open(FIXTURES / "net") as file:
        assert file.read() == Sockstat(inuse=68, orphan=1, tw=28_012, alloc=301, mem=257)


def test_time_wait_is_tw_without_the_fin_wait_2_minisockets() -> None:
    stat = Sockstat(inuse=0, orphan=0, tw=12, alloc=0, mem=0)
    assert stat.time_wait(5) == 7
    assert stat.time_wait(13) == 0, "a burst between two readings is no negative count"


def test_snmp_keeps_the_recorded_counters_of_tcp() -> None:
    with snmp.open(FIXTURES / "net") as file:
        assert file.read() == {
            "ActiveOpens": 282_000,
            "PassiveOpens": 11,
            "AttemptFails": 5,
            "EstabResets": 120,
            "CurrEstab": 64,
            "InSegs": 124,
            "OutSegs": 124,
            "RetransSegs": 9,
            "OutRsts": 81,
        }


def test_netstat_keeps_the_recorded_counters_of_tcpext() -> None:
    with netstat.open(FIXTURES / "net") as file:
        counters = file.read()
    assert list(counters) == list(netstat.COUNTERS)
    assert counters["TW"] + counters["TWKilled"] + counters["TCPTimeWaitOverflow"] == 282_003
    assert (counters["ListenOverflows"], counters["ListenDrops"]) == (12, 13)
    assert (counters["TCPAbortOnData"], counters["TCPAbortOnClose"]) == (80, 40)


def test_a_counter_the_kernel_lacks_is_absent_not_zero() -> None:
    with netstat.open(FIXTURES / "old" / "net") as file:
        counters = file.read()
    assert counters["TW"] == 42
    assert counters["TWKilled"] == 0
    assert "PAWSTimewait" not in counters


def test_softnet_sums_the_drops_of_every_cpu() -> None:
    with softnet.open(FIXTURES / "net") as file:
        assert file.read() == 0x1A + 0x10


def test_cpu_time_is_found_behind_a_name_with_spaces_and_parentheses() -> None:
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    with CpuClock(4242, FIXTURES) as clock:
        assert clock.read() == CpuTime(user_ns=250 * tick_ns, system_ns=1375 * tick_ns)


def test_the_time_without_a_core_is_known_or_absent() -> None:
    with schedstat.WaitClock(4242, FIXTURES) as clock:
        assert clock.read() == 55_024_156
    waits = schedstat.open_all([os.getpid(), os.getppid()])
    assert [clock.read() >= 0 for clock in waits] == [True, True]
    for clock in waits:
        clock.close()
    # Absent, and not 0, where the kernel does not tell.
    assert schedstat.open_all([os.getpid()], FIXTURES / "old") == []


def test_a_process_that_ended_has_waited_as_long_as_it_had() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        clock = schedstat.WaitClock(child.pid)
        before_ns = clock.read()
        child.communicate()
    with clock:
        assert clock.read() >= before_ns


@pytest.mark.parametrize("path", BROKEN, ids=str)
def test_a_broken_text_is_an_error_that_names_its_source(path: Path) -> None:
    text = (FIXTURES / "broken" / path).read_bytes()
    with pytest.raises(ParseError) as caught:
        PARSERS[path.parent.name](text)
    assert caught.value.source == path.parent.name
    assert caught.value.line in text
    assert str(caught.value).startswith(f"{path.parent.name}: ")


def test_every_source_has_broken_fixtures() -> None:
    assert {path.parent.name for path in BROKEN} == PARSERS.keys()


def test_meminfo_is_the_slab_that_cannot_be_reclaimed() -> None:
    with meminfo.open(FIXTURES / "net") as file:
        assert file.read() == 66_444 * 1024
    assert meminfo.parse(b"MemTotal:        4031428 kB\n") is None


def test_every_prefix_of_a_text_reads_or_is_an_error() -> None:
    """No other exception escapes: a cut can fall anywhere."""
    for name, parse in PARSERS.items():
        path = FIXTURES / ("4242" if name in ("stat", "schedstat") else "net") / name
        text = path.read_bytes()
        for end in range(len(text)):
            with suppress(ParseError):
                parse(text[:end])


def test_a_text_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    line = b"00000001 00000001 " + b"00000000 " * 13 + b"\n"
    (tmp_path / "softnet_stat").write_bytes(line * 2000)
    with softnet.open(tmp_path) as file:
        assert file.read() == 2000


def test_a_kept_descriptor_reads_the_present() -> None:
    with CpuClock(os.getpid()) as clock:
        first = now = clock.read()
        while now == first:
            now = clock.read()
    assert now.user_ns + now.system_ns > first.user_ns + first.system_ns


def test_close_gives_the_descriptor_back() -> None:
    file = sockstat.open()
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.read()


def test_this_kernel_has_every_file_and_every_counter_of_tcp() -> None:
    with sockstat.open() as stat, snmp.open() as tcp, netstat.open() as ext, softnet.open() as drops:
        assert stat.read().alloc >= 0
        assert list(tcp.read()) == list(snmp.COUNTERS)
        assert ext.read().keys() <= set(netstat.COUNTERS)
        assert drops.read() >= 0
    with meminfo.open() as memory:
        assert (memory.read() or 0) > 0


def test_a_process_that_ended_answers_with_its_last_value() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child,
        CpuClock(child.pid) as clock,
        CpuClock(child.pid) as unread,
    ):
        used = clock.read()
        child.communicate(b"\n")
        assert clock.read() == used
        assert unread.read() == CpuTime(0, 0)
    (late,) = open_all([child.pid])
    assert late.read() == CpuTime(0, 0)


def test_a_file_belongs_to_the_namespace_of_the_thread_that_opened_it() -> None:
    need("ip", "unshare")
    program = f"""
import ctypes, socket, subprocess, threading
from loadgen.kernel import snmp

def opens(file):
    return file.read()["ActiveOpens"]

def elsewhere():
    ctypes.CDLL(None).unshare({CLONE_NEWNET:#x})
    with snmp.open() as here:
        print("thread", opens(here), "kept", opens(kept))

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
kept = snmp.open()
with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
"""
    command = ["unshare", "-Urn", sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["thread", "0", "kept", "1"]
