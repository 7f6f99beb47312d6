"""The description of a lab: nodes, the links between them, the node of each side, and what is sampled. Pure.

A node is a network namespace. A link is a veth pair. A side is a name that processes are started under: it is
on a node, and two sides may be on the same one, as on loopback. A viewpoint is a name that sockets are
counted under: those of a node, or a part of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.records.viewpoints import Scope


@dataclass(frozen=True, slots=True)
class Node:
    """A network namespace of the lab.

    ports      its ephemeral range, both ends included; None leaves the kernel's default
    backlog    the largest backlog of its listeners (net.core.somaxconn is raised to it)
    sysctls    settings by their dotted names (`net.ipv4.tcp_tw_reuse`), as the scenario has them
    slow       it bridges its ends, and lets packets out of this interface slowly (`slow_bridge.py`); empty:
               it does not
    loopback   addresses with their prefix that `lo` has beside 127.0.0.0/8 and ::1
    masquerade it forwards, and what leaves by its last end has its address there and one of these ports, both
               ends included; None: it does not
    """

    name: str
    ports: tuple[int, int] | None = None
    backlog: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict[str, str])
    loopback: tuple[str, ...] = ()
    slow: str = ""
    masquerade: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A node's end of a link: its addresses with their prefix, and the gateway to each destination prefix.

    A node with several ends names their interfaces apart.
    """

    node: str
    addresses: tuple[str, ...]
    interface: str = "lab0"
    routes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Link:
    """A veth pair between two nodes."""

    ends: tuple[End, End]


@dataclass(frozen=True, slots=True)
class Placement:
    """The place of a side: its node, and its addresses without prefix."""

    node: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabSpec:
    """A lab as asked for. Without `private` its only node is the namespace that the caller is in.

    Raises ValueError if a link, a side or a viewpoint names a node that does not exist.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    sides: Mapping[str, Placement]
    scope: Scope = field(default_factory=Scope)
    private: bool = True

    def __post_init__(self) -> None:
        names = {node.name for node in self.nodes}
        used = {end.node for link in self.links for end in link.ends}
        used |= {placement.node for placement in self.sides.values()} | set(self.scope.by_node)
        if unknown := sorted(used - names):
            raise ValueError(f"no such node: {', '.join(unknown)}")

    def ends(self, node: str) -> list[End]:
        """The node's ends of links."""
        return [end for link in self.links for end in link.ends if end.node == node]
