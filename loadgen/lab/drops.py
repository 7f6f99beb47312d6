"""Segments that are lost on their way: rules of nf_tables in the receiver's namespace, by pyroute2.

A segment is dropped as it arrives (hook prerouting). To both TCPs that is a loss on the link: the sender's
kernel has sent it, and a capture shows its arrival. A drop on the sender's way out would be reported to the
sender's TCP, which then does otherwise than after a loss.

pyroute2 is here for links and addresses already, and speaks nf_tables itself. The program `nft` would be one
more thing to install, and it reports errors as text. One table holds all rules of a fault: its removal undoes
the fault, and it ends with its namespace (K25).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from loadgen.lab.expressions import (
    ACCEPT,
    DROP,
    IPV4,
    IPV6,
    L4_PROTOCOL,
    SCRATCH,
    TCP,
    Expression,
    data,
    equal,
    expression,
    tables,
    verdict,
)
from loadgen.lab.faults import Drop
from loadgen.scenario.choices import Lost

_RAW_PRIORITY = -300
"""Before everything else that looks at packets."""
_NETWORK, _TRANSPORT = 1, 2
"""Bases of `payload`: the IP header, the TCP header."""
_SOURCE_PORT, _DESTINATION_PORT, _FLAGS = 0, 2, 13
"""Offsets in the TCP header."""
_KEY = 8
"""The first of the registers of four bytes (NFT_REG32_00) that hold a set's key."""
_ADD, _DELETE = 0, 2
"""Operations of `dynset`."""
_MOST = 1 << 20
"""Connections that a set holds: more than there are ports in any lab."""

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_FLAGGED = {
    Lost.FIN: (FIN, FIN),
    Lost.SYN_ACK: (SYN | ACK, SYN | ACK),
    Lost.RST: (RST, RST),
}
"""Which flags are looked at, and which of these are set."""


def install(name: str, drop: Drop) -> None:
    """Begin to drop in the calling thread's namespace, by a table of this name. Raises LabUnavailable."""
    with _tables(drop) as nft:
        nft.table("add", name=name)
        _chain(nft, name, "arriving", "prerouting")
        match drop.what:
            case Lost.LAST_ACK:
                _last_acks(nft, name, drop)
            case Lost.ALL:
                _rule(nft, name, "arriving", [*_sent_by(drop), *_DROPPED])
            case what:
                _rule(nft, name, "arriving", [*_sent_by(drop), *_flags(*_FLAGGED[what]), *_DROPPED])


def lift(name: str, drop: Drop) -> None:
    """Drop nothing from now on. The rules stay, with what they have counted. Raises LabUnavailable."""
    with _tables(drop) as nft:
        nft.rule("insert", table=name, chain="arriving", expressions=[[verdict(ACCEPT)]])


def dropped(name: str, drop: Drop) -> int:
    """How many segments have been dropped since `install`. Raises LabUnavailable."""
    with _tables(drop) as nft:
        rules = [rule for rule in nft.get_rules() if rule.get_attr("NFTA_RULE_TABLE") == name]
    return sum(
        int(expression.get_attr("NFTA_EXPR_DATA").get_attr("NFTA_COUNTER_PACKETS"))
        for rule in rules
        for expression in rule.get_attr("NFTA_RULE_EXPRESSIONS")
        if expression.get_attr("NFTA_EXPR_NAME") == "counter"
    )


def remove(name: str, drop: Drop) -> None:
    """Remove the rules. Raises LabUnavailable."""
    with _tables(drop) as nft:
        nft.table("del", name=name)


def _last_acks(nft: Any, table: str, drop: Drop) -> None:
    """Drop the ACKs that follow both FINs of a connection.

    A side that has sent its FIN sends nothing but ACKs, and after the peer's FIN these answer that FIN. The
    side that answers with a FIN of its own sends no ACK after that. Both FINs pass this namespace: one
    arrives, one leaves. A set for each holds the connections, by addresses and the client's port.
    """
    _chain(nft, table, "leaving", "output")
    for name in ("arrived", "left"):
        # pyroute2 0.9 makes the set, and then fails over the empty answer. What the kernel refuses is
        # another error, and the rules below need the set.
        with suppress(TypeError):
            nft.sets("add", set=_Set(table, name, 2 * _address_length(drop) + 4))
    arriving, leaving = _connection(drop, arriving=True), _connection(drop, arriving=False)
    _rule(
        nft,
        table,
        "arriving",
        # A new connection between the same ports.
        [
            *_sent_by(drop),
            *_flags(SYN, SYN),
            *arriving,
            _change("arrived", _DELETE),
            _change("left", _DELETE),
        ],
    )
    _rule(nft, table, "arriving", [*_sent_by(drop), *_flags(FIN, FIN), *arriving, _change("arrived", _ADD)])
    _rule(nft, table, "leaving", [*_sent_to(drop), *_flags(FIN, FIN), *leaving, _change("left", _ADD)])
    acks = [*_sent_by(drop), *_flags(FIN | SYN | RST | ACK, ACK), *arriving]
    _rule(nft, table, "arriving", [*acks, _in("arrived"), _in("left"), *_DROPPED])


