"""`lab:`, the namespaces and links that an experiment runs in."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.choices import MOST_ADDRESSES, Bind, Family, Topology
from loadgen.scenario.model import Model
from loadgen.scenario.proxy import LabProxy
from loadgen.text.units import PortRange


class LabClient(Model):
    """The client's side of the lab."""

    ports: Annotated[PortRange, fields.port_range()] = PortRange(32768, 60999)
    """The client's ephemeral ports, both ends included, such as 32768-60999 (28,232 ports)."""
    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Source addresses; each has the whole port range to itself."""
    bind: Bind | None = None
    """early: bind() takes the port, for all destinations (K10); late: connect() does, and bind() the address
    alone; none: no bind(). Without it late with several addresses, and else none."""
    local_port_range: Annotated[PortRange | None, fields.port_range()] = None
    """A part of `ports` that each socket is given for its own (IP_LOCAL_PORT_RANGE, Linux 6.3, K9)."""

    @property
    def range(self) -> PortRange:
        """The ports that its connections have."""
        return self.local_port_range or self.ports

    @property
    def binds(self) -> Bind:
        """When its sockets are bound."""
        return Bind.of(self.bind, self.addresses)


class LabServer(Model):
    """The server's side of the lab."""

    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Addresses the server listens on; ports are counted anew towards each."""


class LabNat(Model):
    """The node that translates the client's addresses to its own, with topology: nat."""

    ports: Annotated[PortRange, fields.port_range()] = PortRange(1024, 65535)
    """The source ports that it gives to connections, both ends included; they are there once towards each of
    the server's addresses."""


class Sysctls(Model):
    """Kernel settings of the lab's own namespaces, by dotted name. The host's are left alone."""

    client: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the client's namespace, such as net.ipv4.tcp_tw_reuse: 1."""
    server: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the server's namespace."""
    proxy: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the proxy's namespace, with topology: proxy."""
    nat: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the NAT's namespace, such as net.netfilter.nf_conntrack_tcp_timeout_time_wait: 10."""


class Lab(Model):
    """The namespaces and links that the experiment runs in."""

    topology: Topology = Topology.PAIR
    """pair: a namespace for each side; loopback: one for both; host: none, on the host's loopback; proxy: a
    namespace each for client, proxy and server; nat: likewise for client, NAT and server."""
    family: Family = Family.IPV4
    """The address family of all connections."""
    client: LabClient = LabClient()
    """The client's ports and addresses."""
    server: LabServer = LabServer()
    """The server's addresses."""
    proxy: LabProxy = LabProxy()
    """The proxy's ports and addresses, with topology: proxy."""
    nat: LabNat = LabNat()
    """The NAT's ports, with topology: nat."""
    sysctl: Sysctls = Sysctls()
    """Kernel settings of each side's namespace."""
