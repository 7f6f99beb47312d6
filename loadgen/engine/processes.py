"""Signals to the processes of a side: churn's own workers, or the command that a keeper keeps."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from signal import Signals

from loadgen.kernel.process import descendants


def signal_all(pids: Iterable[int], number: Signals, *, command: bool, all_of_it: bool = False) -> None:
    """Send a signal to each process. If they keep a `command`, to the command, or to `all_of_it`."""
    for pid in pids:
        for target in _commanded(pid, all_of_it) if command else (pid,):
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(target, number)


def _commanded(keeper: int, all_of_it: bool) -> Iterator[int]:
    """The command below a keeper and the first process of its PID namespace; then what it has started."""
    _first, *below = descendants(keeper) or (0,)
    yield from below if all_of_it else below[:1]
