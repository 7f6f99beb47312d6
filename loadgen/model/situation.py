"""The input of a prediction: a variant's ports, hold times, ending and costs. Pure."""

from dataclasses import dataclass

from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import ClosedLoop, OpenLoop
from loadgen.tcp import Ending, Side

TIME_WAIT_S = 61.0
"""How long Linux keeps TIME-WAIT: 60 s, plus the granularity of its timer wheel (K2)."""

TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
TW_REUSE = "net.ipv4.tcp_tw_reuse"
TW_REUSE_DELAY = "net.ipv4.tcp_tw_reuse_delay"
TIMESTAMPS = "net.ipv4.tcp_timestamps"
_DEFAULTS = {TW_BUCKETS: 131_072, TW_REUSE: 2, TW_REUSE_DELAY: 1000, TIMESTAMPS: 1}
"""The kernel's defaults, on a machine with enough memory (K12, K14)."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a connection costs the client's core, in seconds: opening and closing it with one exchange
    on it, and each exchange after the first."""

    connection_s: float
    exchange_s: float

    def per_connection_s(self, requests: int) -> float:
        return self.connection_s + (requests - 1) * self.exchange_s


@dataclass(frozen=True, slots=True)
class Situation:
    """What a prediction starts from.

    `ports` counts the client's ports over all its `paths`: range x sources x destinations (K7). A
    TIME-WAIT keeps its port from connect() for `hold_s`. `rate` is the offered rate, in connections per
    second; None in a closed loop. `connections` in flight that rest `pause_s` in each connection's
    life, and `costs` with a core for each of the `workers`, bound it in either. The costs of a
    command are unknown: None. `in_place`: a connection keeps its port until the next one takes its
    place; otherwise a connection that waits to be opened holds none.
    """

    ports: int
    paths: int
    hold_s: float
    ending: Ending
    requests: int
    duration_s: float
    costs: Costs | None
    rate: float | None
    connections: int
    pause_s: float
    tw_buckets: int
    workers: int = 1
    in_place: bool = False

    @property
    def half(self) -> int:
        """The ports of one parity: connect() is fast while one of them is free (K8)."""
        return self.ports // 2


_URING = Costs(connection_s=1 / 28_000, exchange_s=1 / 155_000)
_COSTS = {
    Driver.AUTO: _URING,
    Driver.URING: _URING,
    Driver.PROTOCOL: Costs(connection_s=1 / 18_000, exchange_s=1 / 140_000),
    Driver.AIOHTTP: Costs(connection_s=1 / 5_300, exchange_s=1 / 15_700),
}
"""What a driver's connections and exchanges cost, from the rates that http10's variants with a closing
server reached with either driver on one machine of two cores (Linux 6.18)."""

_FEW_SHORT, _FEW_KEPT = 4, 20
"""From so many connections in flight, for each worker, uring is the faster driver: it works by the batch, and
a batch of one costs it more than it saves. Measured with 1 to 32 connections, of one request and of 100."""


def ports(variant: Variant) -> int:
    """The client's ports over all its paths: a whole range for each source and destination (K7)."""
    lab = variant.lab
    return lab.client.ports.count * lab.client.addresses * lab.server.addresses


def situation(variant: Variant) -> Situation:
    """The situation of a variant."""
    connection, load, loop = variant.connection, variant.load, variant.load.loop
    requests = connection.requests
    # Not `choice`: a prediction is the same on every machine.
    preferred = Driver.PROTOCOL if load.driver is Driver.AUTO and is_few(variant) else load.driver
    pause_ns = requests * variant.server.delay + (requests - 1) * connection.think
    return Situation(
        ports=ports(variant),
        paths=variant.lab.client.addresses * variant.lab.server.addresses,
        hold_s=_hold_s(variant),
        ending=connection.ending,
        requests=requests,
        duration_s=variant.load.duration / 1e9,
        costs=_COSTS.get(preferred),
        rate=loop.rate / requests if isinstance(loop, OpenLoop) else None,
        connections=loop.connections,
        pause_s=pause_ns / 1e9,
        tw_buckets=_sysctl(variant, connection.closer, TW_BUCKETS),
        workers=variant.load.workers,
        in_place=preferred in (Driver.AUTO, Driver.URING) and _ends_in_place(variant),
    )


def _ends_in_place(variant: Variant) -> bool:
    """Whether uring keeps a finished connection until it opens the next in its slot: in a closed loop,
    unless the server has reset it. Other drivers close first, and wait without a port."""
    reset = variant.connection.ending is Ending.SERVER_RST
    return isinstance(variant.load.loop, ClosedLoop) and not reset


def _hold_s(variant: Variant) -> float:
    """How long a TIME-WAIT keeps its port from connect(): tcp_tw_reuse lets it be taken over (K12)."""
    reuse = _sysctl(variant, Side.CLIENT, TW_REUSE)
    stamped = all(_sysctl(variant, side, TIMESTAMPS) for side in Side)
    if stamped and (reuse == 1 or (reuse == 2 and variant.lab.topology.shared)):
        return _sysctl(variant, Side.CLIENT, TW_REUSE_DELAY) / 1e3
    return TIME_WAIT_S


def _sysctl(variant: Variant, side: Side, name: str) -> int:
    """A sysctl of the scenario. A value that is not a number counts as the default: the lab refuses it."""
    asked = variant.lab.sysctl
    of_side = {Side.CLIENT: asked.client, Side.SERVER: asked.server}
    both = {**asked.client, **asked.server} if variant.lab.topology.shared else of_side[side]
    value = both.get(name, "")
    return int(value) if value.isdecimal() else _DEFAULTS[name]


def is_few(variant: Variant) -> bool:
    """Whether so few connections are in flight that protocol is the faster driver."""
    loop, workers = variant.load.loop, variant.load.workers
    few = _FEW_KEPT if variant.connection.requests > 1 else _FEW_SHORT
    return isinstance(loop, ClosedLoop) and loop.connections < few * workers
