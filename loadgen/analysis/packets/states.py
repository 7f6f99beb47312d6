"""The states of both sides of a connection, inferred from its segments by the rules of RFC 9293. Pure.

Nothing but packets is known here. A side enters a state when it sends or receives the segment that leads
there (section 3.3.2, figure 5). TIME-WAIT lasts 60 s on Linux (K2), from the last
FIN that reached it (section 3.10.7.4).

Two changes are in no packet. A side whose program closes while bytes wait to be sent is in FIN-WAIT-1 or
LAST-ACK from close() on (section 3.10.4), and its FIN follows them. A socket that a timer or a limit ended
is missed when something arrives for it, which a RST without ACK answers. Such spans have bounds only.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.analysis.packets.beside import Happening
from loadgen.analysis.packets.connection import LATER_NS, Connection, Transit, arrivals, reaches
from loadgen.records.segment import Flags
from loadgen.tcp import Side, State

TIME_WAIT_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A side's time in a state, in ns since the first packet; `end_ns` None: the packets show no end.

    `expected`: the end is not seen in a packet, but follows from the length of TIME-WAIT.
    `at_least`: it may have begun before `start_ns`, while the one before lasted.
    `at_most`: it may have ended before `end_ns`.
    `restarted`: a FIN that came again had it begin anew (K3).
    """

    state: State
    start_ns: int
    end_ns: int | None
    expected: bool = False
    at_least: bool = False
    at_most: bool = False
    restarted: bool = False

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
    `restarted_ns` when its TIME-WAIT began anew; `cleared_ns` when an ACK without data came, after which no
    data did; `before` the state, its begin and the number of spans before the last segment came; `roomless`:
    its kernel has no room for a TIME-WAIT."""

    state: State
    roomless: bool = False
    since_ns: int = 0
    expects: int = 0
    early: list[tuple[int, int, bool]] = field(default_factory=list[tuple[int, int, bool]])
    fin: int | None = None
    restarted_ns: int | None = None
    cleared_ns: int | None = None
    at_least: bool = False
    before: tuple[State, int, int] | None = None
    spans: list[Span] = field(default_factory=list[Span])

    def enter(self, state: State | None, t_ns: int, *, earlier: bool = False) -> None:
        """`earlier`: at this instant at the latest."""
        if state is None or state is self.state:
            return
        if state is State.TIME_WAIT and self.roomless:
            state = State.CLOSED
        if self.state is State.TIME_WAIT:
            # One that lasted its time had ended before.
            t_ns = min(t_ns, (self.restarted_ns or self.since_ns) + TIME_WAIT_NS)
        # A FIN that acknowledges one leads through FIN-WAIT-2 in no time.
        if self.state not in (State.CLOSED, State.LISTEN) and t_ns > self.since_ns:
            bounds = {"at_least": self.at_least, "at_most": earlier}
            self.spans.append(Span(self.state, self.since_ns, t_ns, **bounds))
        self.state, self.since_ns, self.at_least = state, t_ns, earlier

    def sends(self, one: Transit, t_ns: int) -> None:
        flags = one.segment.flags
        if flags & Flags.RST:
            # One without ACK answers a segment for which there was no socket any more, or never one: this
            # segment has changed no state.
            answers = not flags & Flags.ACK
            if answers and self.before is not None:
                self.state, self.since_ns, kept = self.before
                del self.spans[kept:]
            self.enter(State.CLOSED if self.state is not State.LISTEN else None, t_ns, earlier=answers)
        elif flags & Flags.SYN:
            self.enter(_SENT_SYN.get(self.state), t_ns)
        if flags & Flags.FIN:
            self.fin = one.end
            # Bytes that an ACK let go: they had waited, and close() may have been called since.
            waited = self.cleared_ns is not None and t_ns - self.cleared_ns < LATER_NS
            self.enter(_SENT_FIN.get(self.state), t_ns, earlier=one.segment.size > 0 and waited)

    def receives(self, one: Transit, t_ns: int) -> None:
        segment = one.segment
        self.before = self.state, self.since_ns, len(self.spans)
        self.cleared_ns = None if segment.takes else t_ns
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

    def vanish(self, t_ns: int) -> None:
        """The host is gone, and its connection with it, without a segment."""
        if self.state is not State.LISTEN:
            self.enter(State.CLOSED, t_ns)
        self.before = None

    def finish(self) -> None:
        if self.state is State.TIME_WAIT:
            begin_ns = self.since_ns if self.restarted_ns is None else self.restarted_ns
            self.spans.append(
                Span(
                    self.state,
                    self.since_ns,
                    begin_ns + TIME_WAIT_NS,
                    True,
                    restarted=begin_ns > self.since_ns,
                )
            )
        elif self.state not in (State.CLOSED, State.LISTEN):
            self.spans.append(Span(self.state, self.since_ns, None, at_least=self.at_least))


def spans(connection: Connection) -> dict[Side, list[Span]]:
    """The states of each side in order; before the first and after the last it is CLOSED, or LISTEN."""
    machines = {
        side: _Machine(state, side in connection.beside.roomless)
        for side, state in ((Side.CLIENT, State.CLOSED), (Side.SERVER, State.LISTEN))
    }
    gone = [one for one in connection.beside.since(connection.begin_ns) if one.gone]
    for t_ns, side, one, sent in arrivals(connection):
        while gone and gone[0].t_ns <= t_ns:
            machines[gone[0].side].vanish(gone.pop(0).t_ns)
        if sent:
            machines[side].sends(one, t_ns)
        elif not one.ignored:
            machines[side].receives(one, t_ns)
    for one in gone:
        machines[one.side].vanish(one.t_ns)
    for machine in machines.values():
        machine.finish()
    return {side: machine.spans for side, machine in machines.items()}


def shown(connection: Connection) -> list[Happening]:
    """What the script did while the connection lasted, by its packets, and what ended a state later."""
    until_ns = max((t_ns for t_ns, *_ in arrivals(connection)), default=0)
    ends = {(side, span.end_ns) for side, of_side in spans(connection).items() for span in of_side}
    return [
        one
        for one in connection.beside.since(connection.begin_ns)
        if one.t_ns <= until_ns or (one.gone and (one.side, one.t_ns) in ends)
    ]


def contradictions(
    every: Mapping[Side, list[tuple[int, Span]]],
    sampled: Mapping[Side, Mapping[State, int]],
    t_ns: int,
    slack_ns: int,
    *,
    all_captured: bool = False,
) -> list[str]:
    """Where a sample shows fewer sockets in a state than there are captured connections in it by packets.

    If all connections were captured, it may not show more of them either. `every` has each span with the
    instant that its times count from; what changes within `slack_ns` of the sample is not compared.
    """
    found: list[str] = []
    for side, of_side in sampled.items():
        lasting: Counter[State] = Counter()
        possible: Counter[State] = Counter()
        previous: Span | None = None
        for zero_ns, span in every[side]:
            since_ns = zero_ns + span.start_ns
            until_ns = None if span.end_ns is None else zero_ns + span.end_ns
            begun, going_on = since_ns + slack_ns < t_ns, until_ns is None or t_ns < until_ns - slack_ns
            lasting[span.state] += begun and going_on and not span.at_most
            if span.at_least and previous is not None:
                since_ns = zero_ns + previous.start_ns
            possible[span.state] += since_ns - slack_ns <= t_ns and (
                until_ns is None or t_ns <= until_ns + slack_ns
            )
            if span.state is State.FIN_WAIT_2 and abs(since_ns - t_ns) <= slack_ns:
                # TIME-WAIT is counted apart from the other states, orphans in FIN-WAIT-2 among them (K17).
                possible[State.TIME_WAIT] += 1
            previous = span
        for state in sorted({*lasting, *possible, *of_side} - {State.LISTEN}):
            seen = of_side.get(state, 0)
            if seen < lasting[state] or (all_captured and seen > possible[state]):
                least, most = lasting[state], possible[state]
                found.append(f"{side}: {least} to {most} in {state} by packets, {seen} by a sample")
    return found
