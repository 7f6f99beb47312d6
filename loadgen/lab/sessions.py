"""Processes that Ctrl-C at the terminal does not reach: only churn gets it, and stops them in order.

The terminal sends SIGINT to a whole process group, and a process belongs to churn's until it has a session
of its own. A Ctrl-C in that moment would kill it.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

_INTERRUPT = frozenset({signal.SIGINT})


@contextmanager
def interrupts_wait() -> Generator[None]:
    """Inside the block SIGINT is blocked, in this thread and in processes that it forks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_terminal() -> None:
    """Between fork and exec: begin a session, and drop a SIGINT that came before.

    For a preexec_fn. The caller forks inside `interrupts_wait`; uvloop blocks signals by itself.
    """
    with suppress(PermissionError):  # it is a session leader already
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops a pending one
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
