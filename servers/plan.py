"""What a server process is told, as one JSON line on its standard input."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Self, cast

from servers.behaviour import Behaviour, need_choice, need_fields, need_whole


class Kind(StrEnum):
    """The program that serves."""

    PROTOCOL = "protocol"
    """Bare sockets: as little as possible between the kernel and the behaviour."""
    AIOHTTP = "aiohttp"
    """An aiohttp.web application: what users run."""


@dataclass(frozen=True, slots=True)
class Plan:
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

    def to_json(self) -> str:
        """The plan as one JSON line, without its newline."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read a plan. Raises ValueError that names the field at fault."""
        try:
            data: Any = json.loads(line)
        except ValueError as error:
            raise ValueError(f"plan: not JSON: {error}") from None
        need_fields("plan", data, set(cls.__slots__), {"kind", "behaviour", "hosts"})
        hosts = data["hosts"]
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in cast(list[Any], hosts)):
            raise ValueError(f"hosts: a list of addresses is needed, not {hosts!r}")
        values: dict[str, Any] = dict(data)
        values["kind"] = need_choice("kind", data["kind"], Kind)
        values["behaviour"] = Behaviour.from_json(data["behaviour"])
        values["hosts"] = tuple(cast(list[str], hosts))
        cores = data.get("cores", [])
        if not isinstance(cores, list):
            raise ValueError(f"cores: a list of numbers is needed, not {cores!r}")
        values["cores"] = tuple(cast(list[int], cores))
        return cls(**values)
