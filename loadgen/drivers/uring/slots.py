"""What is known of every slot, as arrays: a batch of slots is read and written by their numbers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int64]
"""Numbers of slots."""
Instants = int | NDArray[np.int64]
"""In ns on CLOCK_MONOTONIC: one for all slots, or one each."""
NONE: Final[Slots] = np.zeros(0, np.int64)


def part(slots: Slots, which: NDArray[np.bool_]) -> tuple[Slots, Slots]:
    """Those for which it is true, and the others. Mostly all are of one kind: then nothing is copied."""
    count = np.count_nonzero(which)
    if count == len(slots):
        return slots, NONE
    if not count:
        return NONE, slots
    return slots[which], slots[~which]


class Mode:
    """What drives the connection in the slot: plain ints, as in `Step`."""

    FREE: Final = 0
    CHAIN: Final = 1
    """The kernel, which runs a program."""
    IDLE: Final = 2
    """The load: a kept connection that waits for its next exchange, watched."""
    SPENT: Final = 3
    """The load: a connection that the client is to close."""
    CLOSING: Final = 4
    """The kernel, closing for the client."""
    SLOW: Final = 5
    """An attempt of its own: the slow path, one operation at a time."""


class Table:
    """One row a slot; times in ns on CLOCK_MONOTONIC.

    mode      `Mode`
    left      exchanges to go
    intended  when the exchange was meant to start; started: when it did
    begun     when connect() was called
    waits     since when the response, or the close, is waited for: what its timeout counts from
    path      which source and destination
    sent      the SYN was counted while it was unanswered
    known     the connection was counted as established
    first     bytes that the first read of a response gave
    missing   bytes of the response that are still to come, by its head
    unwatched the wait for the server's close has seen the body instead, and has to be begun again
    answered  the last response is here, the server's close is not
    probed    when a chain that is overdue is probed next
    """

    def __init__(self, count: int) -> None:
        self.mode = np.zeros(count, np.uint8)
        self.left = np.zeros(count, np.int64)
        self.intended = np.zeros(count, np.int64)
        self.started = np.zeros(count, np.int64)
        self.begun = np.zeros(count, np.int64)
        self.waits = np.zeros(count, np.int64)
        self.probed = np.zeros(count, np.int64)
        self.path = np.zeros(count, np.int64)
        self.sent = np.zeros(count, np.bool_)
        self.known = np.zeros(count, np.bool_)
        self.answered = np.zeros(count, np.bool_)
        self.first = np.zeros(count, np.int64)
        self.missing = np.zeros(count, np.int64)
        self.unwatched = np.zeros(count, np.bool_)