class _Set:
    """A set of connections, which rules fill. pyroute2's own class of it has no keys of several fields."""

    def __init__(self, table: str, name: str, length: int) -> None:
        self._attributes: dict[str, Any] = {
            "NFTA_SET_TABLE": table,
            "NFTA_SET_NAME": name,
            "NFTA_SET_ID": 1 + ("arrived", "left").index(name),
            "NFTA_SET_KEY_TYPE": 0,
            "NFTA_SET_KEY_LEN": length,
            "NFTA_SET_FLAGS": {"NFT_SET_EVAL"},
            "NFTA_SET_DESC": {"attrs": [("NFTA_SET_DESC_SIZE", _MOST)]},
        }

    def as_netlink(self) -> dict[str, Any]:
        return self._attributes


def _chain(nft: Any, table: str, name: str, hook: str) -> None:
    fields = {"type": "filter", "policy": ACCEPT, "priority": _RAW_PRIORITY}
    nft.chain("add", table=table, name=name, hook=hook, **fields)


def _rule(nft: Any, table: str, chain: str, expressions: Sequence[Expression]) -> None:
    nft.rule("add", table=table, chain=chain, expressions=[expressions])


def _tables(drop: Drop) -> AbstractContextManager[Any]:
    return tables(
        IPV6 if drop.ipv6 else IPV4,
        "no segment can be dropped",
        "load the kernel's nf_tables module, as root: modprobe nf_tables; or write do: cut",
    )


def _sent_by(drop: Drop) -> list[Expression]:
    """TCP segments that the side sends: from the server's port, or to it."""
    return _with_port(drop, _SOURCE_PORT if drop.from_server else _DESTINATION_PORT)


def _sent_to(drop: Drop) -> list[Expression]:
    """TCP segments that the other side sends."""
    return _with_port(drop, _DESTINATION_PORT if drop.from_server else _SOURCE_PORT)


def _with_port(drop: Drop, offset: int) -> list[Expression]:
    protocol = expression("meta", dreg=SCRATCH, key=L4_PROTOCOL)
    port = _payload(_TRANSPORT, offset, 2, SCRATCH)
    return [protocol, equal(TCP), port, equal(drop.port.to_bytes(2, "big"))]


def _flags(looked_at: int, set_: int) -> list[Expression]:
    mask, nothing = data(bytes([looked_at])), data(bytes(1))
    masked = expression("bitwise", sreg=SCRATCH, dreg=SCRATCH, len=1, mask=mask, xor=nothing)
    return [_payload(_TRANSPORT, _FLAGS, 1, SCRATCH), masked, equal(bytes([set_]))]


def _connection(drop: Drop, *, arriving: bool) -> list[Expression]:
    """Load what a set knows a connection by: this side's peer, this side, the client's port."""
    length = _address_length(drop)
    source = 8 if drop.ipv6 else 12
    peer, own = (source, source + length) if arriving else (source + length, source)
    port = _DESTINATION_PORT if drop.from_server is arriving else _SOURCE_PORT
    step = length // 4
    return [
        _payload(_NETWORK, peer, length, _KEY),
        _payload(_NETWORK, own, length, _KEY + step),
        _payload(_TRANSPORT, port, 2, _KEY + 2 * step),
    ]


def _address_length(drop: Drop) -> int:
    return 16 if drop.ipv6 else 4


def _change(name: str, operation: int) -> Expression:
    return expression("dynset", set_name=name, op=operation, sreg_key=_KEY)


def _in(name: str) -> Expression:
    return expression("lookup", set=name, sreg=_KEY)


def _payload(base: int, offset: int, length: int, register: int) -> Expression:
    return expression("payload", dreg=register, base=base, offset=offset, len=length)


_DROPPED = [expression("counter"), verdict(DROP)]
"""Count it, and drop it."""
