"""The viewpoints of a lab: where its sockets are counted, and which of them are ends of connections. Pure.

A sample has an entry for each viewpoint, and metrics and figures are named after it. Whatever samples, adds
up, audits or draws goes over these, however many a lab has.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from loadgen.tcp import Side

NAME = r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?"
"""The regular expression of a viewpoint's name."""

Port = Annotated[int, Meta(ge=0, le=65535)]


class SocketFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets of a namespace, by their local or remote port: one of `count` in a row, from that one on."""

    local_port: Port | None = None
    remote_port: Port | None = None
    count: Annotated[int, Meta(ge=1)] = 1


class Pool(Struct, frozen=True, forbid_unknown_fields=True):
    """The source ports that a NAT gives to connections, both ends included; `paths` are the addresses
    and ports towards each of which they are there once."""

    ports: tuple[Port, Port]
    paths: Annotated[int, Meta(ge=1)] = 1

    @property
    def size(self) -> int:
        """How many connections at a time it is enough for."""
        return (self.ports[1] - self.ports[0] + 1) * self.paths


class Viewpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets that are counted together.

    node     the node whose network namespace they are in
    filter   which sockets of the namespace; None: all
    ports    the ephemeral range whose ports in use are counted, both ends included; None: they are not
    paths    how often the range is there: once for each source and destination (K7)
    pool     of a NAT, whose conntrack entries are counted; None: it is no NAT
    exclusive  bind() takes the ports: the range is there once for each source, whatever the destination (K10)
    """

    name: Annotated[str, Meta(pattern=f"^{NAME}$")]
    node: str
    filter: SocketFilter | None = None
    ports: tuple[Port, Port] | None = None
    paths: Annotated[int, Meta(ge=1)] = 1
    pool: Pool | None = None
    exclusive: bool = False

    @property
    def capacity(self) -> int | None:
        """How many connections its ports allow; None if its ports are not counted."""
        return None if self.ports is None else (self.ports[1] - self.ports[0] + 1) * self.paths


class Leg(Struct, frozen=True, forbid_unknown_fields=True):
    """Two viewpoints with connections between them: one opens them, the other accepts them."""

    opener: str
    accepter: str


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is sampled in a lab, in the order of tables and figures. The driver opens the first leg.

    A viewpoint that is on no leg, such as a router, is sampled and shown, and not audited.
    """

    viewpoints: tuple[Viewpoint, ...] = ()
    legs: tuple[Leg, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for names that are missing or not distinct."""
        if len(set(self.names)) < len(self.names):
            raise ValueError("has two viewpoints of one name")
        ends = {end for leg in self.legs for end in (leg.opener, leg.accepter)}
        if unknown := sorted(ends - set(self.names)):
            raise ValueError(f"no such viewpoint: {', '.join(unknown)}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(viewpoint.name for viewpoint in self.viewpoints)

    @property
    def leg(self) -> Leg:
        """The leg that the driver's connections are on."""
        return self.legs[0]

    @property
    def by_node(self) -> Mapping[str, tuple[str, ...]]:
        """The viewpoints of each node. Those of one node share its kernel counters."""
        nodes = dict.fromkeys(viewpoint.node for viewpoint in self.viewpoints)
        return {node: tuple(one.name for one in self.viewpoints if one.node == node) for node in nodes}

    def shares(self, leg: Leg) -> bool:
        """Whether both ends of a leg are in one namespace."""
        return any({leg.opener, leg.accepter} <= set(names) for names in self.by_node.values())


APART = Scope(
    (Viewpoint(Side.CLIENT, Side.CLIENT), Viewpoint(Side.SERVER, Side.SERVER)),
    (Leg(Side.CLIENT, Side.SERVER),),
)
"""A client and a server, each in a namespace of its own: assumed if the event `lab` was lost."""
