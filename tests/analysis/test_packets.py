"""Connections and states from packets: each case is what both sides send, and the states that follow."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadgen.analysis.packets.beside import NOTHING, Beside, beside
from loadgen.analysis.packets.connection import Connection, connections
from loadgen.analysis.packets.states import TIME_WAIT_NS, Span, contradictions, shown, spans
from loadgen.analysis.packets.wording import flags_of, heading, lasted, remark
from loadgen.records.events import FaultBegan, FaultEnded, Origin
from loadgen.tcp import Side, State
from tests.made_packets import (
    ACK,
    CLIENT,
    EPOCH_NS,
    FIN,
    MS_NS,
    OPENED,
    RST,
    SERVER,
    SYN,
    TRANSIT_NS,
    Sent,
    packets,
)

S = State
OPEN_CLIENT, OPEN_SERVER = (S.SYN_SENT, S.ESTABLISHED), (S.SYN_RECEIVED, S.ESTABLISHED)
ACTIVE = (S.FIN_WAIT_1, S.FIN_WAIT_2, S.TIME_WAIT)
PASSIVE = (S.CLOSE_WAIT, S.LAST_ACK)

CASES: dict[str, tuple[Sequence[Sent], Sequence[State], Sequence[State]]] = {
    "fin by the client": (
        [
            Sent(1, CLIENT, FIN | ACK, 1, 1),
            Sent(2, SERVER, ACK, 1, 2),
            Sent(3, SERVER, FIN | ACK, 1, 2),
            Sent(4, CLIENT, ACK, 2, 2),
        ],
        ACTIVE,
        PASSIVE,
    ),
    "fin by the server, answered by one segment": (
        [
            Sent(1, SERVER, FIN | ACK, 1, 1),
            Sent(2, CLIENT, FIN | ACK, 1, 2),
            Sent(3, SERVER, ACK, 2, 2),
        ],
        PASSIVE,
        (S.FIN_WAIT_1, S.TIME_WAIT),
    ),
    "both at once": (
        [
            Sent(1, CLIENT, FIN | ACK, 1, 1, transit_ns=MS_NS),
            Sent(1.5, SERVER, FIN | ACK, 1, 1, transit_ns=MS_NS),
            Sent(2.1, SERVER, ACK, 2, 2, transit_ns=MS_NS),
            Sent(2.6, CLIENT, ACK, 2, 2, transit_ns=MS_NS),
        ],
        (S.FIN_WAIT_1, S.CLOSING, S.TIME_WAIT),
        (S.FIN_WAIT_1, S.CLOSING, S.TIME_WAIT),
    ),
    "a fin lost and sent again": (
        [
            Sent(1, CLIENT, FIN | ACK, 1, 1, lost=True),
            Sent(201, CLIENT, FIN | ACK, 1, 1),
            Sent(202, SERVER, ACK, 1, 2),
            Sent(203, SERVER, FIN | ACK, 1, 2),
            Sent(204, CLIENT, ACK, 2, 2),
        ],
        ACTIVE,
        PASSIVE,
    ),
    "half closed, with data after it": (
        [
            Sent(1, CLIENT, FIN | ACK, 1, 1),
            Sent(2, SERVER, ACK, 1, 2, size=500),
            Sent(3, CLIENT, ACK, 2, 501),
            Sent(50, SERVER, FIN | ACK, 501, 2),
            Sent(51, CLIENT, ACK, 2, 502),
        ],
        ACTIVE,
        PASSIVE,
    ),
    "a fin that arrives before the data ahead of it": (
        [
            Sent(1, SERVER, ACK, 1, 1, size=100, lost=True),
            Sent(2, SERVER, FIN | ACK, 101, 1),
            Sent(3, CLIENT, ACK, 1, 1),
            Sent(210, SERVER, ACK, 1, 1, size=100),
            Sent(211, CLIENT, ACK, 1, 102),
        ],
        (S.CLOSE_WAIT,),
        (S.FIN_WAIT_1, S.FIN_WAIT_2),
    ),
    "rst with bytes unread": (
        [Sent(1, SERVER, ACK, 1, 1, size=100), Sent(2, CLIENT, RST | ACK, 1, 1)],
        (),
        (),
    ),
    "data after a close, answered by rst": (
        [
            Sent(1, CLIENT, FIN | ACK, 1, 1),
            Sent(2, SERVER, ACK, 1, 2),
            Sent(3, SERVER, ACK, 1, 2, size=100),
            Sent(3.1, CLIENT, RST, 2),
        ],
        (S.FIN_WAIT_1, S.FIN_WAIT_2),
        (S.CLOSE_WAIT,),
    ),
}


def made(script: Sequence[Sent], recorded: Beside = NOTHING) -> Connection:
    (connection,) = connections(packets([*OPENED, *script]), recorded)
    return connection


def crashed(side: Side, *, at_ms: int, back_ms: int) -> Beside:
    """What the records of a run show, in which a host crashed and came back."""
    origin_ns = EPOCH_NS - 500 * MS_NS
    return beside(
        [
            Origin(0, origin_ns / 1e9),
            FaultBegan((500 + at_ms) * MS_NS, "crash", side, ""),
            FaultEnded((500 + back_ms) * MS_NS, "crash", side, ""),
            FaultBegan((500 + back_ms + 60_000) * MS_NS, "cut", side, ""),
        ]
    )


def path(of: Sequence[Span]) -> tuple[State, ...]:
    return tuple(span.state for span in of)


@pytest.mark.parametrize("name", CASES)
def test_the_states_of_both_sides(name: str) -> None:
    script, client, server = CASES[name]
    connection = made(script)
    found = spans(connection)
    assert path(found[CLIENT]) == (*OPEN_CLIENT, *client)
    assert path(found[SERVER]) == (*OPEN_SERVER, *server)
    for side in Side:
        for before, after in zip(found[side], found[side][1:], strict=False):
            assert before.end_ns == after.start_ns
    assert len(connection.transits) == len(OPENED) + len(script)


def test_a_lost_segment_and_its_retransmission_are_told_apart() -> None:
    connection = made(CASES["a fin lost and sent again"][0])
    assert [remark(one) for one in connection.transits if one.segment.has(FIN) and one.by is CLIENT] == [
        "lost",
        "retransmission 1",
    ]
    assert heading(connection) == "The client closes first, by FIN"
    assert connection.closer is not None
    assert connection.closer.sent_ns == MS_NS


def test_a_last_ack_that_is_lost_restarts_time_wait_when_the_fin_comes_again() -> None:
    script = [
        Sent(1, CLIENT, FIN | ACK, 1, 1),
        Sent(2, SERVER, FIN | ACK, 1, 2),
        Sent(3, CLIENT, ACK, 2, 2, lost=True),
        Sent(203, SERVER, FIN | ACK, 1, 2),
        Sent(204, CLIENT, ACK, 2, 2),
    ]
    found = spans(made(script))
    assert path(found[SERVER])[2:] == PASSIVE
    (last,) = [span for span in found[CLIENT] if span.state is S.TIME_WAIT]
    assert last.expected
    assert last.end_ns == 203 * MS_NS + 10_000 + TIME_WAIT_NS
    assert found[SERVER][-1].end_ns == 204 * MS_NS + 10_000


def test_what_arrives_and_is_dropped_there_changes_no_state() -> None:
    """The last ACK is seen at the server's interface, and the server sends its FIN again all the same."""
    script = [
        Sent(1, CLIENT, FIN | ACK, 1, 1),
        Sent(2, SERVER, FIN | ACK, 1, 2),
        Sent(3, CLIENT, ACK, 2, 2),
        Sent(203, SERVER, FIN | ACK, 1, 2),
        Sent(204, CLIENT, ACK, 2, 2),
    ]
    connection = made(script)
    assert [remark(one) for one in connection.transits[-3:]] == ["dropped on arrival", "retransmission 1", ""]
    assert spans(connection)[SERVER][-1].end_ns == 204 * MS_NS + 10_000
    # The same for a FIN that nobody acknowledges until it comes again.
    fin = [
        Sent(1, CLIENT, FIN | ACK, 1, 1),
        Sent(201, CLIENT, FIN | ACK, 1, 1),
        Sent(202, SERVER, FIN | ACK, 1, 2),
    ]
    connection = made(fin)
    assert remark(connection.transits[3]) == "dropped on arrival"
    assert spans(connection)[SERVER][2].start_ns == 201 * MS_NS + 10_000
    # And for a RST after which its receiver goes on.
    connection = made([Sent(1, SERVER, RST | ACK, 1, 1), Sent(9, CLIENT, ACK, 1, 1, size=10)])
    assert remark(connection.transits[3]) == "dropped on arrival"
    assert path(spans(connection)[CLIENT]) == OPEN_CLIENT


