"""What this kernel, and the sandbox if there is one, lets this process do with io_uring."""

import ctypes
import errno
import os
import select
import socket
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadgen.uring import abi
from loadgen.uring.ring import Ring

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
"""0: for all; 1: for the privileged and one group; 2: disabled (Linux 6.6)."""
_WAIT_LIMIT_NS = 20_000_000
"""How long a close is waited for. One that is made at once is there before the wait begins."""


@dataclass(frozen=True, slots=True)
class Offer:
    """`refusal` is why no ring is available, and empty if one is; then the rest is what it can do.

    socket_options  whether a socket option can be set through the ring (Linux 6.7)
    closes_at_once  whether a file taken out of the ring's table is closed at once, whatever else is
                    pending. Linux 6.12 closes it only once every earlier request on any file of the table
                    has ended (axboe/liburing issue 1192); 6.18 closes it
    """

    refusal: str
    operations: frozenset[int] = frozenset()
    socket_options: bool = False
    closes_at_once: bool = False


def offer() -> Offer:
    """Make a small ring, try what it can do, and close it."""
    try:
        ring = Ring(4, 8)
    except OSError as error:
        return Offer(_refusal(error))
    try:
        operations = ring.operations()
        return Offer("", operations, _sets_options(ring, operations), _closes_at_once(ring))
    except OSError as error:
        return Offer(f"cannot find out what io_uring can do: {error.strerror}")
    finally:
        ring.close()


def _refusal(error: OSError) -> str:
    match error.errno:
        case errno.ENOSYS:
            return "this kernel has no io_uring, or a seccomp filter hides it"
        case errno.EINVAL:
            return "this kernel's io_uring is older than Linux 6.1"
        case errno.EPERM:
            level = DISABLED.read_text().strip() if DISABLED.exists() else "0"
            forbidden = f"kernel.io_uring_disabled is {level}" if level != "0" else "by a seccomp filter"
            return f"io_uring is forbidden: {forbidden}"
        case _:
            return f"cannot make a ring: {error.strerror}"


def _sets_options(ring: Ring, operations: frozenset[int]) -> bool:
    """Try it, on a socket that goes nowhere: no probe shows which commands an operation has."""
    if abi.Op.URING_CMD not in operations:
        return False
    value = ctypes.c_int(1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        entry = np.zeros(1, abi.SQE)
        entry["opcode"] = abi.Op.URING_CMD
        entry["fd"] = sock.fileno()
        entry["off"] = abi.SOCKET_SETSOCKOPT
        entry["addr"] = socket.IPPROTO_TCP | socket.TCP_NODELAY << 32
        entry["file_index"] = ctypes.sizeof(value)
        entry["addr3"] = ctypes.addressof(value)
        ring.push(entry.view(np.uint64).reshape(-1, abi.WORDS))
        ring.enter(1, 1_000_000_000)
        completions = ring.reap()
    return len(completions) == 1 and int(completions["res"][0]) == 0


def _closes_at_once(ring: Ring) -> bool:
    """Try it, on a pipe: the read end, polled, waits for the very close of the write end that it may put off.

    So a kernel that puts closes off completes nothing, and this takes all of `_WAIT_LIMIT_NS`.
    """
    read, write = os.pipe()
    try:
        ring.register_open((read, write))
    finally:
        # The ring alone holds them now.
        os.close(read)
        os.close(write)
    entries = np.zeros(2, abi.SQE)
    entries["opcode"] = abi.Op.POLL_ADD, abi.Op.CLOSE
    entries["flags"] = abi.Flag.FIXED_FILE, 0
    entries["op_flags"] = select.POLLIN, 0
    entries["file_index"] = 0, 2  # The entry of the table, plus 1.
    ring.push(entries.view(np.uint64).reshape(-1, abi.WORDS))
    ring.enter(2, _WAIT_LIMIT_NS)
    return len(ring.reap()) == 2
