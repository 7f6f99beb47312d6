"""The lab of a client, a NAT and a server: three nodes on two links. Pure.

The client's network and the server's are apart, and the server has no route to the client's: it answers the
address of the NAT, whose conntrack holds which connection of the client that is.
"""

from collections.abc import Mapping
from ipaddress import ip_network

from loadgen.lab.networks import NETWORKS, following
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.records.viewpoints import Leg, Pool, Scope, Viewpoint
from loadgen.scenario.choices import Family
from loadgen.tcp import Side

NAT = "nat"


def translated_lab(
    family: Family = Family.IPV4,
    *,
    ports: tuple[int, int],
    nat_ports: tuple[int, int],
    server_ports: int = 1,
    client_addresses: int = 1,
    server_addresses: int = 1,
    sysctls: Mapping[str, Mapping[str, str]],
    backlog: int = 0,
) -> LabSpec:
    """The lab: the client opens connections from `ports`, and the server sees the NAT's `nat_ports`."""
    nodes = (
        Node(Side.CLIENT, ports=ports, sysctls=sysctls.get(Side.CLIENT, {})),
        Node(NAT, sysctls=sysctls.get(NAT, {}), masquerade=nat_ports),
        Node(Side.SERVER, backlog=backlog, sysctls=sysctls.get(Side.SERVER, {})),
    )
    counts = {Side.CLIENT: client_addresses, Side.SERVER: server_addresses}
    addresses = {side: following(NETWORKS[family, side].side, count) for side, count in counts.items()}
    links = tuple(
        Link(
            (
                End(side, _prefixed(addresses[side], family, side), routes=_routes(family, side)),
                End(NAT, _prefixed((NETWORKS[family, side].middle,), family, side), interface=f"lab{number}"),
            )
        )
        for number, side in enumerate(Side)
    )
    pool = Pool(nat_ports, server_addresses * server_ports)
    viewpoints = (
        Viewpoint(Side.CLIENT, Side.CLIENT, ports=ports, paths=client_addresses * pool.paths),
        Viewpoint(NAT, NAT, pool=pool),
        Viewpoint(Side.SERVER, Side.SERVER),
    )
    return LabSpec(
        nodes=nodes,
        links=links,
        sides={side.value: Placement(side, own) for side, own in addresses.items()},
        scope=Scope(viewpoints, (Leg(Side.CLIENT, Side.SERVER),)),
    )


def _routes(family: Family, side: Side) -> dict[str, str]:
    """The client's way to the server; the server needs none."""
    if side is Side.SERVER:
        return {}
    server = NETWORKS[family, Side.SERVER]
    beyond = ip_network(f"{server.side}/{server.prefix}", strict=False)
    return {str(beyond): NETWORKS[family, Side.CLIENT].middle}


def _prefixed(addresses: tuple[str, ...], family: Family, side: Side) -> tuple[str, ...]:
    return tuple(f"{address}/{NETWORKS[family, side].prefix}" for address in addresses)
