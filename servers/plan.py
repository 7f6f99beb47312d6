"""The plan of a server worker: one JSON line on its standard input."""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from loadgen.wire.keepalive import Keepalive
from servers.behaviour import Behaviour, need_whole


class Kind(StrEnum):
    """The program that serves."""

    PROTOCOL = "protocol"
    """Bare sockets: as little as possible between the kernel and the behaviour."""
    AIOHTTP = "aiohttp"
    """An aiohttp.web application: what users run."""
    RAW = "raw"
    """Bare sockets, and raw TCP in place of HTTP."""


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """Where and with what one worker serves.

    `hosts` are IP addresses, all served on one `port` (0: the kernel picks), or on `ports` in a row from that
    one on, each with this `backlog`; `reuse_address` sets SO_REUSEADDR.

    It is number `worker`, from 0 on, of `workers` that share the ports: the first one binds them alone.
    `core` is the one that it is pinned to, None if it is not; `keepalive` is that of the accepted sockets.
    Raises ValueError for what cannot be served.
    """

    kind: Kind
    behaviour: Behaviour
    hosts: tuple[str, ...]
    port: int = 0
    backlog: int = 4096
    reuse_address: bool = True
    worker: int = 0
    workers: int = 1
    core: int | None = None
    keepalive: Keepalive | None = None
    ports: int = 1

    def __post_init__(self) -> None:
        if not self.hosts:
            raise ValueError("hosts: at least one address is needed")
        if len(set(self.hosts)) < len(self.hosts):
            raise ValueError("hosts: an address is given twice")
        for host in self.hosts:
            try:
                ip_address(host)
            except ValueError:
                raise ValueError(f"hosts: {host!r} is not an IP address") from None
        if self.kind is Kind.RAW:
            need_whole("response_size", self.behaviour.response_size, 1)
        need_whole("port", self.port, 0, 65535)
        need_whole("ports", self.ports, 1)
        if self.ports > 1 and not self.port:
            raise ValueError("port: several ports in a row begin at one that is given")
        need_whole("the last port", self.port + self.ports - 1, 0, 65535)
        need_whole("backlog", self.backlog, 1)
        need_whole("workers", self.workers, 1, 1024)
        need_whole("worker", self.worker, 0, self.workers - 1)
        if self.core is not None:
            need_whole("core", self.core, 0)

    @property
    def name(self) -> str:
        """What the worker is called."""
        return "server" if self.workers == 1 else f"server worker {self.worker + 1} of {self.workers}"

    def divided(self, workers: int, cores: Sequence[int] = ()) -> tuple["Plan", ...]:
        """The plans of `workers` that together are this server, each on its core, if there are any."""
        return tuple(
            replace(self, worker=worker, workers=workers, core=cores[worker] if cores else None)
            for worker in range(workers)
        )
