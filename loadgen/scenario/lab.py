"""`lab:`, the namespaces and links that an experiment runs in."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.choices import MOST_ADDRESSES, Family, Topology
from loadgen.scenario.model import Model
from loadgen.scenario.proxy import LabProxy
from loadgen.text.units import PortRange


class LabClient(Model):
    """The client's side of the lab."""

    ports: Annotated[PortRange, fields.port_range()] = PortRange(32768, 60999)
    """The client's ephemeral ports, both ends included, such as 32768-60999 (28,232 ports)."""
    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Source addresses; each has the whole port range to itself."""


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
    """The proxy's ports, with topology: proxy."""
    nat: LabNat = LabNat()
    """The NAT's ports, with topology: nat."""
    sysctl: Sysctls = Sysctls()
    """Kernel settings of each side's namespace."""

    @property
    def paths(self) -> int:
        """Pairs of addresses that the client's connections are between; a proxy has one towards it."""
        return self.client.addresses * (1 if self.topology is Topology.PROXY else self.server.addresses)
