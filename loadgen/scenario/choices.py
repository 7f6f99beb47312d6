"""The choices that a scenario offers. Imports nothing, so that every process can use them."""

from enum import StrEnum

MOST_ADDRESSES = 250
"""Addresses a side can have: as many give the client seven million ports towards one server port (K7)."""

MOST_PORTS = 64
"""Ports in a row that a server can listen on, each with a listener of its own on every address."""


class Driver(StrEnum):
    """What makes the connections."""

    AUTO = "auto"
    """uring if this kernel offers what the scenario needs, else protocol."""
    URING = "uring"
    """churn's fastest client: io_uring, a batch of connections at a time."""
    PROTOCOL = "protocol"
    """churn's own client: asyncio Protocols on uvloop."""
    AIOHTTP = "aiohttp"
    """aiohttp's client, as applications use it."""
    COMMAND = "command"
    """Any program: only the kernel counts its connections."""


class Arrivals(StrEnum):
    """The process by which requests arrive in an open loop."""

    CONSTANT = "constant"
    """One every 1/rate seconds."""
    POISSON = "poisson"
    """Independent of each other, as from many users: exponential gaps with mean 1/rate."""
    BURSTS = "bursts"
    """Several at one instant, as from a program that asks for many things at once; 1/rate is the mean gap."""


class Topology(StrEnum):
    """The namespaces of the two sides."""

    PAIR = "pair"
    """A namespace each, joined by a veth pair: behaves as two machines do (K12)."""
    LOOPBACK = "loopback"
    """One namespace for both, on its own `lo`."""
    HOST = "host"
    """No namespace: the caller's loopback, for machines that allow no namespaces."""
    PROXY = "proxy"
    """A namespace each for client, proxy and server, joined by two veth pairs."""
    NAT = "nat"
    """A namespace each for client, NAT and server: the server sees the NAT's address and ports."""

    @property
    def shared(self) -> bool:
        """Whether both sides are in one namespace."""
        return self in (Topology.LOOPBACK, Topology.HOST)

    @property
    def viewpoints(self) -> tuple[str, ...]:
        """The names that its sockets are counted under: those of metrics."""
        match self:
            case Topology.PROXY:
                between = ("proxy.downstream", "proxy.upstream")
            case Topology.NAT:
                between = ("nat",)
            case _:
                between = ()
        return ("client", *between, "server")


class Family(StrEnum):
    """The address family of the connections."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Bind(StrEnum):
    """When a client's socket is bound to its source address, and what takes its port."""

    EARLY = "early"
    """Before connect(), to the address and any port: bind() takes the port, for all destinations (K10)."""
    LATE = "late"
    """Before connect(), to the address alone (IP_BIND_ADDRESS_NO_PORT): connect() takes the port."""
    NONE = "none"
    """Not at all: connect() takes address and port."""

    @classmethod
    def of(cls, asked: "Bind | None", addresses: int) -> "Bind":
        """What was asked for. By default several addresses are bound to, late: else the first one has all."""
        return asked or (cls.LATE if addresses > 1 else cls.NONE)


class ApplicationProtocol(StrEnum):
    """What is spoken on connections."""

    HTTP = "http"
    RAW = "raw"
    """Requests and responses of fixed sizes, without headers."""


class Http(StrEnum):
    """The version that requests and responses claim."""

    V1_0 = "1.0"
    V1_1 = "1.1"


class Read(StrEnum):
    """What the client reads of a response before it closes."""

    ALL = "all"
    HEADERS = "headers"
    """Up to the empty line before the body, which stays in the receive queue."""
    NONE = "none"


class Act(StrEnum):
    """What a fault of the script does."""

    CUT = "cut"
    """The side's end of the link is down."""
    CRASH = "crash"
    """The side's host is gone, and its connections with it, without a segment; then it is back."""
    PAUSE = "pause"
    """The side's processes are stopped (SIGSTOP), and go on afterwards (SIGCONT)."""
    KILL = "kill"
    """The side's processes get a signal, and are not started again."""
    RESTART = "restart"
    """The server gets a signal, and is started again once it has ended."""
    SYSCTL = "sysctl"
    """Kernel settings of the side's namespace have other values."""
    DROP = "drop"
    """Segments that the side sends are dropped as they arrive at the other."""
    DELAY = "delay"
    """What the side sends is kept back for a time (netem)."""


class Lost(StrEnum):
    """Which segments are dropped."""

    FIN = "fin"
    """Those with FIN, and the data in them."""
    LAST_ACK = "last_ack"
    """ACKs that come after the FINs of both sides."""
    SYN_ACK = "syn_ack"
    """Those with SYN and ACK."""
    RST = "rst"
    """Those with RST."""
    ALL = "all"
    """All of the connections' segments."""


class Signal(StrEnum):
    """The signals that a fault can send."""

    KILL = "KILL"
    TERM = "TERM"
    INT = "INT"
    HUP = "HUP"
    QUIT = "QUIT"


class ServerKind(StrEnum):
    """What accepts the connections: churn's own protocol on uvloop, aiohttp's server, or any program.

    `raw` is the one on uvloop, too, for raw TCP in place of HTTP.
    """

    PROTOCOL = "protocol"
    AIOHTTP = "aiohttp"
    RAW = "raw"
    COMMAND = "command"


class ProxyKind(StrEnum):
    """The program between client and server."""

    NGINX = "nginx"
    HAPROXY = "haproxy"
    COMMAND = "command"


class ConnectionHeader(StrEnum):
    """The Connection header that nginx sends to the server."""

    CLEARED = "cleared"
    """None: `proxy_set_header Connection ""`."""
    DEFAULT = "default"
    """nginx's own, where the configuration has no such line: `close`."""


class ProxyReuse(StrEnum):
    """Which of its idle connections HAProxy uses again."""

    ALWAYS = "always"
    """Any, for any request."""
    SAFE = "safe"
    """HAProxy's default: the first request of each client's connection gets one of its own."""


class ProxyCloser(StrEnum):
    """Who closes a connection between proxy and server first, once a response has ended it."""

    PROXY = "proxy"
    """The server leaves the close to the proxy, whatever the Connection header says."""
    SERVER = "server"
    """The server, if the request was HTTP/1.0 or had `Connection: close`."""
