"""One of a command's two output streams: kept in a file up to a bound, its last lines in memory."""

import os
from pathlib import Path

MOST_BYTES = 1 << 20
"""Kept of a stream: enough for any report, and nothing that fills a disk. The rest is read and dropped, for
a command that finds its pipe full would stand still."""
LAST_BYTES = 2_000
"""Kept in memory, for the event that reports how the command ended."""
CUT = b"\n[churn kept the first %d bytes]\n" % MOST_BYTES

_CHUNK_BYTES = 65_536


class Output:
    """A pipe's reading end, and where it leads."""

    def __init__(self, path: Path, pipe: int) -> None:
        self.pipe = pipe
        self._file = path.open("wb", buffering=0)
        self._room = MOST_BYTES
        self._last = b""

    def pump(self) -> bool:
        """Take what is there; whether more may come. At the end, pipe and file are closed."""
        data = os.read(self.pipe, _CHUNK_BYTES)
        if not data:
            os.close(self.pipe)
            self._file.close()
        elif self._room:
            self._file.write(data[: self._room])
            if len(data) > self._room:
                self._file.write(CUT)
            self._room -= min(self._room, len(data))
        self._last = (self._last + data)[-LAST_BYTES:]
        return bool(data)

    def last_words(self) -> str:
        return self._last.decode(errors="replace").strip()
