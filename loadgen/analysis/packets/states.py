"""The states of both sides of a connection, inferred from its segments by the rules of RFC 9293. Pure.

Nothing but packets is known here. A side enters a state when it sends or receives the segment that leads
there (section 3.3.2, figure 5). TIME-WAIT lasts 60 s on Linux (K2), from the last
FIN that reached it (section 3.10.7.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.analysis.packets.connection import Connection, Transit, arrivals, reaches
from loadgen.records.segment import Flags
from loadgen.tcp import Side, State

TIME_WAIT_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A side's time in a state, in ns since the first packet; `end_ns` None: the packets show no end.

    `expected`: the end is not seen in a packet, but follows from the length of TIME-WAIT.
    """

    state: State
    start_ns: int
    end_ns: int | None
    expected: bool = False

    @property
    def length_ns(self) -> int | None:
        return None if self.end_ns is None else self.end_ns - self.start_ns


_SENT_SYN: Mapping[State, State] = {State.CLOSED: State.SYN_SENT, State.LISTEN: State.SYN_RECEIVED}
_SENT_FIN: Mapping[State, State] = {
    State.SYN_RECEIVED: State.FIN_WAIT_1,
    State.ESTABLISHED: State.FIN_WAIT_1,
    State.CLOSE_WAIT: State.LAST_ACK,
}
_FIN_ACKNOWLEDGED: Mapping[State, State] = {
    State.FIN_WAIT_1: State.FIN_WAIT_2,
    State.CLOSING: State.TIME_WAIT,
    State.LAST_ACK: State.CLOSED,
}
_RECEIVED_FIN: Mapping[State, State] = {
    State.SYN_RECEIVED: State.CLOSE_WAIT,
    State.ESTABLISHED: State.CLOSE_WAIT,
    State.FIN_WAIT_1: State.CLOSING,
    State.FIN_WAIT_2: State.TIME_WAIT,
}


@dataclass(slots=True)
class _Machine:
    """One side. `expects` is the relative sequence number that it receives next, `early` what came before
    its turn, as begin and end, and whether it ends in a FIN; `fin` the number after its own FIN;
    `restarted_ns` when its TIME-WAIT began anew."""

    state: State
    since_ns: int = 0
    expects: int = 0
    early: list[tuple[int, int, bool]] = field(default_factory=list[tuple[int, int, bool]])
    fin: int | None = None
    restarted_ns: int | None = None
    spans: list[Span] = field(default_factory=list[Span])

    def enter(self, state: State | None, t_ns: int) -> None:
        if state is None or state is self.state:
            return
        if self.state is State.TIME_WAIT:
            # One that lasted its time had ended before.
            t_ns = min(t_ns, (self.restarted_ns or self.since_ns) + TIME_WAIT_NS)
        # A FIN that acknowledges one leads through FIN-WAIT-2 in no time.
        if self.state not in (State.CLOSED, State.LISTEN) and t_ns > self.since_ns:
            self.spans.append(Span(self.state, self.since_ns, t_ns))
        self.state, self.since_ns = state, t_ns

    def sends(self, one: Transit, t_ns: int) -> None:
        flags = one.segment.flags
        if flags & Flags.RST:
            # One without ACK answers a segment for which there was no socket any more, or never one.
            self.enter(State.CLOSED if self.state is not State.LISTEN else None, t_ns)
        elif flags & Flags.SYN:
            self.enter(_SENT_SYN.get(self.state), t_ns)
        if flags & Flags.FIN:
            self.fin = one.end
            self.enter(_SENT_FIN.get(self.state), t_ns)

    def receives(self, one: Transit, t_ns: int) -> None:
        segment = one.segment
        if segment.has(Flags.RST):
            self.enter(None if self.state is State.LISTEN else State.CLOSED, t_ns)
            return
        if segment.has(Flags.SYN):
            self.expects = one.end
            if self.state is State.SYN_SENT and segment.has(Flags.ACK):
                self.enter(State.ESTABLISHED, t_ns)
            return
        if segment.has(Flags.ACK):
            if self.state is State.SYN_RECEIVED and reaches(one.acknowledgment, 1):
                self.enter(State.ESTABLISHED, t_ns)
            if self.fin is not None and reaches(one.acknowledgment, self.fin):
                self.enter(_FIN_ACKNOWLEDGED.get(self.state), t_ns)
        if segment.takes and self._in_order(one):
            self.enter(_RECEIVED_FIN.get(self.state), t_ns)
        elif self.state is State.TIME_WAIT and segment.has(Flags.FIN):
            # A FIN again: the time begins anew. The span goes on.
            self.restarted_ns = t_ns

    def _in_order(self, one: Transit) -> bool:
        """Take the segment; whether the other side's FIN has now been received for the first time."""
        self.early.append((one.sequence, one.end, one.segment.has(Flags.FIN)))
        moved = True
        while moved:
            moved = False
            for begin, end, fin in self.early:
                if reaches(self.expects, begin) and not reaches(self.expects, end):
                    self.expects = end
                    moved = True
                    if fin:
                        return True
        self.early = [each for each in self.early if not reaches(self.expects, each[1])]
        return False

    def finish(self) -> None:
        if self.state is State.TIME_WAIT:
            begin_ns = self.since_ns if self.restarted_ns is None else self.restarted_ns
            self.spans.append(Span(self.state, self.since_ns, begin_ns + TIME_WAIT_NS, expected=True))
        elif self.state not in (State.CLOSED, State.LISTEN):
            self.spans.append(Span(self.state, self.since_ns, None))


def spans(connection: Connection) -> dict[Side, list[Span]]:
    """The states of each side in order; before the first and after the last it is CLOSED, or LISTEN."""
    machines = {Side.CLIENT: _Machine(State.CLOSED), Side.SERVER: _Machine(State.LISTEN)}
    for t_ns, side, one, sent in arrivals(connection):
        if sent:
            machines[side].sends(one, t_ns)
        elif not one.ignored:
            machines[side].receives(one, t_ns)
    for machine in machines.values():
        machine.finish()
    return {side: machine.spans for side, machine in machines.items()}


def contradictions(
    every: Mapping[Side, list[tuple[int, Span]]],
    sampled: Mapping[Side, Mapping[State, int]],
    t_ns: int,
    slack_ns: int,
) -> list[str]:
    """Where a sample shows fewer sockets in a state than there are captured connections in it by packets.

    `every` has each span with the instant that its times count from; what changes within `slack_ns` of the
    sample is not compared.
    """
    found: list[str] = []
    for side, placed in every.items():
        lasting = [
            span.state
            for zero_ns, span in placed
            if zero_ns + span.start_ns + slack_ns < t_ns
            and (span.end_ns is None or t_ns < zero_ns + span.end_ns - slack_ns)
        ]
        found += [
            f"{side}: {lasting.count(state)} in {state} by packets, {sampled[side].get(state, 0)} by a sample"
            for state in dict.fromkeys(lasting)
            if lasting.count(state) > sampled[side].get(state, 0)
        ]
    return found
