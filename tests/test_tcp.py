"""The vocabulary: names that are written down are read back, and failures tell whose limit they were."""

import pytest

from loadgen.tcp import Closer, Ending, Failure, Fault, How, Phase, Side, State


def test_there_are_the_eleven_states_of_the_rfc() -> None:
    assert len(State) == 11
    assert [state.key for state in (State.TIME_WAIT, State.FIN_WAIT_1, State.SYN_RECEIVED)] == [
        "time_wait",
        "fin_wait_1",
        "syn_received",
    ]
    assert len({state.key for state in State}) == len(State)


def test_an_ending_is_whose_act_it_was_and_how() -> None:
    one = [Ending.of(side, how) for side in Side for how in How]
    assert [*one, Ending.BOTH_FIN] == list(Ending)
    assert [(ending.side, ending.how) for ending in one] == [(side, how) for side in Side for how in How]
    assert [ending.closer for ending in one] == [ending.side for ending in one]
    assert (Ending.BOTH_FIN.closer, Ending.BOTH_FIN.how) == (Closer.BOTH, How.FIN)
    with pytest.raises(ValueError, match="both"):
        _ = Ending.BOTH_FIN.side


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("kind", ["EADDRNOTAVAIL", "HTTP_503", *Fault])
def test_a_failure_is_read_back_from_its_text(phase: Phase, kind: str) -> None:
    failure = Failure(phase, kind)
    assert str(failure) == f"{phase}:{kind}"
    assert Failure.parse(str(failure)) == failure
    assert {failure: 1}[Failure.parse(str(failure))] == 1


@pytest.mark.parametrize("text", ["", "EADDRNOTAVAIL", "lunch:EADDRNOTAVAIL"])
def test_a_failure_without_a_phase_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Phase"):
        Failure.parse(text)


@pytest.mark.parametrize(
    ("failure", "whose"),
    [
        ("connect:EADDRNOTAVAIL", "the client's ephemeral ports"),
        ("bind:EADDRNOTAVAIL", "the client's addresses"),
        ("bind:EADDRINUSE", "the client's ephemeral ports"),
        ("connect:EADDRINUSE", "the client's ephemeral ports"),
        ("bind:EMFILE", "this process's descriptors"),
        ("connect:ENFILE", "the host's descriptors"),
        ("connect:ECONNREFUSED", "the server: nothing listens"),
        ("connect:TIMEOUT", "the server's backlog or the path"),
        ("receive:TIMEOUT", "the server: no full response"),
        ("receive:ECONNRESET", "the peer"),
        ("close:CUT", "the run"),
    ],
)
def test_a_failure_tells_whose_limit_it_was(failure: str, whose: str) -> None:
    assert Failure.parse(failure).limit.startswith(whose)


def test_every_fault_has_a_limit_in_some_phase_and_an_unknown_errno_claims_none() -> None:
    for fault in Fault:
        assert any(Failure(phase, fault).limit for phase in Phase)
    assert Failure(Phase.CONNECT, "EHOSTUNREACH").limit == ""
    assert Failure(Phase.CLOSE, Fault.TIMEOUT).limit == ""
