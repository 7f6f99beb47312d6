"""What a lab should be: topology, addresses, ports, sysctls. Pure, and quick to import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from loadgen.choices import MOST_ADDRESSES, Family, Topology
from loadgen.tcp import Side


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A lab as asked for.

    `ports` is the client's ephemeral range, both ends included. `sysctls` are set in the sides'
    namespaces, under their dotted names (`net.ipv4.tcp_tw_reuse`). Listeners of the server may have a
    `backlog` of so many, unless the sysctls say otherwise. Raises ValueError where the addresses asked
    for cannot exist.
    """

    topology: Topology = Topology.PAIR
    family: Family = Family.IPV4
    ports: tuple[int, int] = (32768, 60999)
    client_addresses: int = 1
    server_addresses: int = 1
    sysctls: Mapping[Side, Mapping[str, str]] = field(default_factory=dict[Side, Mapping[str, str]])
    backlog: int = 0

    def __post_init__(self) -> None:
        for side in Side:
            count = self._count(side)
            if not 1 <= count <= MOST_ADDRESSES:
                raise ValueError(f"{side}: {count} addresses; a side has 1 to {MOST_ADDRESSES}")
            if count > 1 and (self.topology, self.family) == (Topology.HOST, Family.IPV6):
                raise ValueError(f"{side}: {count} addresses; the host's IPv6 loopback has one, ::1")

    def addresses(self, side: Side) -> tuple[str, ...]:
        """The side's addresses. Sides that share a `lo` share addresses, too."""
        first = ip_address(_FIRST_OF_PAIR[self.family, side])
        if self.topology.shared:
            first = ip_address(_FIRST_OF_LOOPBACK[self.family])
        return tuple(str(first + number) for number in range(self._count(side)))

    def _count(self, side: Side) -> int:
        return self.client_addresses if side is Side.CLIENT else self.server_addresses

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LabSpec":
        return cls(
            topology=Topology(data["topology"]),
            family=Family(data["family"]),
            ports=(data["ports"][0], data["ports"][1]),
            client_addresses=data["client_addresses"],
            server_addresses=data["server_addresses"],
            sysctls={Side(side): settings for side, settings in data["sysctls"].items()},
            backlog=data["backlog"],
        )


# The ranges set aside for benchmarking: RFC 2544 (198.18.0.0/15) and RFC 5180 (2001:2::/48). They
# are routed nowhere, so even a mistake stays home. IPv6 has one loopback address; the next ones
# follow it in the unused ::/96.
_FIRST_OF_PAIR: dict[tuple[Family, Side], str] = {
    (Family.IPV4, Side.CLIENT): "198.18.0.1",
    (Family.IPV4, Side.SERVER): "198.19.0.1",
    (Family.IPV6, Side.CLIENT): "2001:2:0:1::1",
    (Family.IPV6, Side.SERVER): "2001:2:0:2::1",
}
_FIRST_OF_LOOPBACK: dict[Family, str] = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
