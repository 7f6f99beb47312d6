"""Looking: at both sides' kernel counters, and at the CPU time and memory of both ends' processes."""

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from bench.session import Session
from bench.studies import SECOND_NS
from loadgen.kernel import snmp, sockstat
from loadgen.kernel.process import CpuClock, descendants
from loadgen.kernel.procfile import PROC, ProcFile

DATA_SENT = "TCPOrigDataSent"
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """The kernel's counts at one instant; all of them cumulative.

    opened      the server side's PassiveOpens
    requested   the client side's TCPOrigDataSent: segments with data, or a FIN, sent for the first time.
                A request fits one segment, so between two looks at kept connections these are the
                exchanges, whatever the size of a response.
    user_ns, system_ns, server_ns   CPU time of the client's processes, and of the server's
    """

    t_ns: int
    opened: int
    requested: int
    user_ns: int
    system_ns: int
    server_ns: int


def _data_sent(text: bytes) -> int:
    return snmp.parse_group("netstat", "TcpExt", (DATA_SENT,), text)[DATA_SENT]


class Probe(ExitStack):
    """Descriptors of both namespaces and of the processes, kept open while the block lasts."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        keep = self.enter_context
        server = PROC / str(session.server_pids[0]) / "net"
        self._snmp = keep(snmp.open(server))
        self._sockstat = keep(sockstat.open(server))
        self._requests = keep(ProcFile(PROC / str(session.client_pids[0]) / "net" / "netstat", _data_sent))
        self._server = [keep(CpuClock(pid)) for pid in session.server_pids]
        self._client = [keep(CpuClock(pid)) for pid in session.client_pids]

    @property
    def opened(self) -> int:
        return self._snmp.read()["PassiveOpens"]

    @property
    def established(self) -> int:
        """Connections that are established on the server's side now."""
        return self._snmp.read()["CurrEstab"]

    @property
    def time_wait(self) -> int:
        """TIME-WAITs on the server's side now: the side that closes first has them (K1)."""
        return self._sockstat.read().tw

    def look(self) -> Look:
        client, server = ([clock.read() for clock in clocks] for clocks in (self._client, self._server))
        return Look(
            t_ns=monotonic_ns(),
            opened=self.opened,
            requested=self._requests.read(),
            user_ns=sum(time.user_ns for time in client),
            system_ns=sum(time.system_ns for time in client),
            server_ns=sum(time.user_ns + time.system_ns for time in server),
        )


def memory_kib(pid: int, field: str, root: Path = PROC) -> int:
    """A line of /proc/<pid>/status in KiB: `VmHWM`, the peak, or `VmRSS`, the present. 0 once it ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(rf"^{field}:\s+(\d+) kB$", (root / str(pid) / "status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def command_peak_kib(pid: int) -> int:
    """The peak of a load worker, or of the command that a keeper (`loadgen.programs`) runs."""
    # A keeper's child holds the PID namespace; what comes after it is the command.
    command = list(descendants(pid))[1:]
    return sum(memory_kib(each, "VmHWM") for each in command or [pid])


async def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition came true in time; it is asked a hundred times a second."""
    limit_ns = monotonic_ns() + int(limit_s * SECOND_NS)
    while not condition():
        left_s = (limit_ns - monotonic_ns()) / SECOND_NS
        if left_s <= 0:
            return False
        await asyncio.sleep(min(POLL_S, left_s))
    return True
