"""The life of a load, the same for every driver: it begins, ends, becomes quiet, and is over.

begin -> load ends -> quiet -> over
         (duration,   (no        (no connection
         or `stop`)   exchange)  is left)

Between its begin and its end a load may have stages.
"""

from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import Any, Generic, NamedTuple, TypeVar

from loadgen.drivers.messages import Quiet, StageEntered
from loadgen.drivers.plan import Plan
from loadgen.drivers.tally import Tally
from loadgen.records.events import LoadEnds
from loadgen.tcp import Side
from loadgen.wire.lines import Lines

Connection = TypeVar("Connection")
"""What a driver knows a connection by: an attempt, or the number of a slot."""


class Lifecycle(Generic[Connection]):
    """What every load keeps: its idle connections, and whether it is ending.

    After `end()` no exchange begins. Connections that the client is to close are closed as soon as they are
    idle; those that the server is to close are left to it.
    """

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._client_closes = plan.ending.side is Side.CLIENT
        self._idle: dict[Connection, None] = {}
        """Kept connections that wait for their next exchange, the latest last."""
        self.closing = 0
        """Connections that are no longer in flight, and whose close by the client is not yet made."""
        self.ending = False

    @property
    def connections(self) -> int:
        """Connections that are not over."""
        return self._tally.in_flight + self.closing

    @property
    def quiet(self) -> bool:
        """No exchange is under way, and none begins."""
        return self.ending and self.connections <= len(self._idle)

    @property
    def over(self) -> bool:
        """No connection is left."""
        return self.ending and not self.connections

    @property
    def closes_idle(self) -> bool:
        """Whether connections that become idle now are closed by the client."""
        return self.ending and self._client_closes

    def begin(self, origin_ns: int) -> None:
        """The load begins, or should have begun at that instant."""
        raise NotImplementedError

    def enter(self, level: float) -> None:
        """A stage begins, with this rate or this number in flight. In an open loop the arrivals have it."""

    def end(self) -> None:
        """Begin no exchange from now on."""
        self.ending = True
        if self.closes_idle:
            idle = list(self._idle)
            self._idle.clear()
            self._close(idle)

    def take_idle(self) -> Connection | None:
        """The connection that became idle last, for an exchange; None if none is idle."""
        return self._idle.popitem()[0] if self._idle else None

    def _close(self, connections: list[Connection]) -> None:
        """Have the client close these."""
        raise NotImplementedError


class Wait(NamedTuple):
    """A worker waits until `done`, but no longer than the instant `until_ns` of CLOCK_MONOTONIC."""

    done: Callable[[], bool]
    until_ns: int


def waits(
    plan: Plan,
    load: Lifecycle[Any],
    lines: Lines,
    origin_ns: int,
    stopped: Callable[[], bool],
    cut: Callable[[], None],
) -> Iterator[Wait]:
    """From the load's begin to its last connection: what to wait for, each bounded by the phases' timeouts.

    `cut` gives up the attempts that are left.
    """
    timeouts = plan.timeouts
    until_ns = origin_ns
    for number, stage in enumerate(plan.course, start=1):
        if plan.stages and not stopped():
            load.enter(stage.level)
            lines.say(StageEntered(number, max(monotonic_ns() - origin_ns, 0)))
        until_ns += stage.length_ns
        yield Wait(stopped, until_ns)
    lines.say(LoadEnds(monotonic_ns() - origin_ns))
    load.end()
    exchange_ns = timeouts.connect_ns + timeouts.send_ns + timeouts.response_ns
    yield Wait(lambda: load.quiet, monotonic_ns() + exchange_ns)
    lines.say(Quiet())
    yield Wait(lambda: load.over, monotonic_ns() + timeouts.close_ns)
    cut()
    yield Wait(lambda: load.over, monotonic_ns() + timeouts.close_ns)
