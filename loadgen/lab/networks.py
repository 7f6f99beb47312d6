"""The addresses of labs: those of two networks with a node between them, and several in a row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from loadgen.scenario.choices import Family
from loadgen.tcp import Side


@dataclass(frozen=True, slots=True)
class Network:
    """Between a side and the node in the middle: the first address of each, and the prefix of both."""

    side: str
    middle: str
    prefix: int


NETWORKS: Mapping[tuple[Family, str], Network] = {
    (Family.IPV4, Side.CLIENT): Network("198.18.0.1", "198.18.128.1", 16),
    (Family.IPV4, Side.SERVER): Network("198.19.0.1", "198.19.128.1", 16),
    (Family.IPV6, Side.CLIENT): Network("2001:2:0:1::1", "2001:2:0:1:8000::1", 64),
    (Family.IPV6, Side.SERVER): Network("2001:2:0:2::1", "2001:2:0:2:8000::1", 64),
}


def following(first: str, count: int) -> tuple[str, ...]:
    """So many addresses, from the first on."""
    return tuple(str(ip_address(first) + number) for number in range(count))
