"""A file of /proc, kept open and read again and again, and the parser of its text."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

PROC = Path("/proc")
NET = PROC / "thread-self" / "net"
"""The calling thread's namespace, at the moment of opening. `/proc/net` and `/proc/self/net` are the thread
leader's (K21): the same in a process of one thread, wrong in any other thread that did setns()."""

_READ_SIZE = 65_536


class ParseError(ValueError):
    """A kernel source that does not read as expected: `source` is its name, `line` what was found there."""

    def __init__(self, source: str, problem: str, line: bytes = b"") -> None:
        super().__init__(f"{source}: {problem}: {line!r}")
        self.source = source
        self.line = line


class ProcFile(Generic[T]):
    """A kept descriptor and what its text means.

    The descriptor holds on to the namespace (or process) it was opened for, whatever the caller enters
    later. Reading it again costs 2 to 30 us (K20), far less than opening it.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        """Open `path`. Raises OSError: FileNotFoundError if this kernel or process has no such file."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._parse = parse

    def read(self) -> T:
        """The present content. Raises ParseError, and OSError if the kernel answers with an error."""
        # A short read is no end: a seq_file hands out what fits its own buffer (fs/seq_file.c).
        text = b""
        while chunk := os.pread(self._fd, _READ_SIZE, len(text)):
            text += chunk
        return self._parse(text)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
