"""The input of a prediction: a variant's ports, hold times, ending and costs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from loadgen.model.course import Decides, admitted_rate, course
from loadgen.scenario import kept, port_checks
from loadgen.scenario.choices import Bind, Driver, ServerKind, Topology
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import ClosedLoop, OpenLoop
from loadgen.tcp import Closer, Ending, Side

TIME_WAIT_S = 61.0
"""How long Linux keeps TIME-WAIT: 60 s, plus the granularity of its timer wheel (K2)."""

UNKNOWN_RATE = (
    "the rate of a command, or of a closed loop through a proxy or NAT, is unknown, and what depends on it"
)
TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
TW_REUSE = "net.ipv4.tcp_tw_reuse"
TW_REUSE_DELAY = "net.ipv4.tcp_tw_reuse_delay"
TIMESTAMPS = "net.ipv4.tcp_timestamps"
SOMAXCONN = "net.core.somaxconn"
_DEFAULTS = {TW_BUCKETS: 131_072, TW_REUSE: 2, TW_REUSE_DELAY: 1000, TIMESTAMPS: 1}
"""The kernel's defaults, on a machine with enough memory (K12, K14)."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a connection costs the client's core, in seconds: opening and closing it with one exchange
    on it, and each exchange after the first."""

    connection_s: float
    exchange_s: float

    def per_connection_s(self, requests: float) -> float:
        return self.connection_s + (requests - 1) * self.exchange_s


class Walk(StrEnum):
    """The order in which the kernel takes free ports."""

    PARITY = "parity"
    """connect(): those of one parity first, and of these every few, one after the other (K8)."""
    ALL = "all"
    """connect() with IP_LOCAL_PORT_RANGE: likewise, and of both parities (K9)."""
    RANDOM = "random"
    """bind(): at random, those of one parity first (inet_csk_find_open_port())."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a prediction starts from.

    `ports` counts the client's ports over all its `paths`: range x sources x destinations (K7), or x sources
    if bind() takes them (K10); `walk` is the order in which they are taken. A TIME-WAIT keeps its port for
    `hold_s`. `rate` is the offered rate, in connections per second; None in a closed loop. `connections` in
    flight that rest `pause_s` in each connection's life, and `costs` with a core for each of the `workers`,
    bound it in either. The costs of a command are unknown: None. `in_place`: a connection keeps its port
    until the next one takes its place; otherwise a connection that waits to be opened holds none. In an open
    loop `arriving` requests per second each need a connection until the first are answered. `at_end` is how
    the connections that are still open when the load ends are closed, None if they end as all others. `queue`
    is how many connections the server's accept queues hold, None if that is not known. `stages` are the
    load's: each has the rate of requests, or the number in flight, and its length in seconds. `crosses`: the
    server closes first as well. `burst` requests arrive at one instant. Each of the `ports` is used towards
    `reached` destinations in turn.
    """

    ports: int
    paths: int
    hold_s: float
    ending: Ending
    requests: float
    duration_s: float
    costs: Costs | None
    rate: float | None
    connections: int
    pause_s: float
    tw_buckets: int
    workers: int = 1
    in_place: bool = False
    arriving: float | None = None
    at_end: Ending | None = None
    queue: int | None = None
    stages: tuple[tuple[float, float], ...] = ()
    crosses: bool = False
    walk: Walk = Walk.PARITY
    reached: int = 1
    burst: int = 1

    @property
    def searches(self) -> bool:
        """Whether the kernel has to search for a port before all are taken."""
        return self.walk is not Walk.ALL

    @property
    def half(self) -> int:
        """The ports that are found without a search: those of one parity (K8), or all of them (K9)."""
        return self.ports if self.walk is Walk.ALL else self.ports // 2


_URING = Costs(connection_s=1 / 28_000, exchange_s=1 / 155_000)
_COSTS = {
    Driver.AUTO: _URING,
    Driver.URING: _URING,
    Driver.PROTOCOL: Costs(connection_s=1 / 18_000, exchange_s=1 / 140_000),
    Driver.AIOHTTP: Costs(connection_s=1 / 5_300, exchange_s=1 / 15_700),
}
"""What a driver's connections and exchanges cost, from the rates that http10's variants with a closing
server reached with either driver on one machine of two cores (Linux 6.18)."""

_KEPT_FINISHED = 128
"""Up to so many in flight uring keeps a finished connection until it opens the next in its slot."""

_FEW_SHORT, _FEW_KEPT = 4, 20
"""From so many connections in flight, for each worker, uring is the faster driver: it works by the batch, and
a batch of one costs it more than it saves. Measured with 1 to 32 connections, of one request and of 100."""


def ports(variant: Variant) -> int:
    """The client's ports over all its paths: a whole range for each of them (K7)."""
    return variant.lab.client.range.count * variant.paths


def nat_ports(variant: Variant) -> int | None:
    """The ports of the NAT, a whole range towards each address and port of the server; None without a NAT."""
    lab = variant.lab
    return lab.nat.ports.count * variant.destinations if lab.topology is Topology.NAT else None


def _most_time_waits(variant: Variant, ending: Ending) -> int:
    """How many TIME-WAITs the side that ends connections first can have: behind a NAT, one a port of it."""
    buckets = sysctl(variant, ending.side, TW_BUCKETS)
    pool = nat_ports(variant)
    return min(buckets, pool) if pool is not None and ending.side is Side.SERVER else buckets


