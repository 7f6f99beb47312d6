"""Which programs there are, and the steps that they consist of.

A program is a chain of entries of the ring. The entries are linked: each begins when the one before has
succeeded. Only the last one's success is answered, so a chain is answered once: by its end, or by the entry
that failed.
"""

from enum import Enum, auto
from typing import Final

STEP_BITS = 4
"""`user_data` is a slot's number, and below it in so many bits a `Step`."""


class Step:
    """What an entry does for the connection in its slot.

    Plain ints: they are compared with arrays in every turn, and up to Python 3.11 the members of an Enum are
    looked up by Python code.
    """

    NOTHING: Final = 0
    """Its answer is of no interest: a cancellation, or a close that nothing depends on."""
    PEEK: Final = 1
    """Look, before the client closes, whether the server did."""
    OPTION: Final = 2
    SOCKET: Final = 3
    BIND: Final = 4
    CONNECT: Final = 5
    SEND: Final = 6
    RECV: Final = 7
    EOF: Final = 8
    """Wait for the server's close, after the last response."""
    WATCH: Final = 9
    """Watch an idle connection."""
    OPEN: Final = 10
    """Get a descriptor of the process for the slot's file."""
    CLOSE: Final = 11
    ASK: Final = 12
    """Ask whether the connection is established."""


class Program(Enum):
    """A chain. LAST sends the last request of a connection, KEEP one of those before."""

    OPEN_KEEP = auto()
    OPEN_LAST = auto()
    TURN_KEEP = auto()
    """End the slot's connection, being its closer, and open the next."""
    TURN_LAST = auto()
    NEXT_KEEP = auto()
    """One more exchange."""
    NEXT_LAST = auto()
    WAKE_KEEP = auto()
    """One more exchange, on a connection that was watched."""
    WAKE_LAST = auto()
    PREPARE = auto()
    """A socket that is ready to connect."""
    TURN_PREPARE = auto()
    CONNECT = auto()
    WATCH = auto()
    FINISH = auto()
    """End the slot's connection, being its closer."""
    RECV = auto()
    REST = auto()
    """Receive what is missing of a response: all of it, or a sink full."""
    AWAIT_END = auto()
    """Wait for the server's close."""
    SEND_KEEP = auto()
    SEND_LAST = auto()
    DESCRIPTOR = auto()
    """A descriptor of the process for the slot's file, beside the ring's own."""
    CLOSE = auto()
    DISCARD = auto()
    """Close what the server has ended, without an answer."""
    CANCEL = auto()
    """Cancel whatever is pending in the slot."""
    CANCEL_CONNECT = auto()
    CANCEL_RECV = auto()
    CANCEL_EOF = auto()
    ASK = auto()
    """Is the connection established? Answered at once, or not before it is."""
    CANCEL_ASK = auto()
