"""Ways in which a connection ends with the host of one side: part of the ledger of endings. Pure.

The host that crashes counts what it loses, as its kernel stays: only its connections are destroyed.
"""

from loadgen.ledger.entry import Entry, Kind
from loadgen.tcp import Ending

CRASH = "crash"
_DESTROYED = {"EstabResets": 1}
_GIVEN_UP = {"EstabResets": 1, "TCPAbortOnTimeout": 1}

CRASHES: tuple[Entry, ...] = (
    Entry(
        name="server_crashed",
        kind=Kind.RESET,
        fault=CRASH,
        story="the server's host crashed, and the client's kernel gave the connection up",
        first=Ending.CLIENT_RST,
        seen=(Ending.CLIENT_RST, Ending.SERVER_RST),
        client={"ActiveOpens": 1, **_GIVEN_UP},
        server={"PassiveOpens": 1, **_DESTROYED},
    ),
    Entry(
        name="client_crashed",
        kind=Kind.RESET,
        fault=CRASH,
        story="the client's host crashed, and the server's kernel gave the connection up",
        first=Ending.SERVER_RST,
        seen=(Ending.CLIENT_RST, Ending.SERVER_RST),
        client={"ActiveOpens": 1, **_DESTROYED},
        server={"PassiveOpens": 1, **_GIVEN_UP},
    ),
    Entry(
        name="client_crashed_unnoticed",
        kind=Kind.RESET,
        fault=CRASH,
        story="the client's host crashed, and the server's kernel has not noticed",
        first=Ending.CLIENT_RST,
        client={"ActiveOpens": 1, **_DESTROYED},
        server={"PassiveOpens": 1},
    ),
)
