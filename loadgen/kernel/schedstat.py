"""/proc/<pid>/schedstat: the time a process was ready to run and waited for a core.

A process that shares its core and waits is limited by it; one that does not wait has nothing to do.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from loadgen.kernel.procfile import PROC, ParseError, ProcFile

_NAME = "schedstat"
_WAITED = 1  # Documentation/scheduler/sched-stats.rst: time on the CPU, time on a run queue, timeslices.


def parse(text: bytes) -> int:
    """Nanoseconds spent on a run queue, waiting. Raises ParseError."""
    try:
        return int(text.split()[_WAITED])
    except (IndexError, ValueError):
        raise ParseError(_NAME, "no time on a run queue", text) from None


class WaitClock(ProcFile[int]):
    """How long the main thread of one process has waited for a core; after its end, the last
    value read."""

    def __init__(self, pid: int, root: Path = PROC) -> None:
        """Open `root`/`pid`/schedstat. Raises FileNotFoundError without the process, or without
        CONFIG_SCHED_INFO."""
        super().__init__(root / str(pid) / _NAME, parse)
        self._last_ns = 0

    def read(self) -> int:
        with suppress(ProcessLookupError):
            self._last_ns = super().read()
        return self._last_ns


def open_all(pids: Iterable[int], root: Path = PROC) -> list[WaitClock]:
    """A clock for each process; none if this kernel does not report it."""
    try:
        return [WaitClock(pid, root) for pid in pids]
    except FileNotFoundError:
        return []
