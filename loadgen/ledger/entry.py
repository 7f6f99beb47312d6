"""An entry of the ledger of endings: one way for a connection, and the counters that it moves. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from loadgen.tcp import Ending, Side

FINS = ("TW", "TWKilled", "TCPTimeWaitOverflow")
"""Together, the entries into TIME-WAIT, or into FIN-WAIT-2 as an orphan (K18)."""
FIN = "+".join(FINS)
"""The name of their sum, a row of the ledger."""

ROWS: tuple[str, ...] = (
    "ActiveOpens",
    "AttemptFails",
    "PassiveOpens",
    FIN,
    "EstabResets",
    "TCPAbortOnData",
    "TCPAbortOnClose",
    "TCPAbortOnTimeout",
    "EmbryonicRsts",
)
"""What the ledger accounts for at each side. OutRsts is left out: a RST that no connection of the run caused
counts there, too."""


def summed(counters: Mapping[str, int]) -> dict[str, int]:
    """The counters with `FIN`, if the kernel has all that it is the sum of."""
    if not all(name in counters for name in FINS):
        return dict(counters)
    return {**counters, FIN: sum(counters[name] for name in FINS)}


class Kind(StrEnum):
    """What an entry has in common with others."""

    ORDINARY = "ordinary"
    """What a scenario asks for, and so needs no explanation."""
    BOTH = "both"
    """Each side acted before it knew of the other's act."""
    LATE_DATA = "late data"
    """Bytes arrived after a FIN, and a RST answered them."""
    RESET = "reset"
    """A RST, or silence, ended what a scenario does not end so."""
    NOT_ACCEPTED = "not accepted"
    """It was established at the client only: the server's accept queue was full."""
    NO_ENDING = "no ending"
    """It was never established at the client, or did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One way, for one connection.

    name      a word for it, unique; `kind` what it has in common with others
    story     what happens, as a clause: "both sides closed at once"
    first     who ended it first, and how; None if it was never established at the client
    seen      what the client's program may count it as, if not as `first` alone
    client    the counters of `ROWS` that move at the client; `server`: at the server
    witness   counters, by side, that move at least once for each connection, if this is what happened
    gauge     a gauge of the client that shows at least as many connections, if this is what happened
    most_share  the largest share of the connections seen as this that may be: drivers look who was first
              microseconds before they close, so more than that would be a driver that counts wrongly
    given_up  whether it happens to connections only that the client gave up, for want of an answer in time
    fault     the fault of the scenario's script without which it does not happen
    """

    name: str
    kind: Kind
    story: str
    first: Ending | None
    client: Mapping[str, int]
    server: Mapping[str, int]
    seen: tuple[Ending, ...] = ()
    witness: tuple[tuple[Side, str], ...] = ()
    gauge: str = ""
    most_share: float = 1.0
    given_up: bool = False
    fault: str = ""

    @property
    def late_data(self) -> bool:
        """Whether a RST followed the server's FIN because bytes of the client arrived after it."""
        return self.kind is Kind.LATE_DATA and self.first is Ending.SERVER_FIN

    @property
    def driver_only(self) -> bool:
        """Whether the kernels' counters alone cannot tell it from another entry."""
        return self.most_share < 1 or self.given_up

    @property
    def unread(self) -> bool:
        """Whether a side closed with bytes unread."""
        return "TCPAbortOnClose" in {**self.client, **self.server}

    @property
    def open(self) -> bool:
        """Whether the client took it for established."""
        return self.first is not None or bool(self.gauge)

    @property
    def counted_as(self) -> tuple[Ending, ...]:
        return self.seen or ((self.first,) if self.first else ())

    def moves(self, side: Side) -> Mapping[str, int]:
        """The counters that move at this side."""
        return self.client if side is Side.CLIENT else self.server
