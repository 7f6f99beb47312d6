"""Which packets belong to the first connections of a load, and when these are over. Pure."""

from dataclasses import dataclass, field

from loadgen.records.segment import Flags, Segment
from loadgen.tcp import Side

_HALF = 1 << 31


def reaches(number: int, other: int) -> bool:
    """Whether a sequence number is at or past another one, modulo 2**32 (RFC 9293, section 3.4)."""
    return (number - other) % (1 << 32) < _HALF


@dataclass(slots=True)
class _Connection:
    """`fins` are the sequence numbers after each side's FIN, `acknowledged` the sides whose FIN was so."""

    isn: int
    fins: dict[Side, int] = field(default_factory=dict[Side, int])
    acknowledged: set[Side] = field(default_factory=set[Side])
    reset: bool = False

    @property
    def over(self) -> bool:
        return self.reset or len(self.acknowledged) == len(Side)

    def note(self, segment: Segment, side: Side, *, sent: bool) -> None:
        if segment.has(Flags.RST):
            self.reset = True
        elif sent and segment.has(Flags.FIN):
            self.fins[side] = (segment.sequence + segment.takes) % (1 << 32)
        elif (
            not sent
            and side in self.fins
            and segment.has(Flags.ACK)
            and reaches(segment.acknowledgment, self.fins[side])
        ):
            self.acknowledged.add(side)


class FirstConnections:
    """The first `most` connections to the `server` port, by the SYN that their client sends.

    An attempt whose SYN stays unanswered is one, too. A port that is used again later is another connection.
    """

    def __init__(self, most: int, server: int) -> None:
        self._most = most
        self._server = server
        self._all: list[_Connection] = []
        self._by_ends: dict[tuple[tuple[bytes, int], tuple[bytes, int]], _Connection] = {}

    @property
    def complete(self) -> bool:
        """Whether as many have begun as are asked for."""
        return len(self._all) == self._most

    @property
    def count(self) -> int:
        return len(self._all)

    @property
    def over(self) -> bool:
        """Whether all of them have ended: by RST, or by two FINs that were acknowledged."""
        return self.complete and all(one.over for one in self._all)

    @property
    def ports(self) -> frozenset[int]:
        """Their clients' ports."""
        return frozenset(client[1] for client, _ in self._by_ends)

    def side(self, segment: Segment, *, sent: bool) -> Side:
        """The side at which a packet was seen: both may be on one interface, as on loopback."""
        by_server = segment.source[1] == self._server
        return Side.SERVER if by_server == sent else Side.CLIENT

    def takes(self, segment: Segment, *, sent: bool) -> bool:
        """Whether the packet is one of theirs."""
        from_server = segment.source[1] == self._server
        ends = (segment.destination, segment.source) if from_server else (segment.source, segment.destination)
        side = self.side(segment, sent=sent)
        known = self._by_ends.get(ends)
        opens = not from_server and segment.has(Flags.SYN) and not segment.has(Flags.ACK)
        if opens and (known is None or known.isn != segment.sequence):
            if not sent or self.complete:
                # The one that had this port is over; what follows on the port belongs to another.
                self._by_ends.pop(ends, None)
                return False
            known = self._by_ends[ends] = _Connection(segment.sequence)
            self._all.append(known)
        if known is None:
            return False
        known.note(segment, side, sent=sent)
        return True
