"""The lab of a client, a proxy and a server: three nodes on two links. Pure.

The client's network and the server's are apart, and only the proxy is in both. Its two viewpoints differ by
the port that proxy and server listen on: what it has accepted has that port of its own, and what it
has opened has it as the remote one.
"""

from collections.abc import Mapping

from loadgen.lab.networks import NETWORKS, following
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.records.viewpoints import Leg, Scope, SocketFilter, Viewpoint
from loadgen.scenario.choices import Family

CLIENT, PROXY, SERVER = "client", "proxy", "server"
DOWNSTREAM, UPSTREAM = "proxy.downstream", "proxy.upstream"


def proxied_lab(
    family: Family = Family.IPV4,
    *,
    port: int,
    server_ports: int = 1,
    ports: tuple[int, int],
    proxy_ports: tuple[int, int],
    client_addresses: int = 1,
    proxy_addresses: int = 1,
    server_addresses: int = 1,
    sysctls: Mapping[str, Mapping[str, str]],
    backlog: int = 0,
) -> LabSpec:
    """The lab: proxy and server listen on `port`, the server on `server_ports` in a row from it on.
    Connections open from `ports` and `proxy_ports`, those of the proxy at so many addresses."""
    nodes = (
        Node(CLIENT, ports=ports, sysctls=sysctls.get(CLIENT, {})),
        Node(PROXY, ports=proxy_ports, backlog=backlog, sysctls=sysctls.get(PROXY, {})),
        Node(SERVER, backlog=backlog, sysctls=sysctls.get(SERVER, {})),
    )
    near, sources = sources_of(family, CLIENT, 1), sources_of(family, SERVER, proxy_addresses)
    client, down = _link(family, CLIENT, client_addresses, near, "lab0")
    server, up = _link(family, SERVER, server_addresses, sources, "lab1")
    paths = proxy_addresses * server_addresses * server_ports
    of_server = SocketFilter(remote_port=port, count=server_ports)
    viewpoints = (
        Viewpoint(CLIENT, CLIENT, ports=ports, paths=client_addresses),
        Viewpoint(DOWNSTREAM, PROXY, SocketFilter(local_port=port)),
        Viewpoint(UPSTREAM, PROXY, of_server, proxy_ports, paths=paths),
        Viewpoint(SERVER, SERVER),
    )
    return LabSpec(
        nodes=nodes,
        links=(down, up),
        sides={
            CLIENT: Placement(CLIENT, client),
            PROXY: Placement(PROXY, near),
            SERVER: Placement(SERVER, server),
        },
        scope=Scope(viewpoints, (Leg(CLIENT, DOWNSTREAM), Leg(UPSTREAM, SERVER))),
    )


def sources_of(family: Family, side: str, count: int) -> tuple[str, ...]:
    """So many addresses of the proxy towards a side."""
    return following(NETWORKS[family, side].middle, count)


def _link(
    family: Family, side: str, count: int, proxys: tuple[str, ...], interface: str
) -> tuple[tuple[str, ...], Link]:
    """The addresses of a side, and the link between it and the proxy, which has these addresses there."""
    network = NETWORKS[family, side]
    addresses = following(network.side, count)
    own, theirs = (tuple(f"{address}/{network.prefix}" for address in each) for each in (addresses, proxys))
    return addresses, Link((End(side, own), End(PROXY, theirs, interface=interface)))
