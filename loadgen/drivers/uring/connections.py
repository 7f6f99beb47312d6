"""What a load asks of the client: connections are named by their slots."""

from collections.abc import Iterable, Sized
from typing import Protocol

from loadgen.drivers.uring.slots import Instants, Slots, Table


class SlotAttempt(Protocol):
    """An attempt on the slow path, as a load sees it."""

    @property
    def slot(self) -> int: ...


class Connections(Protocol):
    """The client, as a load sees it."""

    @property
    def table(self) -> Table: ...

    @property
    def slow(self) -> Sized:
        """Those on the slow path."""
        ...

    def open(self, slots: Slots, intended_ns: Instants) -> None:
        """Begin attempts in these slots: free ones, or ones whose connection the client is to close first."""

    def refuse(self, count: int, late_ns: Iterable[int] = ()) -> None:
        """Count attempts for which the ring has no file, and in an open loop how late each was."""

    def exchange(self, slots: Slots, intended_ns: int) -> None:
        """Begin the next exchange."""

    def rest(self, slots: Slots) -> None:
        """Watch connections until their next exchange."""

    def finish(self, slots: Slots) -> None:
        """Close connections first, by the scenario's method."""

    def discard(self, slots: Slots) -> None:
        """Close what the server has ended; the slots are free at once."""