def situation(variant: Variant) -> Situation:
    """The situation of a variant."""
    found, load, loop = course(variant), variant.load, variant.load.loop
    between = variant.proxy is not None or variant.lab.topology is Topology.NAT
    is_open = isinstance(loop, OpenLoop)
    stays = variant.connection.closer is Closer.NOBODY
    waits = found.decides is not Decides.RESPONSE_TIMEOUT and (variant.connection.requests > 1 or stays)
    crosses = found.ending is Ending.BOTH_FIN
    # Each side closes first: of the two, the client is the one that runs out of ports.
    ending = Ending.CLIENT_FIN if crosses else found.ending
    # Not `choice`: a prediction is the same on every machine.
    preferred = Driver.PROTOCOL if load.driver is Driver.AUTO and _keeps_off_uring(variant) else load.driver
    return Situation(
        crosses=crosses,
        ports=ports(variant),
        paths=variant.paths,
        walk=_walk(variant),
        reached=variant.destinations if variant.lab.client.binds is Bind.EARLY else 1,
        hold_s=_hold_s(variant),
        ending=ending,
        requests=found.requests,
        duration_s=variant.load.duration / 1e9,
        # In a closed loop a proxy between the sides, and not the driver alone, decides the rate; or a NAT, if
        # its ports come back to TIME-WAITs, which cost a second each.
        costs=None if between and not is_open else _COSTS.get(preferred),
        rate=admitted_rate(loop) / found.requests if is_open else None,
        connections=loop.connections,
        pause_s=found.rest_s,
        tw_buckets=_most_time_waits(variant, ending),
        workers=variant.load.workers,
        in_place=preferred in (Driver.AUTO, Driver.URING) and _ends_in_place(variant, ending),
        arriving=loop.rate if is_open else None,
        burst=loop.at_once if is_open else 1,
        at_end=variant.connection.ending_by(ending.side) if waits else None,
        queue=_queue(variant),
        stages=tuple((stage.level, stage.lasts / 1e9) for stage in load.stages),
    )


def _walk(variant: Variant) -> Walk:
    client = variant.lab.client
    if client.binds is Bind.EARLY:
        return Walk.RANDOM
    return Walk.ALL if client.local_port_range else Walk.PARITY


def _ends_in_place(variant: Variant, ending: Ending) -> bool:
    """Whether uring's connections keep their ports until the next ones take their places: in a closed loop,
    unless the server has reset them.

    Few do, and so do more than half of the ports: all are opened at once, and searches slow down those that
    replace them. Of others the finished ones are closed before the next are opened. Other drivers close
    first, and wait without a port.
    """
    loop = variant.load.loop
    if not isinstance(loop, ClosedLoop) or ending is Ending.SERVER_RST:
        return False
    return loop.connections <= _KEPT_FINISHED or loop.connections > ports(variant) // 2


def _queue(variant: Variant) -> int | None:
    """How many connections wait to be accepted at most: a queue takes one more than its backlog (K15).

    Each worker has a queue on each address and port.
    """
    if variant.server.kind is ServerKind.COMMAND or variant.proxy is not None:
        return None
    backlog = min(variant.server.backlog, sysctl(variant, Side.SERVER, SOMAXCONN, variant.server.backlog))
    return (backlog + 1) * variant.server.workers * variant.destinations


def _hold_s(variant: Variant) -> float:
    """How long a TIME-WAIT keeps its port from connect(): tcp_tw_reuse lets it be taken over (K12)."""
    asked = variant.lab.sysctl
    if variant.lab.client.binds is Bind.EARLY:
        return TIME_WAIT_S  # bind() takes none over
    if variant.lab.topology.shared:
        both = {**asked.client, **asked.server}
        return hold_s(both, both, shared=True)
    return hold_s(asked.client, asked.server if variant.proxy is None else asked.proxy)


def hold_s(opener: Mapping[str, str], accepter: Mapping[str, str], *, shared: bool = False) -> float:
    """The same, by the sysctls of both ends of the connections; `shared`: they are in one namespace."""
    reuse = number(opener, TW_REUSE)
    stamped = number(opener, TIMESTAMPS) and number(accepter, TIMESTAMPS)
    if stamped and (reuse == 1 or (reuse == 2 and shared)):
        return number(opener, TW_REUSE_DELAY) / 1e3
    return TIME_WAIT_S


def sysctl(variant: Variant, side: Side, name: str, default: int | None = None) -> int:
    """A sysctl of the scenario. A value that is not a number counts as the default: the lab refuses it."""
    asked = variant.lab.sysctl
    of_side = {Side.CLIENT: asked.client, Side.SERVER: asked.server}
    both = {**asked.client, **asked.server} if variant.lab.topology.shared else of_side[side]
    return number(both, name, default)


def number(sysctls: Mapping[str, str], name: str, default: int | None = None) -> int:
    """One of these sysctls; the default if it is not among them, or is no number."""
    value = sysctls.get(name, "")
    if value.isdecimal():
        return int(value)
    return _DEFAULTS[name] if default is None else default


def _keeps_off_uring(variant: Variant) -> bool:
    """Whether `auto` takes the protocol driver on any machine."""
    return (
        is_few(variant)
        or variant.connection.client_takes_part
        or bool(port_checks.needs_protocol(variant))
        or bool(kept.obstacle(Driver.URING, variant))
    )


def is_few(variant: Variant) -> bool:
    """Whether so few connections are in flight that protocol is the faster driver."""
    loop, workers = variant.load.loop, variant.load.workers
    few = _FEW_KEPT if variant.connection.requests > 1 else _FEW_SHORT
    return isinstance(loop, ClosedLoop) and loop.connections < few * workers
