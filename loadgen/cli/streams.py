"""The standard streams, as the caller left them."""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_DESCRIPTORS = (0, 1, 2)


class StreamError(Exception):
    """Stdout or stderr takes no more: the message says which, and why.

    No OSError, for those are caught where files and sockets are at work, and libraries take EPIPE for theirs.
    """


class _Output(FileIO):
    """The descriptor of stdout or stderr. The first write that fails tells it, later ones go nowhere."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._name = name

    def write(self, b: "ReadableBuffer", /) -> int:
        try:
            return super().write(b)
        except OSError as error:
            # Or the interpreter would fail once more when it ends, over what is still buffered.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            raise StreamError(f"cannot write to {self._name}: {error.strerror}") from None


def mend_streams() -> None:
    """Make do with the standard streams that the caller left."""
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed: the next file opened would take its number. The lowest free one is this.
            os.open(os.devnull, os.O_RDWR)
    # One that was closed Python has not opened; whoever has put another in its place answers for that.
    if sys.__stdout__ and sys.stdout is sys.__stdout__:
        sys.stdout = _output(sys.stdout, "stdout")
    if sys.__stderr__ and sys.stderr is sys.__stderr__:
        sys.stderr = _output(sys.stderr, "stderr")


def _output(stream: TextIO, name: str) -> TextIO:
    """The same stream, that names itself in what goes wrong.

    A terminal of few letters shows a question mark for the others.
    """
    raw = _Output(stream.fileno(), name)
    buffered = bool(stream.line_buffering)
    return TextIOWrapper(BufferedWriter(raw), stream.encoding, "replace", line_buffering=buffered)
