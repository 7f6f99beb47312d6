"""/proc/<pid>/stat: the CPU time that a process and its descendants have used."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadgen.kernel.procfile import PROC, ParseError, ProcFile

_NAME = "stat"
# Counted after the command's name: utime to cstime are fields 14 to 17 of proc_pid_stat(5), state is 3.
_TIMES = slice(11, 15)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of all threads of a process and of the children that it waited for, theirs included.

    Resolution is a tick, mostly 10 ms.
    """

    user_ns: int
    system_ns: int


def parse(text: bytes) -> CpuTime:
    """The times in one `stat` line. Raises ParseError."""
    # The command is in parentheses and may itself contain spaces and parentheses: cut at the last one.
    _, parenthesis, rest = text.rpartition(b")")
    fields = rest.split()
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    try:
        user, system, children_user, children_system = map(int, fields[_TIMES])
    except ValueError:
        raise ParseError(_NAME, "no utime and stime", text) from None
    if not parenthesis:
        raise ParseError(_NAME, "no command in parentheses", text)
    return CpuTime((user + children_user) * tick_ns, (system + children_system) * tick_ns)


def descendants(pid: int, root: Path = PROC) -> Iterator[int]:
    """The children of a process and theirs, as `root`/`pid`/task/*/children have them at this moment."""
    try:
        listed = [(task / "children").read_text() for task in (root / str(pid) / "task").iterdir()]
    except OSError:  # It ended meanwhile, or this kernel was built without CONFIG_PROC_CHILDREN.
        return
    for child in (int(number) for text in listed for number in text.split()):
        yield child
        yield from descendants(child, root)


class Ended:
    """The clock of a process that ended before its clock could be opened: its times are unknown."""

    def read(self) -> CpuTime:
        return CpuTime(0, 0)


class CpuClock(ProcFile[CpuTime]):
    """The CPU time of a process and of its descendants, which may come and go.

    What a child used is its parent's once that has waited for it, so the sum over those that are there misses
    nothing but what changed hands while it was read; it never falls. The descriptor belongs to this
    process and not to a later one with its number: if it has ended, the last value is returned. (A zombie
    still has its own.)
    """

    def __init__(self, pid: int, root: Path = PROC) -> None:
        """Open `root`/`pid`/stat. Raises FileNotFoundError if there is no such process."""
        super().__init__(root / str(pid) / _NAME, parse)
        self._pid = pid
        self._root = root
        self._last: CpuTime | None = None

    def read(self) -> CpuTime:
        """The time used so far; none if the process ended before the first reading."""
        try:
            times = [super().read()]
        except ProcessLookupError:
            return self._last or CpuTime(0, 0)
        for pid in descendants(self._pid, self._root):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
                times.append(parse((self._root / str(pid) / _NAME).read_bytes()))
        last = self._last or CpuTime(0, 0)
        self._last = CpuTime(
            max(last.user_ns, sum(time.user_ns for time in times)),
            max(last.system_ns, sum(time.system_ns for time in times)),
        )
        return self._last


def open_all(pids: Iterable[int], root: Path = PROC) -> list[CpuClock | Ended]:
    """A clock for each process, in their order; its parent reports if one has ended."""

    def opened(pid: int) -> CpuClock | Ended:
        try:
            return CpuClock(pid, root)
        except (FileNotFoundError, ProcessLookupError):
            return Ended()

    return [opened(pid) for pid in pids]
