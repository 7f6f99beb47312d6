"""Signals: how churn handles them, whatever it inherited from its caller."""

import asyncio
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""The signals that stop churn in order: from the keyboard, a supervisor, a terminal that closes."""


def restore_signals() -> None:
    """Make every stop signal a KeyboardInterrupt, and restore SIGCHLD and the signal mask.

    An inherited mask or an ignored SIGCHLD is an accident: without SIGCHLD libuv waits for ever
    for a child that has ended. Raises KeyboardInterrupt for a stop signal that was pending.
    """
    for number in _handled():
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@contextmanager
def interruptible() -> Generator[None]:
    """Inside the block no KeyboardInterrupt is lost: one that Python raises in a finalizer comes at the end.

    What a finalizer raises is printed and ignored (sys.unraisablehook), and the garbage of a run has many.
    """
    lost: list[BaseException | None] = []
    before = sys.unraisablehook

    def hook(raised: "sys.UnraisableHookArgs") -> None:
        if issubclass(raised.exc_type, KeyboardInterrupt):
            lost.append(raised.exc_value)
        else:
            before(raised)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
    if lost:
        raise KeyboardInterrupt


def ignore_signals() -> None:
    """Ignore stop signals from now on: the exit code is decided, and the interpreter ends."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stop_handler(stop: Callable[[], None]) -> Generator[None]:
    """Inside the block the running event loop calls `stop` for every stop signal."""
    loop, numbers = asyncio.get_running_loop(), _handled()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        # uvloop restores the system's default: a signal would kill churn while it draws figures.
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Generator[None]:
    """Inside the block `stop` is called for every stop signal, and the system call that waits goes on."""
    numbers = _handled()

    def handle(_number: int, _frame: object) -> None:
        stop()

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)


def _handled() -> list[signal.Signals]:
    """The stop signals, except those that the caller ignores, as `nohup` and a shell's `&` do on purpose."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
