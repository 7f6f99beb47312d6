"""How a segment and a length of time are written, in figures and on the terminal."""

from loadgen.analysis.packets.connection import Connection, Transit
from loadgen.analysis.packets.states import Span
from loadgen.records.segment import Flags

_ORDER = (Flags.SYN, Flags.FIN, Flags.RST, Flags.PSH, Flags.URG, Flags.ACK)


def flags_of(one: Transit) -> str:
    """Its control bits, such as `FIN, ACK`."""
    return ", ".join(flag.name or "" for flag in _ORDER if one.segment.has(flag))


def numbers_of(one: Transit) -> str:
    """Its bytes and its relative sequence and acknowledgment numbers."""
    size = one.segment.size
    data = f"{size:,} byte{'' if size == 1 else 's'}   " if size else ""
    ack = f" ack {one.acknowledgment}" if one.segment.has(Flags.ACK) else ""
    return f"{data}seq {one.sequence}{ack}"


def remark(one: Transit) -> str:
    """What else is to be said of it; empty if nothing is."""
    parts = [f"retransmission {one.repeat}"] if one.repeat else []
    if one.probe:
        parts.append(f"{one.probe} {one.probes}" if one.probes > 1 or one.lost else one.probe)
    if one.answers:
        parts.append("its answer")
    if one.received_ns is None:
        parts.append("lost")
    elif one.ignored:
        parts.append("dropped on arrival")
    if one.sent_ns is None:
        parts.append("its sending was not captured")
    return ", ".join(parts)


def length(ns: int) -> str:
    """A length of time with three digits."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1000:.0f} µs"


def lasted(span: Span) -> str:
    """The length of a state, with its bound where the packets do not show one of its ends."""
    if span.length_ns is None:
        return "no end captured"
    bound = {(True, False): "≥ ", (False, True): "≤ ", (True, True): "≈ "}.get(
        (span.at_least, span.at_most), ""
    )
    return bound + length(span.length_ns)


def instant(ns: int) -> str:
    """A time since the first packet, to the microsecond."""
    return f"{ns / 1_000_000:.3f} ms" if ns < 1_000_000_000 else f"{ns / 1_000_000_000:.6f} s"


def heading(connection: Connection) -> str:
    """Who closes first, and how, as a sentence."""
    if connection.answer is None:
        return "The server does not answer"
    if connection.refused:
        return "The server refuses the connection"
    closer = connection.closer
    if closer is None:
        return "Nobody closes within the capture"
    if _meanwhile(connection, closer):
        return f"Both sides close at once; the {closer.by}'s FIN is the first"
    if closer.segment.has(Flags.RST) and (last := _before(connection, closer)) is not None and last.probe:
        if last.by is closer.by and last.ignored:
            count = f"{last.probes} probe{'s' * (last.probes > 1)}"
            return f"The {closer.by} gives it up, by RST, after {count} without an answer"
        # A RST without ACK answers a segment for which there is no connection (RFC 9293, 3.10.7.1).
        if last.by is not closer.by and not closer.segment.has(Flags.ACK):
            return f"The {closer.by} has no such connection any more, and answers a probe by RST"
    how = "RST" if closer.segment.has(Flags.RST) else "FIN"
    return f"The {closer.by} closes first, by {how}"


def _before(connection: Connection, closer: Transit) -> Transit | None:
    """The segment before it."""
    last = None
    for one in connection.transits:
        if one is closer:
            break
        last = one
    return last


def _meanwhile(connection: Connection, closer: Transit) -> bool:
    """Whether the other side sent its FIN before the first one had reached it."""
    return closer.segment.has(Flags.FIN) and any(
        one.by is not closer.by
        and one.segment.has(Flags.FIN)
        and one.sent_ns is not None
        and closer.received_ns is not None
        and one.sent_ns < closer.received_ns
        for one in connection.transits
    )
