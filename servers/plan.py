"""The plan of a server process: one JSON line on its standard input."""

from enum import StrEnum
from ipaddress import ip_address

from msgspec import Struct

from servers.behaviour import Behaviour, need_whole


class Kind(StrEnum):
    """The program that serves."""

    PROTOCOL = "protocol"
    """Bare sockets: as little as possible between the kernel and the behaviour."""
    AIOHTTP = "aiohttp"
    """An aiohttp.web application: what users run."""


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """Where and with what to serve.

    `hosts` are IP addresses, all served on one `port` (0: the kernel picks). Each of the `workers` is a
    process with its own listeners, each with this `backlog`, and pinned to its one of the `cores` where
    there are any. Raises ValueError for what cannot be served.
    """

    kind: Kind
    behaviour: Behaviour
    hosts: tuple[str, ...]
    port: int = 0
    workers: int = 1
    backlog: int = 4096
    cores: tuple[int, ...] = ()

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
        need_whole("port", self.port, 0, 65535)
        need_whole("workers", self.workers, 1, 1024)
        need_whole("backlog", self.backlog, 1)
        for core in self.cores:
            need_whole("cores", core, 0)
        if len(self.cores) not in (0, self.workers):
            raise ValueError(f"cores: one for each of the {self.workers} workers is needed, or none")
