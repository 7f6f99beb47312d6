"""Processes that Ctrl-C at the terminal does not reach: it is for churn alone, which then decides.

The terminal sends SIGINT to a whole process group, and a process belongs to churn's until it has a session
of its own. A Ctrl-C in that moment would kill it, as a death that nobody asked for.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

_INTERRUPT = frozenset({signal.SIGINT})


@contextmanager
def interrupts_wait() -> Generator[None]:
    """Within, a SIGINT to this thread waits, and one to a process that is forked here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_terminal() -> None:
    """Between fork and exec: take a session, and drop the SIGINT that came before it.

    For a preexec_fn. Whoever forks has SIGINT wait, by `interrupts_wait`; uvloop does so by itself.
    """
    with suppress(PermissionError):  # it leads one already
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what waits is dropped by this
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
