"""The plan of a load worker: one JSON line on its stdin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import Struct, structs

from loadgen.scenario.choices import Arrivals, Bind, Driver, Read
from loadgen.tcp import Close, Ending
from loadgen.wire.keepalive import Keepalive


class Stage(Struct, frozen=True):
    """A part of the load: the rate per second, or the number of connections in flight, and how long."""

    level: float
    length_ns: int


class OpenLoop(Struct, frozen=True, tag_field="loop", tag="open"):
    """Arrivals at a rate: `rate` requests a second, `burst` at an instant, over at most `connections`.

    A start later than `late_ns` after its intended instant is counted as late. At most `idle` connections are
    kept idle; None: all.
    """

    rate: float
    arrivals: Arrivals
    connections: int
    late_ns: int
    burst: int = 1
    idle: int | None = None


class ClosedLoop(Struct, frozen=True, tag_field="loop", tag="closed"):
    """A fixed number of connections in flight."""

    connections: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of an attempt may take, in ns."""

    connect_ns: int
    send_ns: int
    response_ns: int
    close_ns: int


@dataclass(frozen=True, slots=True)
class Raw:
    """Raw TCP in place of HTTP: bytes of a request, and of a response."""

    request: int
    response: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One worker's load. Connections go round-robin over its `paths`: `sources` x `destinations`, each of
    these with so many `ports` in a row from `port` on. `bind` is when a socket is bound to its source, None
    to bind late if there are several; `local_port_range` is the socket's own, both ends included.

    It is number `worker`, from 0 on, of `workers` that share a load: an open loop's `rate` and `burst` are
    those of all of them, its caps of connections this one's own. `core` is the one it is pinned to, None
    where it is not.
    `http` is the version spoken, unless it is `raw`.

    `look`: whether an idle connection is watched for the server's end. `retry`: how often an exchange is
    tried again on a new connection, if the server ends a kept one before a byte of the response has come.

    `stages` are of the rate or of the number in flight, whose highest is the loop's, and make up the whole
    duration; without them it is one.

    `close` is the way of closing that `ending` comes from; `linger_s` is SO_LINGER {1, n} of the closer.
    `read`: what is read of a response.
    `crosses`: the server closes at the same time. `stays`: no connection is closed before the load ends.
    """

    driver: Driver
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    port: int
    http: str
    requests: int
    ending: Ending
    think_ns: int
    loop: ClosedLoop | OpenLoop
    duration_ns: int
    interval_ns: int
    timeouts: Timeouts
    seed: int
    raw: Raw | None = None
    close: Close = Close.FIN
    read: Read = Read.ALL
    linger_s: int | None = None
    crosses: bool = False
    stays: bool = False
    worker: int = 0
    workers: int = 1
    core: int | None = None
    look: bool = True
    retry: int = 0
    keepalive: Keepalive | None = None
    stages: tuple[Stage, ...] = ()
    ports: int = 1
    bind: Bind | None = None
    local_port_range: tuple[int, int] | None = None

    @property
    def paths(self) -> tuple[tuple[str, str, int], ...]:
        """Source, destination and port of connections, in the order in which they take turns."""
        return tuple(
            (source, there, self.port + number)
            for there in self.destinations
            for number in range(self.ports)
            for source in self.sources
        )

    @property
    def binds(self) -> Bind:
        """When sockets are bound."""
        return Bind.of(self.bind, len(self.sources))

    @property
    def name(self) -> str:
        """What the worker is called."""
        return "load worker" if self.workers == 1 else f"load worker {self.worker + 1} of {self.workers}"

    @property
    def course(self) -> tuple[Stage, ...]:
        """Its stages; the one that it is if it has none."""
        level = self.loop.rate if isinstance(self.loop, OpenLoop) else self.loop.connections
        return self.stages or (Stage(level, self.duration_ns),)

    def divided(self, workers: int, cores: Sequence[int] = ()) -> tuple["Plan", ...]:
        """The plans of `workers` that together make this load, each on its core, if there are any."""
        return tuple(
            replace(
                self,
                loop=_loop_of(self.loop, worker, workers),
                stages=self._stages_of(worker, workers),
                worker=worker,
                workers=workers,
                core=cores[worker] if cores else None,
            )
            for worker in range(workers)
        )

    def _stages_of(self, worker: int, workers: int) -> tuple[Stage, ...]:
        """A worker's own: it has a share of the connections in flight, and a rate is that of all workers."""
        if isinstance(self.loop, OpenLoop):
            return self.stages
        return tuple(Stage(_share(int(one.level), worker, workers), one.length_ns) for one in self.stages)


def _loop_of(loop: ClosedLoop | OpenLoop, worker: int, workers: int) -> ClosedLoop | OpenLoop:
    """A worker's own: it has a share of the connections, and of the idle ones that are kept."""
    own = structs.replace(loop, connections=_share(loop.connections, worker, workers))
    if isinstance(own, OpenLoop) and own.idle is not None:
        return structs.replace(own, idle=_share(own.idle, worker, workers))
    return own


def _share(connections: int, worker: int, workers: int) -> int:
    """One worker's of so many connections."""
    return len(range(worker, connections, workers))
