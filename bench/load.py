"""What a tool is asked to do, and where: the words that all measurements share. Pure."""

import os
from dataclasses import dataclass
from enum import StrEnum

from loadgen.lab.spec import LabSpec
from loadgen.lab.topology import client_server_lab
from loadgen.tcp import Closer, Side

PORT = 8080
SECOND_NS = 1_000_000_000
IN_FLIGHT = 64
BACKLOG = 4096
BODY = 64
"""Bytes of a response's body, where sizes are not the study."""
LAB_SYSCTLS = {
    "net.core.somaxconn": "16384",  # or thousands in flight would meet the listener's limit (K15)
    "net.ipv4.tcp_max_tw_buckets": "1000000",  # beyond 131,072 TIME-WAITs are destroyed at once (K14)
}
ADDRESSES_WHERE_CLIENT_CLOSES = 8
"""Eight paths put the cliff at half of a client's ports (K8) out of the reach of tools that use them all."""
DEFAULT_PORTS = (32768, 60999)
WIDEST_PORTS = (1024, 65535)
"""For the tools that know one target only: half of this range is 32,256 ports, a second's worth."""
CONNECTIONS_BEFORE_THE_CLIFF = 30_000


def lab_spec(addresses: int = 1, ports: tuple[int, int] = DEFAULT_PORTS) -> LabSpec:
    """A pair with so many server addresses."""
    return client_server_lab(
        ports=ports, server_addresses=addresses, sysctls=dict.fromkeys(Side, LAB_SYSCTLS)
    )


class Exchange(StrEnum):
    """What becomes of a connection after its response."""

    SHORT = "short"
    """It is closed: one request on each."""
    KEPT = "kept"
    """It takes the next request, for as long as the load lasts."""


class Program(StrEnum):
    """The server."""

    NGINX = "nginx"
    CHURN = "churn"
    """The bundled one: asyncio Protocols on uvloop."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to do for `seconds`. With a `rate` connections are opened at so many a second, `in_flight` being
    the most; without, so many are in flight all the time, shared by the `workers`. `response`: bytes of a
    response's body."""

    exchange: Exchange
    server: Program
    closer: Closer
    in_flight: int = IN_FLIGHT
    workers: int = 1
    seconds: int = 2
    rate: int | None = None
    response: int = BODY

    @property
    def client_closes(self) -> bool:
        return self.exchange is Exchange.SHORT and self.closer is Closer.CLIENT

    def spec(self) -> LabSpec:
        """The lab that it takes."""
        if self.client_closes:
            return lab_spec(ADDRESSES_WHERE_CLIENT_CLOSES, WIDEST_PORTS)
        return lab_spec()

    @property
    def backlog(self) -> int:
        """What the server's listener needs for all in flight to knock at once."""
        return max(BACKLOG, self.in_flight)

    def __str__(self) -> str:
        size = "" if self.response == BODY else f", {self.response:,} B"
        if self.exchange is Exchange.KEPT:
            return f"{self.server}, kept{size}"
        return f"{self.server}, short, {self.closer} closes{size}"


@dataclass(frozen=True, slots=True)
class Pace:
    """When to look: a window of `window_s`, opened `warm_up_s` after the first connection."""

    warm_up_s: float
    window_s: float


BEFORE_THE_CLIFF = Pace(0.15, 0.7)
"""Half of the widest range lasts for that long at 35,000 a second; a faster tool gets a shorter window."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores that clients and the server are bound to."""

    allowed: tuple[int, ...]

    @classmethod
    def here(cls) -> "Cores":
        return cls(tuple(sorted(os.sched_getaffinity(0))))

    @property
    def server(self) -> int:
        return self.allowed[-1]

    def clients(self, workers: int) -> tuple[int, ...]:
        """A core for each worker; the server's among them only where there is no other left."""
        return tuple(self.allowed[number % len(self.allowed)] for number in range(workers))


def pinned(cores: tuple[int, ...] | int) -> list[str]:
    """The words before a command that bind it to the cores."""
    told = (cores,) if isinstance(cores, int) else tuple(sorted(set(cores)))
    return ["taskset", "-c", ",".join(map(str, told))]
