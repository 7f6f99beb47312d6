"""What becomes of each connection of a variant, once its settings have met. Pure.

A timeout that is shorter than what it limits decides how a connection ends, and how many requests it carries:
not `connection.closer` and `connection.requests`.
"""

from dataclasses import dataclass
from enum import StrEnum

from loadgen.scenario.choices import Arrivals, Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Closer, Ending, Side

LOAD_SWEEP_S = 0.05
"""A load worker looks for attempts whose time is up every 50 ms (loadgen/drivers/channel.py)."""

HELD_BACK_S = 0.13
"""So long the bridge keeps what the server sends on a connection: FINs cross (lab/slow_bridge.py)."""

NEAR_S = 0.002
"""So near to the idle timeout a pause may end on either side of it: event loops count whole milliseconds."""


class Decides(StrEnum):
    """What ends the connections."""

    CONNECTION = "connection"
    """What the scenario says under `connection`."""
    RESPONSE_TIMEOUT = "response_timeout"
    """`load.timeouts.response`: no request is answered in time."""
    IDLE_TIMEOUT = "idle_timeout"
    """`server.idle_timeout`: the server closes while the client pauses."""
    POOL = "pool"
    """`load.pool`: of each burst the client closes the connections that its pool has no place for."""


@dataclass(frozen=True, slots=True)
class Course:
    """How connections go while the load lasts.

    `ending` is how they end and `requests` how many they carry, the mean with a pool. In `rest_s` of their
    life neither side works.
    `close_call`: two times are so near to each other that some connections go another way.
    """

    decides: Decides
    ending: Ending
    requests: float
    rest_s: float
    close_call: bool = False


def course(variant: Variant) -> Course:
    """The course of a variant's connections. A command or a proxy has limits of its own."""
    connection, server = variant.connection, variant.server
    rest_s = (connection.requests * server.delay + (connection.requests - 1) * connection.think) / 1e9
    if connection.closer is Closer.BOTH:
        rest_s += HELD_BACK_S
    elif connection.closer is Closer.NOBODY:
        rest_s = variant.load.duration / 1e9
    elif connection.requests > 1 and (loop := variant.load.open_loop) is not None and loop.burst:
        # Those of a burst are used together, again at the next one, and are idle meanwhile.
        rest_s = server.delay / 1e9 + (connection.requests - 1) * max(server.delay / 1e9, burst_s(loop))
    planned = Course(Decides.CONNECTION, connection.ending, connection.requests, rest_s)
    if variant.load.driver is Driver.COMMAND:
        return planned
    # What a program or a proxy does beside that is not known; what the client closes is.
    if server.kind is ServerKind.COMMAND or variant.proxy:
        return _surplus(variant) or planned
    return _timed_out(variant) or _surplus(variant) or _left_idle(variant) or planned


def pause_s(variant: Variant) -> float:
    """How long a kept connection waits for its next request. Where each arrival finds one in use: 0 or less.

    An open loop takes the connection that became idle last. Workers have the arrivals in turn.
    """
    loop = variant.load.loop
    if isinstance(loop, OpenLoop):
        return max(variant.load.workers / loop.rate, burst_s(loop)) - variant.server.delay / 1e9
    return variant.connection.think / 1e9


def burst_s(loop: OpenLoop) -> float:
    """The time from one burst to the next; from one request to the next without bursts."""
    return loop.at_once / loop.rate


def surplus(variant: Variant) -> int:
    """Of each burst, how many connections find no place in the client's pool: it closes them.

    As many are idle as the pool keeps when the next burst comes, and it opens the others anew, up to the
    limit of the loop. Random arrivals overlap by chance, and that is not foreseen.
    """
    loop, pool = variant.load.open_loop, variant.load.pool
    return max(at_once(loop) - pool.idle, 0) if loop is not None and loop.burst and pool is not None else 0


def at_once(loop: OpenLoop) -> int:
    """Requests of a burst that get a connection: the others are dropped."""
    return min(loop.at_once, loop.connections)


def admitted_rate(loop: OpenLoop) -> float:
    """Requests per second, without those of each burst that are dropped for want of a connection."""
    return loop.rate * at_once(loop) / loop.at_once if loop.burst else loop.rate


def _surplus(variant: Variant) -> Course | None:
    """A pool that is smaller than a burst."""
    closed, loop, connection = surplus(variant), variant.load.open_loop, variant.connection
    if not closed or loop is None:
        return None
    timed_out = pause_s(variant) > variant.server.idle_timeout / 1e9
    return Course(
        Decides.POOL,
        Ending.of(Side.CLIENT, connection.ending.how),
        requests=1 if timed_out else min(at_once(loop) / closed, connection.requests),
        rest_s=variant.server.delay / 1e9,
    )


def _timed_out(variant: Variant) -> Course | None:
    """The client gives each request up, by a reset, before the server answers."""
    delay_s, limit_s = variant.server.delay / 1e9, variant.load.timeouts.response / 1e9
    if delay_s < limit_s:
        return None
    return Course(
        Decides.RESPONSE_TIMEOUT,
        Ending.CLIENT_RST,
        requests=1,
        rest_s=limit_s + LOAD_SWEEP_S / 2,
        close_call=delay_s < limit_s + LOAD_SWEEP_S,
    )


def _left_idle(variant: Variant) -> Course | None:
    """The server closes each connection after its first request, before the client sends the second."""
    connection, server = variant.connection, variant.server
    idle_s, waits_s = server.idle_timeout / 1e9, pause_s(variant)
    used_s = server.delay / 1e9 + idle_s
    if connection.requests == 1 or waits_s <= idle_s or used_s >= variant.load.duration / 1e9:
        return None
    return Course(
        Decides.IDLE_TIMEOUT,
        Ending.of(Side.SERVER, connection.ending.how),
        requests=1,
        rest_s=used_s,
        close_call=waits_s <= idle_s + NEAR_S or _at_random(variant),
    )


def _at_random(variant: Variant) -> bool:
    """Whether the pauses are of random length."""
    loop = variant.load.loop
    return isinstance(loop, OpenLoop) and loop.arrivals is Arrivals.POISSON
