"""What signals mean to churn, whatever its caller has made of them."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Each ends churn in order: from the keyboard, from a supervisor, from a terminal that closes."""


def mend_signals() -> None:
    """Make every stop signal a KeyboardInterrupt, and have the end of a child noticed.

    A mask and an ignored SIGCHLD are inherited by accident, and undone: without SIGCHLD libuv waits for ever
    for a child that has ended. Raises KeyboardInterrupt for a stop signal that waited.
    """
    for number in _heeded():
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def end_signals() -> None:
    """Ignore stop signals from now on: the exit code is decided, and the interpreter is about to end."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_handler(stop: Callable[[], None]) -> Generator[None]:
    """Within, the running event loop calls `stop` for every stop signal; afterwards they interrupt again."""
    loop, numbers = asyncio.get_running_loop(), _heeded()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        # uvloop leaves the system's default behind: a signal would kill churn while it draws figures.
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def _heeded() -> list[signal.Signals]:
    """The stop signals, but for those that the caller ignores: `nohup`, and a shell's `&`, mean it."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
