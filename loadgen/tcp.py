"""The vocabulary of connection churn: states, sides, endings, and how a try to connect can end.

No I/O happens here and nothing here knows a kernel number (those are in `loadgen.kernel.sock_diag`).
Names are those of RFC 9293.
"""

from enum import StrEnum
from typing import Self


class State(StrEnum):
    """A state of the TCP connection state machine (RFC 9293, section 3.3.2)."""

    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"
    CLOSED = "CLOSED"

    @property
    def key(self) -> str:
        """The name as metrics spell it: `TIME-WAIT` is `time_wait`."""
        return self.value.lower().replace("-", "_")


class Tracked(StrEnum):
    """What conntrack, in a node between two ends, holds for the state of a connection, by its own names.

    It is inferred from the segments that pass, and is no state of either end: FIN_WAIT lasts from the first
    FIN to the ACK of it, TIME_WAIT 120 s from the last ACK on (K28), and a RST makes it CLOSE.
    """

    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT = "FIN_WAIT"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    SYN_SENT2 = "SYN_SENT2"

    @property
    def key(self) -> str:
        """The name as metrics spell it."""
        return self.value.lower()

    @property
    def over(self) -> bool:
        """Whether the connection has ended, as far as conntrack saw it."""
        return self in (Tracked.TIME_WAIT, Tracked.CLOSE)


class Side(StrEnum):
    """An end of the connections under study."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Side":
        """The other end."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT


class Closer(StrEnum):
    """Who closes a connection first."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"
    """Each side sends its FIN before the other's has come (RFC 9293, 3.6)."""
    NOBODY = "nobody"
    """No side, as long as the load lasts."""


class How(StrEnum):
    """How the closer ends the connection: an orderly FIN, or an abortive RST (SO_LINGER {1, 0}, K4)."""

    FIN = "fin"
    RST = "rst"


class Close(StrEnum):
    """In which way the closer ends the connection. What its peer receives is a FIN or a RST: a `How`."""

    FIN = "fin"
    RST = "rst"
    HALF = "half"
    """By FIN, which ends sending only: the closer goes on reading, and bytes arrive after its FIN."""
    UNREAD = "unread"
    """close() with bytes unread in the receive queue, which resets the connection (K4)."""
    UNSENT = "unsent"
    """close() with bytes in the send queue: sent before the FIN, or lost with SO_LINGER {1, 0} (K4)."""

    @property
    def how(self) -> How:
        """By what it ends the connection, without SO_LINGER."""
        return How.RST if self in (Close.RST, Close.UNREAD) else How.FIN


class Ending(StrEnum):
    """The end of an established connection: the side that closed first, and how.

    That side is the active closer, which a FIN leaves in TIME-WAIT (K1): both, if their FINs crossed.
    """

    CLIENT_FIN = "client_fin"
    CLIENT_RST = "client_rst"
    SERVER_FIN = "server_fin"
    SERVER_RST = "server_rst"
    BOTH_FIN = "both_fin"

    @classmethod
    def of(cls, side: Side, how: How) -> Self:
        return cls(f"{side}_{how}")

    @property
    def closer(self) -> Closer:
        return Closer(self.partition("_")[0])

    @property
    def side(self) -> Side:
        """The side that closed first. Raises ValueError if both did."""
        return Side(self.partition("_")[0])

    @property
    def how(self) -> How:
        return How(self.partition("_")[2])


class Phase(StrEnum):
    """The part of an attempt's life in which it ended."""

    BIND = "bind"
    CONNECT = "connect"
    SEND = "send"
    RECEIVE = "receive"
    CLOSE = "close"


class Fault(StrEnum):
    """Endings that carry no errno of their own."""

    TIMEOUT = "TIMEOUT"
    """Nothing came within the phase's time limit."""
    MALFORMED = "MALFORMED"
    """The peer's bytes are not the response that was asked for."""
    SHORT = "SHORT"
    """The connection ended inside a response."""
    NO_RESPONSE = "NO_RESPONSE"
    """The server closed the connection before a byte of the response had come."""
    CUT = "CUT"
    """The run ended first: churn itself gave the attempt up."""


class Failure(str):
    """How an attempt failed: in which phase, and by which errno name or `Fault`.

    Written `phase:kind`, as in `connect:EADDRNOTAVAIL`, and the same in memory: so it is a key that JSON has.
    """

    __slots__ = ()

    def __new__(cls, phase: Phase, kind: str) -> Self:
        return super().__new__(cls, f"{phase}:{kind}")

    @property
    def phase(self) -> Phase:
        return Phase(self.partition(":")[0])

    @property
    def kind(self) -> str:
        return self.partition(":")[2]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `phase:kind` back. Raises ValueError for an unknown phase."""
        phase, _, kind = text.partition(":")
        return cls(Phase(phase), kind)

    @property
    def limit(self) -> str:
        """Whose limit it was, in words; empty if the failure alone does not show it."""
        return _LIMITS.get((self.phase, self.kind)) or _LIMITS.get((None, self.kind), "")


OUT_OF_TIME = frozenset({Fault.TIMEOUT, Fault.CUT})
"""The kinds of failures in which the client waited in vain, and gave the attempt up."""

NO_PORT = frozenset(
    {
        Failure(Phase.CONNECT, "EADDRNOTAVAIL"),
        Failure(Phase.CONNECT, "EADDRINUSE"),
        Failure(Phase.BIND, "EADDRINUSE"),
    }
)
"""How an attempt fails if no port is free: at connect, or at bind if that takes the port (K10)."""

# Whose limit a failure shows (law 3 of the design: these are different things). K10 and K11 explain
# the two port errors apart, K15 and K28 name what an unanswered SYN can mean.
_LIMITS: dict[tuple[Phase | None, str], str] = {
    (Phase.CONNECT, "EADDRNOTAVAIL"): "the client's ephemeral ports: none is free towards this destination",
    (Phase.BIND, "EADDRNOTAVAIL"): "the client's addresses: the source address is not its own",
    (
        Phase.BIND,
        "EADDRINUSE",
    ): "the client's ephemeral ports: bind() takes each for all destinations, and none"
    " is left; IP_BIND_ADDRESS_NO_PORT leaves the port to connect()",
    (None, "EADDRINUSE"): "the client's ephemeral ports, bound before connect and so exclusive",
    (None, "EMFILE"): "this process's descriptors (RLIMIT_NOFILE)",
    (None, "ENFILE"): "the host's descriptors (fs.file-max)",
    (None, "ENOBUFS"): "the host's memory for sockets",
    (None, "ENOMEM"): "the host's memory for sockets",
    (Phase.CONNECT, "ECONNREFUSED"): "the server: nothing listens there",
    (Phase.CONNECT, Fault.TIMEOUT): "the server's backlog or the path: the SYN stayed unanswered",
    (Phase.RECEIVE, Fault.TIMEOUT): "the server: no full response in time",
    (None, "ECONNRESET"): "the peer: it reset the connection",
    (None, Fault.SHORT): "the server: it closed inside a response",
    (None, Fault.NO_RESPONSE): "the server: it closed the connection before a byte of the response had come; "
    "on a kept connection a retry is safe",
    (None, Fault.MALFORMED): "the server: it sent something else than was asked for",
    (None, Fault.CUT): "the run: it ended first",
}
