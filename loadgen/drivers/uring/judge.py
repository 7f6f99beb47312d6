"""Which responses are good: those whose bytes are the last good one's, and those that h11 finds to be."""

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.response import MalformedResponseError, Response, ResponseReader
from loadgen.drivers.uring.slots import Slots
from loadgen.tcp import Closer


class Judge:
    """Looks at the receive buffers, shape (slots, bytes), a batch at a time."""

    def __init__(self, buffers: NDArray[np.uint8], closer: Closer) -> None:
        self._buffers = buffers
        self._closer = closer
        self._memo: dict[bytes, Response] = {}
        self._known: dict[bool, bytes] = {}
        """The last good response, by whether it was a connection's last."""

    def reader(self) -> ResponseReader:
        """One that knows what was read before."""
        return ResponseReader(self._memo)

    def good(self, slots: Slots, lengths: NDArray[np.int32], last: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of these slots' buffers hold a good response, whole and nothing else.

        `lengths` are what recv() answered; `last` tells where the connection's last response is due. One that
        announces the server's close is good only where the server is to close, and then.
        """
        good = np.zeros(len(slots), np.bool_)
        for kind, known in self._known.items():
            same = (last == kind) & (lengths == len(known))
            count = np.count_nonzero(same)
            if not count:
                continue
            alike = slots if count == len(slots) else slots[same]
            found = self._buffers[alike, : len(known)]
            # All of them at once, which is nearly always so, by one comparison of memory.
            whole = found.tobytes() == known * count
            good[same] = whole or (found == np.frombuffer(known, np.uint8)).all(axis=1)
        if np.count_nonzero(good) < len(good):
            for index in (~good & (lengths > 0)).nonzero()[0].tolist():
                data = self._buffers[slots[index], : lengths[index]].tobytes()
                good[index] = self._read(data, bool(last[index]))
        return good

    def _read(self, data: bytes, last: bool) -> bool:
        """Read a response that differs from the last good one: in its date, once a second, or in more."""
        try:
            response = self.reader().feed(data)
        except MalformedResponseError:
            return False
        if response is None or response.status >= 400:
            return False
        if response.closes and not (last and self._closer is Closer.SERVER):
            return False
        self._known[last] = data
        return True
