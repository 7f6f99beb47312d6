"""Which responses are good: those that begin as the last good one did, and those that a reader finds good."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.application import Application, MalformedResponseError
from loadgen.drivers.uring.slots import Slots
from loadgen.tcp import Side

BAD: Final = -1
"""A response that an attempt of its own has to read: an error, or one whose length is not announced."""


class Judge:
    """Looks at the receive buffers, shape (slots, bytes), a batch at a time."""

    def __init__(self, buffers: NDArray[np.uint8], application: Application, closer: Side) -> None:
        self._buffers = buffers
        self._application = application
        self._closer = closer
        self._known: dict[bool, tuple[bytes, int]] = {}
        """The last good response, by whether it was a connection's last: its prefix, and how long it was."""

    def missing(self, slots: Slots, lengths: NDArray[np.int32], last: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many bytes these slots' responses still lack: 0 if one is whole and good, or `BAD`.

        `lengths` are what the first recv() answered; `last` marks those that are a connection's last.
        One that announces the server's close is good only if the server is to close, and only as the last.
        """
        if self._all_as_known(slots, lengths, last):
            return np.zeros(len(slots), np.int64)
        missing = np.full(len(slots), BAD, np.int64)
        for kind, (prefix, total) in self._known.items():
            alike = (last == kind) & (lengths >= max(len(prefix), 1)) & (lengths <= total)
            count = np.count_nonzero(alike)
            if not count:
                continue
            found = self._buffers[slots if count == len(slots) else slots[alike], : len(prefix)]
            left = total - lengths[alike].astype(np.int64)
            # All of them at once, which is nearly always so, by one comparison of memory.
            if found.tobytes() != prefix * count:
                left[(found != np.frombuffer(prefix, np.uint8)).any(axis=1)] = BAD
            missing[alike] = left
        if np.count_nonzero(missing == BAD):
            for index in ((missing == BAD) & (lengths > 0)).nonzero()[0].tolist():
                data = self._buffers[slots[index], : lengths[index]].tobytes()
                missing[index] = self._read(data, bool(last[index]))
        return missing

    def _all_as_known(self, slots: Slots, lengths: NDArray[np.int32], last: NDArray[np.bool_]) -> bool:
        """Whether all of them are whole and alike: nearly always so, and found with few operations."""
        if not len(slots) or bool(last[0]) not in self._known:
            return False
        prefix, total = self._known[bool(last[0])]
        if np.count_nonzero(lengths == total) < len(slots) or np.count_nonzero(last) not in (0, len(slots)):
            return False
        return self._buffers[slots, : len(prefix)].tobytes() == prefix * len(slots)

    def _read(self, data: bytes, last: bool) -> int:
        """Read a response that differs from the last good one: in its date, once a second, or in more."""
        reader = self._application.reader()
        try:
            reader.feed(data)
        except MalformedResponseError:
            return BAD
        announced = reader.announced
        if announced is None:
            return BAD
        response = announced.response
        if response.error:
            return BAD
        if response.closes and not (last and self._closer is Side.SERVER):
            return BAD
        self._known[last] = data[: announced.prefix], announced.total
        return announced.total - len(data)
