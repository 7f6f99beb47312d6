"""The topologies that a scenario can name, as nodes and links. Pure.

Addresses are from the ranges set aside for benchmarking: RFC 2544 (198.18.0.0/15) and RFC 5180 (2001:2::/48).
They are routed nowhere, so even a mistake does not leave the machine.
"""

from collections.abc import Mapping
from dataclasses import replace

from loadgen.lab.errors import SysctlRefused
from loadgen.lab.networks import following
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.records.viewpoints import Leg, Scope, SocketFilter, Viewpoint
from loadgen.scenario.choices import MOST_ADDRESSES, Family, Topology
from loadgen.tcp import Side

DEFAULT_PORTS = (32768, 60999)
"""Linux's ephemeral range (net.ipv4.ip_local_port_range)."""

_FIRST_OF_PAIR = {
    (Family.IPV4, Side.CLIENT): "198.18.0.1",
    (Family.IPV4, Side.SERVER): "198.19.0.1",
    (Family.IPV6, Side.CLIENT): "2001:2:0:1::1",
    (Family.IPV6, Side.SERVER): "2001:2:0:2::1",
}
_FIRST_OF_LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
"""IPv6 has one loopback address; the next ones follow it in the unused ::/96."""
_PAIR_PREFIX = {Family.IPV4: 15, Family.IPV6: 48}
"""Both sides of a pair are in this prefix, so the link needs no routes."""

EARLY_RETRANS = "net.ipv4.tcp_early_retrans"
_LEG = Leg(Side.CLIENT, Side.SERVER)
_NO_SYSCTLS: Mapping[Side, Mapping[str, str]] = {}


def client_server_lab(
    topology: Topology = Topology.PAIR,
    family: Family = Family.IPV4,
    *,
    port: int | None = None,
    server_ports: int = 1,
    ports: tuple[int, int] = DEFAULT_PORTS,
    client_addresses: int = 1,
    server_addresses: int = 1,
    sysctls: Mapping[Side, Mapping[str, str]] = _NO_SYSCTLS,
    backlog: int = 0,
    holds_back: bool = False,
) -> LabSpec:
    """The lab of a client and a server.

    `port` is the server's, the first of its `server_ports`: they distinguish the sockets of two sides in one
    namespace, which therefore has no viewpoints without. `ports` is the client's ephemeral range, both ends
    included; `sysctls` are by side; listeners of the server may have a `backlog` of so many, unless the
    sysctls set another. With `holds_back`, what the server of a pair sends leaves slowly enough for the
    client to act meanwhile. Raises ValueError for addresses that cannot exist, SysctlRefused if two sides of
    one namespace need different values.
    """
    counts = {Side.CLIENT: client_addresses, Side.SERVER: server_addresses}
    for side, count in counts.items():
        if not 1 <= count <= MOST_ADDRESSES:
            raise ValueError(f"{side}: {count} addresses; a side has 1 to {MOST_ADDRESSES}")
        if count > 1 and (topology, family) == (Topology.HOST, Family.IPV6):
            raise ValueError(f"{side}: {count} addresses; the host's IPv6 loopback has one, ::1")
    if topology is Topology.PAIR:
        addresses = {side: following(_FIRST_OF_PAIR[family, side], count) for side, count in counts.items()}
        return _pair(addresses, _PAIR_PREFIX[family], ports, server_ports, sysctls, backlog, holds_back)
    addresses = {side: following(_FIRST_OF_LOOPBACK[family], count) for side, count in counts.items()}
    # All of 127.0.0.0/8 is there from the start; of IPv6 only ::1.
    more = max(addresses.values(), key=len)[1:] if family is Family.IPV6 else ()
    node = Node(
        topology.value,
        ports=ports,
        backlog=backlog,
        sysctls=_agreed(sysctls),
        loopback=tuple(f"{address}/128" for address in more),
    )
    sides = {side.value: Placement(node.name, own) for side, own in addresses.items()}
    paths = client_addresses * server_addresses * server_ports
    scope = Scope() if port is None else _by_port(node.name, port, server_ports, ports, paths)
    return LabSpec((node,), (), sides, scope, private=topology is not Topology.HOST)


def _pair(
    addresses: Mapping[Side, tuple[str, ...]],
    prefix: int,
    ports: tuple[int, int],
    server_ports: int,
    sysctls: Mapping[Side, Mapping[str, str]],
    backlog: int,
    holds_back: bool,
) -> LabSpec:
    """A namespace for each side, joined by one link; or by two with a bridge between, which holds back what
    the server sends."""

    def end(side: Side) -> End:
        return End(side.value, tuple(f"{address}/{prefix}" for address in addresses[side]))

    ends = end(Side.CLIENT), end(Side.SERVER)
    client = Node("client", ports=ports, sysctls=sysctls.get(Side.CLIENT, {}))
    server = Node("server", backlog=backlog, sysctls=sysctls.get(Side.SERVER, {}))
    nodes, links = (client, server), (Link(ends),)
    if holds_back:
        # Or a FIN that waits in the bridge would be sent again before it has come: as a tail loss probe.
        server = replace(server, sysctls={EARLY_RETRANS: "0", **server.sysctls})
        bridge = Node("bridge", slow="to_client")
        nodes = (client, server, bridge)
        links = tuple(Link((one, End(bridge.name, (), f"to_{one.node}"))) for one in ends)
    sides = {side.value: Placement(side.value, own) for side, own in addresses.items()}
    scope = Scope(
        (
            Viewpoint(
                Side.CLIENT,
                client.name,
                ports=ports,
                paths=len(addresses[Side.CLIENT]) * len(addresses[Side.SERVER]) * server_ports,
            ),
            Viewpoint(Side.SERVER, server.name),
        ),
        (_LEG,),
    )
    return LabSpec(nodes, links, sides, scope)


def _by_port(node: str, port: int, count: int, ports: tuple[int, int], paths: int) -> Scope:
    """A client and a server in one namespace: the server's ports show whose a socket is."""
    of_client, of_server = SocketFilter(remote_port=port, count=count), SocketFilter(port, count=count)
    client = Viewpoint(Side.CLIENT, node, of_client, ports, paths)
    return Scope((client, Viewpoint(Side.SERVER, node, of_server)), (_LEG,))


def _agreed(sysctls: Mapping[Side, Mapping[str, str]]) -> dict[str, str]:
    """The settings of all sides, for the one namespace that they share. Raises SysctlRefused."""
    agreed: dict[str, str] = {}
    asked_by: dict[str, str] = {}
    for side in Side:
        for key, value in sysctls.get(side, {}).items():
            if agreed.setdefault(key, value) != value:
                other = f"the {asked_by[key]} asks for {agreed[key]!r}, and both sides share one namespace"
                raise SysctlRefused(side, key, value, other)
            asked_by.setdefault(key, side)
    return agreed
