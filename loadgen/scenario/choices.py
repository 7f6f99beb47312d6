"""Choices that a scenario offers and others carry out: pure, and quick to import for all of them."""

from enum import StrEnum

MOST_ADDRESSES = 250
"""Addresses a side can have: as many give the client seven million ports towards one server port (K7)."""


class Driver(StrEnum):
    """What makes the connections."""

    AUTO = "auto"
    """uring where this kernel has what the scenario asks for, protocol elsewhere."""
    URING = "uring"
    """churn's fastest client: io_uring, a batch of connections at a time."""
    PROTOCOL = "protocol"
    """churn's own client: asyncio Protocols on uvloop."""
    AIOHTTP = "aiohttp"
    """The client that people use."""
    COMMAND = "command"
    """Any program: its connections are counted by the kernel alone."""


class Arrivals(StrEnum):
    """The process by which requests arrive in an open loop."""

    CONSTANT = "constant"
    """One every 1/rate seconds."""
    POISSON = "poisson"
    """Independent of each other, as from many users: exponential gaps with mean 1/rate."""


class Topology(StrEnum):
    """Where the two sides stand."""

    PAIR = "pair"
    """A namespace each, joined by a veth pair: this shows what production shows (K12)."""
    LOOPBACK = "loopback"
    """One namespace for both, on its own `lo`."""
    HOST = "host"
    """No namespace: the caller's loopback, for machines that allow nothing else."""

    @property
    def shared(self) -> bool:
        """Whether both sides live in one namespace."""
        return self is not Topology.PAIR


class Family(StrEnum):
    """The address family of the connections."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Http(StrEnum):
    """The version that requests and responses claim."""

    V1_0 = "1.0"
    V1_1 = "1.1"


class ServerKind(StrEnum):
    """What accepts the connections: churn's own protocol on uvloop, aiohttp's server, or any program."""

    PROTOCOL = "protocol"
    AIOHTTP = "aiohttp"
    COMMAND = "command"