def test_a_probe_for_a_late_acknowledgment_shows_no_loss() -> None:
    """What arrived is neither dropped if its end alone is sent again, nor if it arrives twice."""
    data = Sent(1, SERVER, ACK, 1, 1, size=100)
    end_again = [data, Sent(6, SERVER, ACK, 77, 1, size=24), Sent(8, CLIENT, ACK, 1, 101)]
    twice = [data, Sent(6, SERVER, ACK, 1, 1, size=100), Sent(8, CLIENT, ACK, 1, 101, twice=(1, 101))]
    once = [data, Sent(6, SERVER, ACK, 1, 1, size=100), Sent(8, CLIENT, ACK, 1, 101)]
    for script, words in ((end_again, ""), (twice, ""), (once, "dropped on arrival")):
        connection = made(script)
        assert [remark(one) for one in connection.transits[3:5]] == [words, "retransmission 1"]


def test_a_state_that_began_or_ended_unseen_has_a_bound_for_its_length() -> None:
    """close() with bytes in the send queue, and FIN-WAIT-2 that a timer ends, are in no packet."""
    unsent = [
        Sent(1, CLIENT, ACK, 1, 1, size=60),
        Sent(2, SERVER, ACK, 1, 61, size=1000),
        Sent(3, CLIENT, ACK, 61, 1001),
        Sent(3.1, SERVER, FIN | ACK, 1001, 61, size=400),
        Sent(4, CLIENT, FIN | ACK, 61, 1402),
        Sent(4.1, SERVER, ACK, 1402, 62),
    ]
    _, established, fin_wait, _ = spans(made(unsent))[SERVER]
    assert (lasted(established), lasted(fin_wait)) == ("≤ 2.89 ms", "≥ 910 µs")
    answered = [replace(one, size=0) if one.flags & FIN else one for one in unsent]
    assert not any(span.at_least or span.at_most for span in spans(made(answered))[SERVER])
    timed_out = [
        Sent(1, CLIENT, FIN | ACK, 1, 1),
        Sent(2, SERVER, ACK, 1, 2),
        Sent(900, SERVER, FIN | ACK, 1, 2),
        Sent(900.1, CLIENT, RST, 2),
    ]
    found = spans(made(timed_out))
    assert path(found[CLIENT]) == (*OPEN_CLIENT, S.FIN_WAIT_1, S.FIN_WAIT_2)
    assert lasted(found[CLIENT][-1]) == "≤ 898 ms"
    assert path(found[SERVER]) == (*OPEN_SERVER, *PASSIVE)


