"""The kernel's interface to io_uring: numbers and layouts of <linux/io_uring.h>, no I/O."""

import ctypes
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

SYS_SETUP = 425
SYS_ENTER = 426
SYS_REGISTER = 427
"""System call numbers, the same on every architecture that came after them."""

OFFSET_SQES = 0x10000000
"""The offset at which mmap() finds the submission entries; both rings are at 0."""

SQE = np.dtype(
    [
        ("opcode", "u1"),
        ("flags", "u1"),
        ("ioprio", "u2"),
        ("fd", "i4"),
        ("off", "u8"),
        ("addr", "u8"),
        ("len", "u4"),
        ("op_flags", "u4"),
        ("user_data", "u8"),
        ("buf_index", "u2"),
        ("personality", "u2"),
        ("file_index", "u4"),
        ("addr3", "u8"),
        ("pad", "u8"),
    ]
)
"""struct io_uring_sqe, 64 bytes: each union under the name of its most general member."""
WORDS = SQE.itemsize // 8
"""An entry as 64-bit words: numpy copies rows of these many times faster than structures."""
ADDR = 2
"""Which of these words is `addr`."""
LEN = 3
"""And which is `len`, with `op_flags` in its upper half."""

CQE = np.dtype([("user_data", "u8"), ("res", "i4"), ("flags", "u4")])
"""struct io_uring_cqe, 16 bytes: `res` is the call's result, or minus an errno."""


class Op(IntEnum):
    """Operations, as `opcode`."""

    POLL_ADD = 6
    ASYNC_CANCEL = 14
    CONNECT = 16
    CLOSE = 19
    SEND = 26
    RECV = 27
    SOCKET = 45
    URING_CMD = 46
    FIXED_FD_INSTALL = 54
    """Give the process a descriptor of a file of the ring's table (Linux 6.8)."""
    BIND = 56


class Flag(IntFlag):
    """Of one submission entry, as `flags`."""

    FIXED_FILE = 1 << 0
    """`fd` is an index into the ring's own table of files."""
    LINK = 1 << 2
    """The next entry begins when this one has succeeded; if it fails, the rest is cancelled."""
    HARDLINK = 1 << 3
    """The next entry begins when this one has ended, well or not."""
    CQE_SKIP_SUCCESS = 1 << 6
    """No completion if it succeeds. If it fails there is one, and none for what was linked after it."""


class Setup(IntFlag):
    """Of a ring."""

    CQSIZE = 1 << 3
    SUBMIT_ALL = 1 << 7
    """An entry that is refused does not stop the others."""
    SINGLE_ISSUER = 1 << 12
    DEFER_TASKRUN = 1 << 13
    """Completions are made only while the task waits for them: one wake-up a batch (Linux 6.1)."""


class Enter(IntFlag):
    GETEVENTS = 1 << 0
    EXT_ARG = 1 << 3


class Register(IntEnum):
    FILES = 2
    PROBE = 8
    FILES2 = 13


FILES_SPARSE = 1
"""A table of files that begins empty."""
SOCKET_SETSOCKOPT = 3
"""The command of URING_CMD that sets a socket option (Linux 6.7)."""
OP_SUPPORTED = 1


def _words(*names: str) -> tuple[tuple[str, Any], ...]:
    """The fields of a struct of offsets: 32 bits each, then the 64 of an address that is not ours to set."""
    return (*((name, ctypes.c_uint32) for name in names), ("user_addr", ctypes.c_uint64))


class SqOffsets(ctypes.Structure):
    _fields_ = _words("head", "tail", "mask", "entries", "flags", "dropped", "array", "resv1")
    tail: int
    array: int


class CqOffsets(ctypes.Structure):
    _fields_ = _words("head", "tail", "mask", "entries", "overflow", "cqes", "flags", "resv1")
    head: int
    tail: int
    cqes: int


class Params(ctypes.Structure):
    """struct io_uring_params: what is asked of io_uring_setup(2), and what it answers."""

    _fields_ = (
        ("sq_entries", ctypes.c_uint32),
        ("cq_entries", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("sq_thread_cpu", ctypes.c_uint32),
        ("sq_thread_idle", ctypes.c_uint32),
        ("features", ctypes.c_uint32),
        ("wq_fd", ctypes.c_uint32),
        ("resv", ctypes.c_uint32 * 3),
        ("sq_off", SqOffsets),
        ("cq_off", CqOffsets),
    )
    sq_entries: int
    cq_entries: int
    sq_off: SqOffsets
    cq_off: CqOffsets


class FilesRegister(ctypes.Structure):
    """struct io_uring_rsrc_register."""

    _fields_ = (
        ("nr", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("resv2", ctypes.c_uint64),
        ("data", ctypes.c_uint64),
        ("tags", ctypes.c_uint64),
    )


class Timespec(ctypes.Structure):
    """struct __kernel_timespec."""

    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))
    seconds: int
    nanoseconds: int


class GetEventsArg(ctypes.Structure):
    """struct io_uring_getevents_arg: the time limit of a wait."""

    _fields_ = (
        ("sigmask", ctypes.c_uint64),
        ("sigmask_sz", ctypes.c_uint32),
        ("min_wait_usec", ctypes.c_uint32),
        ("ts", ctypes.c_uint64),
    )


class ProbeOp(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("resv", ctypes.c_uint8),
        ("flags", ctypes.c_uint16),
        ("resv2", ctypes.c_uint32),
    )
    op: int
    flags: int


class Probe(ctypes.Structure):
    """struct io_uring_probe, with room for every operation there may be."""

    _fields_ = (
        ("last_op", ctypes.c_uint8),
        ("ops_len", ctypes.c_uint8),
        ("resv", ctypes.c_uint16),
        ("resv2", ctypes.c_uint32 * 3),
        ("ops", ProbeOp * 256),
    )
