"""One io_uring: its memory is mapped and seen as numpy arrays, and one system call through ctypes drives it.

The ring is made with SINGLE_ISSUER and DEFER_TASKRUN: the kernel reads submissions and writes
completions only inside this thread's own calls of `enter`. So nothing here races with the kernel,
and no memory barriers are needed.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadgen.uring import abi

_MASK = 0xFFFFFFFF
_SECOND_NS = 1_000_000_000
_WAIT_ENDED = frozenset({errno.ETIME, errno.EINTR})
"""The time limit was reached, or a signal came: what has completed meanwhile can be reaped."""
_LATER = frozenset({errno.EAGAIN, errno.EBUSY})
"""The kernel wants completions to be reaped, or memory to be free, before it takes more."""


class Ring:
    """Entries go in by `push`, over by `enter`, and are answered by completions, taken by `reap`."""

    def __init__(self, entries: int, completions: int) -> None:
        """Both counts are rounded up to powers of two; completions are no fewer than entries.

        Raises OSError if the kernel refuses.
        """
        setup = abi.Setup.CQSIZE | abi.Setup.SUBMIT_ALL | abi.Setup.SINGLE_ISSUER | abi.Setup.DEFER_TASKRUN
        params = abi.Params(cq_entries=completions, flags=int(setup))
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        # Every argument fills its register: what is passed as an int leaves the upper half undefined.
        self._syscall.argtypes = [ctypes.c_long] * 7
        self.fd = self._call(abi.SYS_SETUP, entries, ctypes.addressof(params))
        sq, cq = params.sq_off, params.cq_off
        size = max(sq.array + 4 * params.sq_entries, cq.cqes + abi.CQE.itemsize * params.cq_entries)
        rings = mmap.mmap(self.fd, size)
        entries_map = mmap.mmap(self.fd, params.sq_entries * abi.SQE.itemsize, offset=abi.OFFSET_SQES)
        self.entries = params.sq_entries
        self._sqes = np.frombuffer(entries_map, np.uint64).reshape(-1, abi.WORDS)
        self._cqes = np.frombuffer(rings, np.uint64, 2 * params.cq_entries, cq.cqes).reshape(-1, 2)
        self._sq_tail = np.frombuffer(rings, np.uint32, 1, sq.tail)
        self._cq_head = np.frombuffer(rings, np.uint32, 1, cq.head)
        self._cq_tail = np.frombuffer(rings, np.uint32, 1, cq.tail)
        # Entry i is always at place i.
        np.frombuffer(rings, np.uint32, self.entries, sq.array)[:] = np.arange(self.entries)
        self._pushed = 0
        self._tail = 0
        self._limit = abi.Timespec()
        self._wait = abi.GetEventsArg(ts=ctypes.addressof(self._limit))
        flags = int(abi.Enter.GETEVENTS | abi.Enter.EXT_ARG)
        self._waiting = (flags, ctypes.addressof(self._wait), ctypes.sizeof(self._wait))

    @property
    def room(self) -> int:
        """How many entries can be pushed before the next `enter`."""
        return self.entries - self._pushed

    def push(self, entries: NDArray[np.uint64]) -> None:
        """Queue entries: `SQE` as words, shape (n, `WORDS`), n up to `room`, linked ones side by side."""
        count = len(entries)
        start = self._tail % self.entries
        before_end = min(count, self.entries - start)
        self._sqes[start : start + before_end] = entries[:before_end]
        if before_end < count:
            self._sqes[: count - before_end] = entries[before_end:]
        self._tail = (self._tail + count) & _MASK
        self._sq_tail[0] = self._tail
        self._pushed += count

    def enter(self, wait: int = 0, timeout_ns: int = 0) -> None:
        """Hand over what was pushed, then wait for `wait` completions, at most `timeout_ns` nanoseconds.

        With `wait` 0 it only runs what is due. Raises OSError.
        """
        self._limit.seconds, self._limit.nanoseconds = divmod(timeout_ns, _SECOND_NS)
        try:
            self._pushed -= self._call(abi.SYS_ENTER, self.fd, self._pushed, wait, *self._waiting)
        except OSError as error:
            if error.errno not in _WAIT_ENDED | _LATER:
                raise

    def reap(self) -> NDArray[Any]:
        """Take all completions there are: a copy, of dtype `CQE`."""
        head, tail = int(self._cq_head[0]), int(self._cq_tail[0])
        count = (tail - head) & _MASK
        start = head % len(self._cqes)
        taken = self._cqes[start : start + count].copy()
        if len(taken) < count:
            taken = np.concatenate((taken, self._cqes[: count - len(taken)]))
        self._cq_head[0] = tail
        return taken.view(abi.CQE).reshape(-1)

    def register_files(self, count: int) -> None:
        """Give the ring a table of `count` files, empty. Raises OSError, EMFILE beyond RLIMIT_NOFILE."""
        table = abi.FilesRegister(nr=count, flags=abi.FILES_SPARSE)
        self._register(abi.Register.FILES2, table, ctypes.sizeof(table))

    def register_open(self, descriptors: Sequence[int]) -> None:
        """Give the ring a table of files that are open, from now on by the ring too. Raises OSError."""
        self._register(
            abi.Register.FILES, (ctypes.c_int32 * len(descriptors))(*descriptors), len(descriptors)
        )

    def operations(self) -> frozenset[int]:
        """The opcodes that this kernel supports."""
        probe = abi.Probe()
        self._register(abi.Register.PROBE, probe, len(probe.ops))
        return frozenset(each.op for each in probe.ops if each.flags & abi.OP_SUPPORTED)

    def close(self) -> None:
        """Give the ring back. What it held, files and pending operations, the kernel ends."""
        # The mappings keep it, and these keep the mappings.
        del self._sqes, self._cqes, self._sq_tail, self._cq_head, self._cq_tail
        os.close(self.fd)

    def _register(
        self, what: abi.Register, argument: ctypes.Structure | ctypes.Array[Any], size: int
    ) -> None:
        self._call(abi.SYS_REGISTER, self.fd, int(what), ctypes.addressof(argument), size)

    def _call(self, number: int, *arguments: int) -> int:
        answer = self._syscall(number, *arguments, *(0,) * (6 - len(arguments)))
        if answer < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"io_uring: {os.strerror(error)}")
        return answer