def test_a_heading_names_the_first_closer_or_both() -> None:
    assert (
        heading(made(CASES["both at once"][0])) == "Both sides close at once; the client's FIN is the first"
    )
    assert heading(made(CASES["rst with bytes unread"][0])) == "The client closes first, by RST"
    assert heading(made([])) == "Nobody closes within the capture"
    syn = OPENED[0]
    (refused,) = connections(packets([syn, Sent(0.1, SERVER, RST | ACK, 0, 1)]))
    assert heading(refused) == "The server refuses the connection"
    assert refused.closer is None
    assert path(spans(refused)[CLIENT]) == (S.SYN_SENT,)
    (unanswered,) = connections(packets([syn, replace(syn, at_ms=1000)]))
    assert heading(unanswered) == "The server does not answer"
    assert remark(unanswered.transits[1]) == "retransmission 1, dropped on arrival"


def test_probes_are_named_with_their_answers_and_numbered_without() -> None:
    probe = [Sent(at_ms, CLIENT, ACK, 0, 1) for at_ms in (1000, 2000, 3000, 4000)]
    answered = [probe[0], Sent(1000.1, SERVER, ACK, 1, 1)]
    script = [*answered, *probe[1:], Sent(5000, CLIENT, RST | ACK, 1, 1)]
    connection = made(script)
    assert [remark(one) for one in connection.transits[3:]] == [
        "keepalive probe",
        "its answer",
        *(f"keepalive probe {number}, dropped on arrival" for number in (1, 2, 3)),
        "dropped on arrival",
    ]
    assert heading(connection) == "The client gives it up, by RST, after 3 probes without an answer"
    assert not any(one.repeat for one in connection.transits)
    # The packets do not show what has become of the other host.
    assert spans(connection)[SERVER][-1].end_ns is None
    # One that is back, and has no such connection, answers.
    connection = made([*answered, *probe[1:3], Sent(3000.1, SERVER, RST, 1)])
    assert [remark(one) for one in connection.transits[5:]] == [
        "keepalive probe 1, dropped on arrival",
        "keepalive probe 2",
        "",
    ]
    assert heading(connection) == "The server has no such connection any more, and answers a probe by RST"
    # Where the other side has no room it asks for that; and what never arrives is lost.
    full = Sent(1, SERVER, ACK, 1, 1, window=0)
    lost = Sent(1000, CLIENT, ACK, 0, 1, lost=True)
    assert [remark(one) for one in made([full, lost]).transits[3:]] == ["", "window probe 1, lost"]


