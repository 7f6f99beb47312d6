"""Looking: at both sides' kernel counters, and at the CPU time and memory of both ends' processes."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic_ns
from typing import Self

from bench.reading import Look
from loadgen.kernel import snmp, sockstat
from loadgen.kernel.process import CpuClock, CpuTime
from loadgen.kernel.procfile import PROC, ProcFile

DATA_SENT = "TCPOrigDataSent"
NOTHING = CpuTime(0, 0)


def _data_sent(text: bytes) -> int:
    return snmp.parse_group("netstat", "TcpExt", (DATA_SENT,), text)[DATA_SENT]


class Probe:
    """Descriptors of both namespaces and of the processes, kept open while the block lasts."""

    def __init__(self, net: Path, server: Sequence[int]) -> None:
        self._open = ExitStack()
        self._snmp = self._open.enter_context(snmp.open(net))
        self._sockstat = self._open.enter_context(sockstat.open(net))
        self._server = [self._open.enter_context(CpuClock(pid)) for pid in server]
        self._client: list[CpuClock] = []
        self._requests: ProcFile[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def watch(self, client: Sequence[int]) -> None:
        """Take these processes for the client."""
        self._client = [self._open.enter_context(CpuClock(pid)) for pid in client]
        netstat = PROC / str(client[0]) / "net" / "netstat"
        self._requests = self._open.enter_context(ProcFile(netstat, _data_sent))

    @property
    def opened(self) -> int:
        return self._snmp.read()["PassiveOpens"]

    @property
    def established(self) -> int:
        """Connections that stand on the server's side now."""
        return self._snmp.read()["CurrEstab"]

    @property
    def time_wait(self) -> int:
        """TIME-WAITs on the server's side now: it has them where it closes first (K1)."""
        return self._sockstat.read().tw

    def look(self) -> Look:
        return Look(
            t_ns=monotonic_ns(),
            opened=self.opened,
            # Before there is a client its side has sent nothing: the lab is new.
            requested=self._requests.read() if self._requests else 0,
            client=_sum(self._client),
            server=_sum(self._server),
        )


def _sum(clocks: Sequence[CpuClock]) -> CpuTime:
    times = [clock.read() for clock in clocks]
    return CpuTime(sum(time.user_ns for time in times), sum(time.system_ns for time in times))


def memory_kib(pid: int, field: str, root: Path = PROC) -> int:
    """A line of /proc/<pid>/status in KiB: `VmHWM`, the peak, or `VmRSS`, the present. 0 once it ended."""
    try:
        status = (root / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    return 0


def run_time_ns(pid: int, root: Path = PROC) -> int:
    """CPU time of a process of one thread, in ns: finer than the ticks of /proc/<pid>/stat."""
    return int((root / str(pid) / "schedstat").read_text().split()[0])
