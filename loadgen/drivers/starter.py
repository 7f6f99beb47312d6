"""What attempts report to."""

from typing import Any, Protocol


class Starter(Protocol):
    """What attempts report to: the load that has started them. Each load has its own kind of attempts."""

    def idle(self, attempt: Any, /) -> None:
        """An exchange is complete and the connection is good for another."""

    def ended(self, attempt: Any, /) -> None:
        """The attempt is over, well or not."""
