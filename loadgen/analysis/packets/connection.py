"""From captured packets to connections: each segment once, when it was sent, and when received. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loadgen.analysis.packets.beside import NOTHING, Beside
from loadgen.records.pcapng import Packet
from loadgen.records.segment import Flags, Segment, parse_segment
from loadgen.tcp import Side

Address = tuple[bytes, int]
MODULUS = 1 << 32
LATER_NS = 1_000_000
"""What follows a segment by less may have crossed it."""


def reaches(number: int, other: int) -> bool:
    """Whether a sequence number is at or past another one, modulo 2**32 (RFC 9293, section 3.4)."""
    return (number - other) % MODULUS < MODULUS // 2


class Probe(StrEnum):
    """A segment with a sequence number that is acknowledged already, which has to be answered by an ACK."""

    KEEPALIVE = "keepalive probe"
    WINDOW = "window probe"
    """The other side had no room for more."""


@dataclass(slots=True)
class Transit:
    """A segment on its way. Times are ns since the first packet of the connection.

    sent_ns      None if the capture has only its arrival
    received_ns  None if it did not arrive at the other side's interface
    ignored      it arrived there, and what both sides sent later shows that TCP did not get it: dropped by a
                 rule of the firewall, for want of room, or because no socket listened any more
    repeat       how many times the same had been sent before
    probe        what it is if it asks only whether the other side is there (RFC 9293, 3.8.4 and 3.8.6.1)
    probes       the number of this probe, from the last one on that was answered
    answers      whether it answers a probe, and nothing else
    """

    by: Side
    segment: Segment
    sequence: int
    acknowledgment: int
    sent_ns: int | None
    received_ns: int | None = None
    ignored: bool = False
    repeat: int = 0
    probe: Probe | None = None
    probes: int = 0
    answers: bool = False

    @property
    def lost(self) -> bool:
        return self.received_ns is None or self.ignored

    @property
    def end(self) -> int:
        """The relative sequence number after it."""
        return (self.sequence + self.segment.takes) % MODULUS

    @property
    def at_ns(self) -> int:
        """When it appears first."""
        return self.sent_ns if self.sent_ns is not None else self.received_ns or 0


@dataclass(slots=True)
class Connection:
    """One connection: the ends, when it began in ns since the epoch, and its segments in order of sending.

    `beside` is what the run's records add to the packets.
    """

    client: Address
    server: Address
    begin_ns: int
    transits: list[Transit] = field(default_factory=list[Transit])
    beside: Beside = NOTHING

    @property
    def answer(self) -> Transit | None:
        """The first segment of the server."""
        return next((one for one in self.transits if one.by is Side.SERVER), None)

    @property
    def refused(self) -> bool:
        """Whether a RST answered the SYN."""
        return self.answer is not None and self.answer.segment.has(Flags.RST)

    @property
    def closer(self) -> Transit | None:
        """The first FIN or RST: its side closed first. None where there was no connection to close."""
        if self.refused:
            return None
        return next((one for one in self.transits if one.segment.has(Flags.FIN | Flags.RST)), None)


def connections(packets: Iterable[Packet], beside: Beside = NOTHING) -> list[Connection]:
    """The connections of a capture, in the order in which they began."""
    found = [_connection(*group) for group in _grouped(packets)]
    for one in found:
        one.beside = beside
    return found


def _grouped(packets: Iterable[Packet]) -> list[tuple[Address, Address, list[tuple[Packet, Segment]]]]:
    """The packets of each connection by time; a SYN with another sequence number begins a new one."""
    groups: list[tuple[Address, Address, list[tuple[Packet, Segment]]]] = []
    open_: dict[tuple[Address, Address], tuple[int, list[tuple[Packet, Segment]]]] = {}
    for packet in sorted(packets, key=lambda packet: packet.t_ns):
        segment = parse_segment(packet.data, packet.length)
        if segment is None:
            continue
        by_client = packet.sent == (packet.side == Side.CLIENT)
        ends = (segment.source, segment.destination) if by_client else (segment.destination, segment.source)
        known = open_.get(ends)
        opens = by_client and segment.has(Flags.SYN) and not segment.has(Flags.ACK)
        if opens and (known is None or known[0] != segment.sequence):
            known = open_[ends] = (segment.sequence, [])
            groups.append((*ends, known[1]))
        if known is not None:
            known[1].append((packet, segment))
    return groups


def _connection(client: Address, server: Address, packets: Sequence[tuple[Packet, Segment]]) -> Connection:
    begin_ns = packets[0][0].t_ns
    isn: dict[Side, int] = {}
    made = Connection(client, server, begin_ns)
    on_way: list[tuple[bytes, Transit]] = []
    seen: dict[tuple[Side, int, bool, bool], int] = {}
    for packet, segment in packets:
        side = Side(packet.side)
        by = side if packet.sent else _other(side)
        t_ns = packet.t_ns - begin_ns
        if not packet.sent:
            # Of several that are alike the newest: the others were lost, and this is one sent again.
            arrived = next(
                (place for place in reversed(range(len(on_way))) if on_way[place][0] == packet.data), None
            )
            if arrived is not None:
                on_way.pop(arrived)[1].received_ns = t_ns
                continue
        if segment.has(Flags.SYN):
            isn.setdefault(by, segment.sequence)
        zero, zero_other = isn.get(by, segment.sequence), isn.get(_other(by), segment.acknowledgment)
        transit = Transit(
            by,
            segment,
            (segment.sequence - zero) % MODULUS,
            (segment.acknowledgment - zero_other) % MODULUS if segment.has(Flags.ACK) else 0,
            sent_ns=t_ns if packet.sent else None,
            received_ns=None if packet.sent else t_ns,
        )
        if segment.takes:
            # A FIN may be sent again without the bytes that went with it.
            key = by, transit.end, segment.has(Flags.FIN), segment.has(Flags.SYN)
            transit.repeat = seen.get(key, 0)
            seen[key] = transit.repeat + 1
        made.transits.append(transit)
        if packet.sent:
            on_way.append((packet.data, transit))
    _mark_ignored(made.transits)
    _mark_probes(made.transits)
    return made


def _mark_probes(transits: Sequence[Transit]) -> None:
    """Find the probes, what answers each, and those that reached an interface whose host does not answer."""
    following: dict[Side, int] = {}
    window: dict[Side, int] = {}
    unanswered: dict[Side, int] = dict.fromkeys(Side, 0)
    before: Transit | None = None
    for place, one in enumerate(transits):
        other, segment = _other(one.by), one.segment
        if one.by in following and other in window and _looks_like_probe(one, following[one.by]):
            one.probe = Probe.KEEPALIVE if window[other] else Probe.WINDOW
            unanswered[one.by] += 1
            one.probes = unanswered[one.by]
            later = transits[place + 1 :]
            one.ignored = one.ignored or (bool(later) and not _answered(one, later))
        elif segment.has(Flags.RST) and before is not None and before.by is one.by and before.probe:
            # A host that answered no probe before it does not get it either.
            one.ignored = one.ignored or (before.ignored and one.received_ns is not None)
        elif before is not None and before.probe and before.by is other and not segment.takes:
            one.answers = not segment.has(Flags.RST | Flags.SYN)
        if segment.has(Flags.ACK | Flags.SYN):
            window[one.by] = segment.window
        if one.received_ns is not None and not one.ignored:
            unanswered[other] = 0
        if segment.takes or one.by not in following:
            following[one.by] = max(one.end, following.get(one.by, 0))
        before = one


def _looks_like_probe(one: Transit, following: int) -> bool:
    """Whether it has the sequence number before the next one, and no byte."""
    segment = one.segment
    if segment.has(Flags.SYN | Flags.FIN | Flags.RST) or not segment.has(Flags.ACK):
        return False
    return segment.size == 0 and (one.sequence + 1) % MODULUS == following


def _answered(probe: Transit, later: Sequence[Transit]) -> bool:
    """Whether the other side sends anything before the prober sends again."""
    after = next((one for one in later if (one.sent_ns or 0) > (probe.sent_ns or 0)), None)
    return after is None or after.by is not probe.by


def _mark_ignored(transits: Sequence[Transit]) -> None:
    """Find what arrived at the interface and not at TCP, by what its sides sent later."""
    for place, one in enumerate(transits):
        if one.received_ns is None:
            continue
        later = [each for each in transits[place + 1 :] if each.sent_ns is not None]
        if one.segment.has(Flags.RST):
            one.ignored = any(
                each.by is not one.by
                and not each.segment.has(Flags.RST)
                and (each.sent_ns or 0) > one.received_ns + LATER_NS
                for each in later
            )
        elif one.segment.takes:
            one.ignored = _unanswered(one, later) or _like_those_before(one, transits[:place], later)
        if not one.ignored and one.segment.has(Flags.ACK) and not one.segment.takes:
            one.ignored = _asked_again(one, transits[:place], later)


def _unanswered(one: Transit, later: Sequence[Transit]) -> bool:
    """Whether its sender had to send it again, the other side not having acknowledged it by then.

    One of which only the end was sent again had arrived, and one that arrived twice: its acknowledgment was
    late, and its sender sent a probe for that (RFC 8985, section 7).
    """
    again = next((each for each in later if each.by is one.by and each.repeat and each.end == one.end), None)
    if again is None or again.sent_ns is None or again.sent_ns < (one.received_ns or 0) + LATER_NS:
        return False
    if not reaches(one.sequence, again.sequence) or _arrived_twice(one, later):
        return False
    return not any(
        each.by is not one.by
        and each.segment.has(Flags.ACK | Flags.RST)
        and (each.segment.has(Flags.RST) or reaches(each.acknowledgment, one.end))
        and (each.sent_ns or 0) < again.sent_ns
        for each in later
    )


def _arrived_twice(one: Transit, later: Sequence[Transit]) -> bool:
    """Whether the other side reports that it has got these bytes twice (RFC 2883)."""
    end = (one.segment.sequence + one.segment.takes) % MODULUS
    return any(
        each.by is not one.by
        and each.segment.sacked is not None
        and each.segment.sacked[1] == end
        and reaches(each.segment.acknowledgment, end)
        for each in later
    )


def _like_those_before(one: Transit, earlier: Sequence[Transit], later: Sequence[Transit]) -> bool:
    """Whether TCP did not get it before, and the other side is silent on this copy, too."""
    copies = [each for each in earlier if each.by is one.by and each.segment.takes and each.end == one.end]
    silent = not any(each.by is not one.by for each in later)
    return bool(one.repeat) and silent and bool(copies) and copies[-1].ignored


def _asked_again(one: Transit, earlier: Sequence[Transit], later: Sequence[Transit]) -> bool:
    """Whether the other side sent again what this segment acknowledges: it did not get the acknowledgment."""
    ends = {each.end for each in earlier if each.by is not one.by and each.segment.takes}
    return any(
        each.by is not one.by
        and each.repeat > 0
        and each.end in ends
        and reaches(one.acknowledgment, each.end)
        and (each.sent_ns or 0) > (one.received_ns or 0) + LATER_NS
        for each in later
    )


def _other(side: Side) -> Side:
    return Side.SERVER if side is Side.CLIENT else Side.CLIENT


def arrivals(connection: Connection) -> Iterator[tuple[int, Side, Transit, bool]]:
    """What each side sees, in order of time: the instant, the side, the segment, and if the side sent it."""
    events: list[tuple[int, Side, Transit, bool]] = []
    for one in connection.transits:
        if one.sent_ns is not None:
            events.append((one.sent_ns, one.by, one, True))
        if one.received_ns is not None:
            events.append((one.received_ns, _other(one.by), one, False))
    yield from sorted(events, key=lambda event: event[0])
