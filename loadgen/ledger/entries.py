"""Every way in which a connection comes to exist and to end, and what each kernel counts for it.

Pure. An entry is one connection, or one attempt to open one, in one of these ways. The numbers are what
Linux 6.18 moved when each was made to happen between two namespaces (`ways`); `churn endings` repeats it on
any machine, and docs/endings.md is its table. The kernel increments these counters in net/ipv4: tcp.c
(close), tcp_input.c (a RST arrives), tcp_minisocks.c (TIME-WAIT), tcp_ipv4.c (listeners).

A counter of how an end was made does not show who was first: `TCPAbortOnClose` moves alike if the client
resets an established connection, and if its reset answers the server's FIN. The other side's EstabResets
differs: that end is in ESTABLISHED in the one case and in FIN-WAIT-2 in the other, and RFC 4022 counts
resets out of ESTABLISHED and CLOSE-WAIT only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.ledger.crashes import CRASHES
from loadgen.ledger.entry import FIN, Entry, Kind
from loadgen.ledger.handshakes import NEVER_ESTABLISHED
from loadgen.tcp import Ending, Side


def _open(**more: int) -> dict[str, int]:
    return {"ActiveOpens": 1, **more}


def _accepted(**more: int) -> dict[str, int]:
    return {"PassiveOpens": 1, **more}


_LEFT = {FIN: 1}


@dataclass(frozen=True, slots=True)
class _Reset:
    """How a socket sends the RST that ends it."""

    name: str
    story: str
    counter: Mapping[str, int] = field(default_factory=dict[str, int])


_LINGER = _Reset("", "reset the connection (SO_LINGER {1, 0})", {"TCPAbortOnData": 1})
_UNREAD = _Reset(
    "_unread", "closed the connection with bytes unread, which resets it", {"TCPAbortOnClose": 1}
)

ORDINARY: tuple[Entry, ...] = (
    Entry(
        name="client_fin",
        kind=Kind.ORDINARY,
        story="the client closed first, by FIN",
        first=Ending.CLIENT_FIN,
        client=_open() | _LEFT,
        server=_accepted(),
    ),
    Entry(
        name="server_fin",
        kind=Kind.ORDINARY,
        story="the server closed first, by FIN",
        first=Ending.SERVER_FIN,
        client=_open(),
        server=_accepted() | _LEFT,
    ),
    Entry(
        name="client_rst",
        kind=Kind.ORDINARY,
        story=f"the client {_LINGER.story}",
        first=Ending.CLIENT_RST,
        client=_open(EstabResets=1, TCPAbortOnData=1),
        server=_accepted(EstabResets=1),
    ),
    Entry(
        name="server_rst",
        kind=Kind.ORDINARY,
        story=f"the server {_LINGER.story}",
        first=Ending.SERVER_RST,
        client=_open(EstabResets=1),
        server=_accepted(EstabResets=1, TCPAbortOnData=1),
    ),
)


def _answered(by: Side, reset: _Reset, *, left: bool) -> Entry:
    """A FIN of one side, answered by the other's RST. `left`: the FIN had been acknowledged, and its side had
    gone on to what TIME-WAIT is counted for."""
    first = Ending.SERVER_FIN if by is Side.CLIENT else Ending.CLIENT_FIN
    answers, closes = {"EstabResets": 1, **reset.counter}, dict(_LEFT if left else {})
    client, server = (answers, closes) if by is Side.CLIENT else (closes, answers)
    after = "" if left else ", before its TIME-WAIT began"
    return Entry(
        name=f"{first}_reset_by_{by}{reset.name}{'' if left else '_early'}",
        kind=Kind.RESET,
        story=f"the {first.side} closed first, by FIN; the {by} then {reset.story}{after}",
        first=first,
        client=_open() | client,
        server=_accepted() | server,
    )


def _late_data(first: Ending, *, left: bool, closed: bool = False) -> Entry:
    """Bytes that arrive after a FIN, at a side whose program has closed: its kernel answers by RST.

    `closed`: their sender has closed, too. The RST meets it in LAST-ACK, where it is not counted (K19).
    """
    by = Side.CLIENT if first is Ending.SERVER_FIN else Side.SERVER
    closes = dict(_LEFT) if left else {"TCPAbortOnData": 1}
    resets: dict[str, int] = {} if closed else {"EstabResets": 1}
    client, server = (resets, closes) if by is Side.CLIENT else (closes, resets)
    return Entry(
        name=f"{first}_then_data{'' if left else '_early'}{'_and_fin' if closed else ''}",
        kind=Kind.RESET if closed else Kind.LATE_DATA,
        story=f"the {first.side} closed first, by FIN; bytes of the {by} arrived after it, and the"
        f" {first.side} answered them by RST (RFC 1122, 4.2.2.13)"
        + (f"; the {by} had closed by then" if closed else ""),
        first=first,
        client=_open() | client,
        server=_accepted() | server,
        witness=((first.side, "OutRsts"),) if closed else (),
    )


ENTRIES: tuple[Entry, ...] = (
    *ORDINARY,
    Entry(
        name="both_fin",
        kind=Kind.BOTH,
        story="both sides closed at once, by FIN (RFC 9293, 3.6): each holds a TIME-WAIT",
        first=Ending.BOTH_FIN,
        seen=(Ending.CLIENT_FIN, Ending.SERVER_FIN, Ending.BOTH_FIN),
        client=_open() | _LEFT,
        server=_accepted() | _LEFT,
    ),
    Entry(
        name="both_rst",
        kind=Kind.BOTH,
        story="both sides reset it at once",
        first=Ending.CLIENT_RST,
        seen=(Ending.CLIENT_RST, Ending.SERVER_RST),
        client=_open(EstabResets=1, TCPAbortOnData=1),
        server=_accepted(EstabResets=1, TCPAbortOnData=1),
    ),
    Entry(
        name="client_rst_unread",
        kind=Kind.RESET,
        story=f"the client {_UNREAD.story}",
        first=Ending.CLIENT_RST,
        client=_open(EstabResets=1, TCPAbortOnClose=1),
        server=_accepted(EstabResets=1),
    ),
    Entry(
        name="server_rst_unread",
        kind=Kind.RESET,
        story=f"the server {_UNREAD.story}",
        first=Ending.SERVER_RST,
        client=_open(EstabResets=1),
        server=_accepted(EstabResets=1, TCPAbortOnClose=1),
    ),
    Entry(
        name="server_rst_not_accepted",
        kind=Kind.RESET,
        story="the server closed its listener, or ended, before it had accepted the connection (K29), or its"
        " host crashed, and was back when the client sent",
        first=Ending.SERVER_RST,
        client=_open(EstabResets=1),
        server=_accepted(EstabResets=1),
    ),
    *(
        _answered(by, reset, left=left)
        for by in (Side.CLIENT, Side.SERVER)
        for reset in (_UNREAD, _LINGER)
        for left in (True, False)
    ),
    *(
        _late_data(first, left=left)
        for first in (Ending.SERVER_FIN, Ending.CLIENT_FIN)
        for left in (True, False)
    ),
    *(_late_data(first, left=False, closed=True) for first in (Ending.SERVER_FIN, Ending.CLIENT_FIN)),
    Entry(
        name="client_half_closed_then_rst_unread",
        kind=Kind.RESET,
        story=f"the client closed first, by FIN, kept its socket, and then {_UNREAD.story}",
        first=Ending.CLIENT_FIN,
        client=_open(TCPAbortOnClose=1),
        server=_accepted(EstabResets=1),
    ),
    Entry(
        name="client_timed_out",
        kind=Kind.RESET,
        story="the server's kernel stayed silent, and the client's gave the connection up",
        first=Ending.CLIENT_RST,
        seen=(Ending.CLIENT_RST, Ending.SERVER_RST),
        client=_open(EstabResets=1, TCPAbortOnTimeout=1),
        server=_accepted(),
    ),
    *CRASHES,
    Entry(
        name="client_fin_unanswered",
        kind=Kind.RESET,
        story="the client closed first, by FIN, which was never answered",
        first=Ending.CLIENT_FIN,
        client=_open(TCPAbortOnTimeout=1),
        server=_accepted(),
    ),
    *(
        Entry(
            name=f"never_accepted{name}",
            kind=Kind.NOT_ACCEPTED,
            story="established at the client only: the server's accept queue was full, and its kernel"
            f" dropped the last ACK of the handshake; {story}",
            first=first,
            client=_open(**client),
            server=server,
            witness=((Side.SERVER, "ListenOverflows"),),
        )
        for name, first, story, client, server in (
            ("", Ending.SERVER_RST, "the server's kernel reset it later", {"EstabResets": 1}, {}),
            ("_fin", Ending.CLIENT_FIN, "the client closed it by FIN", {}, {}),
            (
                "_rst",
                Ending.CLIENT_RST,
                "the client reset it",
                {"EstabResets": 1, "TCPAbortOnData": 1},
                {"AttemptFails": 1, "EmbryonicRsts": 1},
            ),
            (
                "_rst_late",
                Ending.CLIENT_RST,
                "the client reset it, and the server's kernel had kept nothing of it (a SYN cookie), or had"
                " given it up",
                {"EstabResets": 1, "TCPAbortOnData": 1},
                {},
            ),
        )
    ),
    *(
        Entry(
            name=f"client_rst{reset.name}_crosses_fin",
            kind=Kind.BOTH,
            story=f"the client gave up and {reset.story} while the server's FIN was on its way",
            first=Ending.CLIENT_RST,
            client=_open(EstabResets=1, **reset.counter),
            server=_accepted(),
            most_share=0.05,
            given_up=True,
        )
        for reset in (_LINGER, _UNREAD)
    ),
    Entry(
        name="refused_by_full_queue",
        kind=Kind.NOT_ACCEPTED,
        story="the server's accept queue was full at the last ACK of the handshake, and its kernel answered"
        " by RST (tcp_abort_on_overflow)",
        first=Ending.SERVER_RST,
        client=_open(EstabResets=1),
        server={"EmbryonicRsts": 1},
        witness=((Side.SERVER, "ListenOverflows"),),
    ),
    Entry(
        name="server_fin_seen_late",
        kind=Kind.BOTH,
        story="the server closed first, by FIN, a moment before the client, which had just looked for it",
        first=Ending.SERVER_FIN,
        seen=(Ending.CLIENT_FIN,),
        client=_open(),
        server=_accepted() | _LEFT,
        most_share=0.25,
    ),
    Entry(
        name="still_open",
        kind=Kind.NO_ENDING,
        story="still open when the run ended",
        first=None,
        client=_open(),
        server=_accepted(),
        gauge="CurrEstab",
    ),
    *NEVER_ESTABLISHED,
)
"""All ways. Ways that no counter can tell apart are one entry, and its story names both."""
