"""A timer as fine as the kernel's: uvloop's own count whole milliseconds, a hundred starts at 100,000/s.

A timerfd (timerfd_create(2)) is a descriptor that becomes readable at an instant; Python has it from
3.13 on, so it is called through the C library here.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_SECOND_NS = 1_000_000_000


class _Itimerspec(ctypes.Structure):
    """struct itimerspec: the period, 0 for once, and the instant; seconds and nanoseconds each."""

    _fields_ = (("period", ctypes.c_long * 2), ("instant", ctypes.c_long * 2))


class Timer:
    """Calls back at instants of CLOCK_MONOTONIC, one at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        """Raises OSError for want of a descriptor."""
        self._library = ctypes.CDLL(None, use_errno=True)
        self._loop = loop
        self._callback = callback
        self._fd = self._call("timerfd_create", time.CLOCK_MONOTONIC, _TFD_FLAGS)
        loop.add_reader(self._fd, self._fired)

    def at(self, instant_ns: int) -> None:
        """Call back at `instant_ns`, or at once if it is past; this replaces an earlier request."""
        # An instant of 0 would disarm the timer.
        seconds, nanoseconds = divmod(max(instant_ns, 1), _SECOND_NS)
        spec = _Itimerspec((0, 0), (seconds, nanoseconds))
        self._call("timerfd_settime", self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _fired(self) -> None:
        os.read(self._fd, 8)
        self._callback()

    def _call(self, name: str, *arguments: object) -> int:
        answer: int = getattr(self._library, name)(*arguments)
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return answer