def test_the_last_copy_of_a_fin_that_a_silent_host_does_not_answer_has_not_reached_it() -> None:
    connection = made([Sent(at_ms, SERVER, FIN | ACK, 1, 1) for at_ms in (1, 201, 601)])
    assert [one.ignored for one in connection.transits[3:]] == [True, True, True]
    assert path(spans(connection)[CLIENT]) == OPEN_CLIENT


def test_a_port_used_again_is_another_connection() -> None:
    again = Sent(5, CLIENT, SYN, 1000)
    first, second = connections(packets([*OPENED, *CASES["rst with bytes unread"][0], again]))
    assert (len(first.transits), len(second.transits)) == (5, 1)
    assert flags_of(second.transits[0]) == "SYN"
    assert second.closer is None


def test_a_sample_contradicts_packets_only_if_it_shows_fewer_sockets() -> None:
    every = {CLIENT: [(0, Span(S.TIME_WAIT, 10, 100)), (50, Span(S.TIME_WAIT, 0, None))], SERVER: []}
    assert contradictions(every, {CLIENT: {S.TIME_WAIT: 2}, SERVER: {}}, 80, 5) == []
    assert len(contradictions(every, {CLIENT: {S.TIME_WAIT: 1}, SERVER: {}}, 80, 5)) == 1
    # One of them ends within the slack.
    assert contradictions(every, {CLIENT: {S.TIME_WAIT: 1}, SERVER: {}}, 98, 5) == []
    # More of them, if none was left out of the capture.
    three = {CLIENT: {S.TIME_WAIT: 3}, SERVER: {}}
    assert contradictions(every, three, 80, 5) == []
    assert len(contradictions(every, three, 80, 5, all_captured=True)) == 1


def test_a_crash_ends_the_states_of_its_side_and_no_others() -> None:
    # The next segment meets a host that is back, without its connection: a RST answers it.
    script = [Sent(3000, CLIENT, ACK, 1, 1, size=5), Sent(3001, SERVER, RST, 1)]
    connection = made(script, crashed(SERVER, at_ms=1000, back_ms=2000))
    client, server = (spans(connection)[side][-1] for side in (CLIENT, SERVER))
    assert (server.state, client.state) == (S.ESTABLISHED, S.ESTABLISHED)
    assert server.end_ns == pytest.approx(1000 * MS_NS, abs=MS_NS)
    assert client.end_ns == 3001 * MS_NS + TRANSIT_NS
    # What comes after the last segment is no part of the connection.
    assert [(one.side, one.words) for one in shown(connection)] == [(SERVER, "crash"), (SERVER, "crash over")]
    # Without an answer the crash is still what ended the state.
    silent = made(script[:1], crashed(SERVER, at_ms=5000, back_ms=6000))
    assert spans(silent)[SERVER][-1].end_ns == pytest.approx(5000 * MS_NS, abs=MS_NS)
    assert spans(silent)[CLIENT][-1].end_ns is None
    assert [one.words for one in shown(silent)] == ["crash"]
    # One that began later was not there.
    assert spans(made(script[:1], crashed(SERVER, at_ms=-9, back_ms=-5)))[SERVER][-1].end_ns is None
