"""The standard streams: made usable, whatever the caller has left of them."""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_DESCRIPTORS = (0, 1, 2)


class StreamError(Exception):
    """Stdout or stderr cannot be written: the message says which, and why.

    Not an OSError, because code that uses files and sockets catches those, and libraries handle EPIPE.
    """


class _Output(FileIO):
    """The descriptor of stdout or stderr. A failed write raises StreamError, later ones do nothing."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._name = name

    def write(self, b: "ReadableBuffer", /) -> int:
        try:
            return super().write(b)
        except OSError as error:
            # Otherwise the interpreter would fail again at its end, on what is still buffered.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            raise StreamError(f"cannot write to {self._name}: {error.strerror}") from None


def restore_streams() -> None:
    """Open those standard streams that are closed, and have write errors raise StreamError."""
    for descriptor in STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed: the next file opened would get its number. This is the lowest free one.
            os.open(os.devnull, os.O_RDWR)
    # Python has no object for one that was closed; one that was replaced is left as it is.
    if sys.__stdout__ and sys.stdout is sys.__stdout__:
        sys.stdout = _output(sys.stdout, "stdout")
    if sys.__stderr__ and sys.stderr is sys.__stderr__:
        sys.stderr = _output(sys.stderr, "stderr")


def _output(stream: TextIO, name: str) -> TextIO:
    """The same stream, whose name is in its errors.

    A character that the encoding lacks is shown as a question mark.
    """
    raw = _Output(stream.fileno(), name)
    buffered = bool(stream.line_buffering)
    return TextIOWrapper(BufferedWriter(raw), stream.encoding, "replace", line_buffering=buffered)
