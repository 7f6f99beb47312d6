"""The entries of the ledger whose connections the client never had: the handshake failed, or was given up."""

from loadgen.ledger.entry import FIN, Entry, Kind

_RESET = "reset (SO_LINGER {1, 0})"

NEVER_ESTABLISHED: tuple[Entry, ...] = (
    Entry(
        name="refused",
        kind=Kind.NO_ENDING,
        story="the server's host refused it: nothing listened on the port",
        first=None,
        client={"ActiveOpens": 1, "AttemptFails": 1},
        server={},
    ),
    Entry(
        name="syn_timed_out",
        kind=Kind.NO_ENDING,
        story="the SYNs stayed unanswered, and the client's kernel gave up (tcp_syn_retries)",
        first=None,
        client={"ActiveOpens": 1, "AttemptFails": 1, "TCPAbortOnTimeout": 1},
        server={},
    ),
    Entry(
        name="syn_given_up",
        kind=Kind.NO_ENDING,
        story="the SYNs stayed unanswered, and the client's program gave up",
        first=None,
        client={"ActiveOpens": 1},
        server={},
    ),
    Entry(
        name="syn_given_up_rst",
        kind=Kind.NO_ENDING,
        story=f"the SYNs stayed unanswered, and the client's program gave up, by {_RESET}",
        first=None,
        client={"ActiveOpens": 1, "TCPAbortOnData": 1},
        server={},
    ),
    *(
        Entry(
            name=f"syn_ack_late{name}",
            kind=Kind.NO_ENDING,
            story=f"the client's program gave up{by} before a SYN-ACK had reached it, and its kernel answered"
            " a later SYN-ACK by RST",
            first=None,
            client={"ActiveOpens": 1, **client},
            server={"AttemptFails": 1, "EmbryonicRsts": 1},
        )
        for name, by, client in (("", "", {}), ("_rst", f", by {_RESET},", {"TCPAbortOnData": 1}))
    ),
    Entry(
        name="opened_as_given_up",
        kind=Kind.NO_ENDING,
        story="the handshake ended as the client's program gave up waiting for it, and closed by FIN",
        first=None,
        client={"ActiveOpens": 1, FIN: 1},
        server={"PassiveOpens": 1},
        given_up=True,
    ),
    Entry(
        name="opened_as_given_up_rst",
        kind=Kind.NO_ENDING,
        story=f"the handshake ended as the client's program gave up waiting for it, by {_RESET}",
        first=None,
        client={"ActiveOpens": 1, "EstabResets": 1, "TCPAbortOnData": 1},
        server={"PassiveOpens": 1, "EstabResets": 1},
        given_up=True,
    ),
)
