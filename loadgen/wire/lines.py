"""The lines that a process writes to its parent: JSON objects on a pipe, and the reader's pace is no matter.

What the pipe does not take at once is kept, and written later in order, so a reader that stands still never
stops the writer. What is kept is bounded: once it is `full` the process writes what it must, and decides
itself what becomes of the rest (merged, or dropped and counted).
"""

import os

from msgspec import Struct

from loadgen.wire.codec import encode

STDOUT = 1
MOST_BYTES = 4 << 20
"""Kept for a reader that is behind. A load worker or the sampler writes 10 kB a second: minutes fit in."""


class Lines:
    """One process's end of the pipe."""

    def __init__(self, descriptor: int = STDOUT, most_bytes: int = MOST_BYTES) -> None:
        # Of this end alone: the reader's is another open file description.
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._most_bytes = most_bytes
        self._kept = bytearray()

    @property
    def full(self) -> bool:
        """Whether the reader is so far behind that no more should be said."""
        return len(self._kept) >= self._most_bytes

    def say(self, message: Struct) -> None:
        """One message, as one line. It is kept even if `full`. Raises BrokenPipeError."""
        self._kept += encode(message)
        self._kept += b"\n"
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes now. Raises BrokenPipeError if the pipe has no reader any more."""
        while self._kept:
            try:
                written = os.write(self._descriptor, self._kept)
            except BlockingIOError:
                return
            del self._kept[:written]

    def close(self) -> None:
        """Write all that is left, and wait for the reader to take it: nothing else is to be done any more."""
        os.set_blocking(self._descriptor, True)
        self.flush()
