"""/proc/<pid>/stat: the CPU time a process has used."""

import os
from dataclasses import dataclass
from pathlib import Path

from loadgen.kernel.procfile import PROC, ParseError, ProcFile

_NAME = "stat"
# Counted after the command's name: utime and stime are fields 14 and 15 of proc_pid_stat(5), state is 3.
_UTIME, _STIME = 11, 12


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of all threads of a process, without its children. Resolution is a tick, mostly 10 ms."""

    user_ns: int
    system_ns: int


def parse(text: bytes) -> CpuTime:
    """The times in one `stat` line. Raises ParseError."""
    # The command stands in parentheses and may itself hold spaces and parentheses: cut at the last one.
    _, parenthesis, rest = text.rpartition(b")")
    fields = rest.split()
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    try:
        user, system = int(fields[_UTIME]), int(fields[_STIME])
    except (IndexError, ValueError):
        raise ParseError(_NAME, "no utime and stime", text) from None
    if not parenthesis:
        raise ParseError(_NAME, "no command in parentheses", text)
    return CpuTime(user * tick_ns, system * tick_ns)


class CpuClock(ProcFile[CpuTime]):
    """The CPU time of one process, never of a later one with its number: the descriptor tells them apart.

    A process that ended answers with the last value read, so that what is summed over processes never falls.
    (A zombie still answers for itself.)
    """

    def __init__(self, pid: int, root: Path = PROC) -> None:
        """Open `root`/`pid`/stat. Raises FileNotFoundError if there is no such process."""
        super().__init__(root / str(pid) / _NAME, parse)
        self._last: CpuTime | None = None

    def read(self) -> CpuTime:
        """The time used so far. Raises ProcessLookupError if the process ended before the first reading."""
        try:
            self._last = super().read()
        except ProcessLookupError:
            if self._last is None:
                raise
        return self._last
