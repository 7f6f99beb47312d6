"""What a program says of addresses and ports, beside the ports that its side held."""

import pytest

from loadgen.analysis.findings.addresses import ADDRESS_REFUSED, address_refused
from loadgen.analysis.findings.finding import Finding, Rank
from loadgen.analysis.fold import Fold
from loadgen.records.events import CommandEnded, LoadEnds
from loadgen.records.viewpoints import APART
from tests.made_records import STEP, S, opened, sample, side

MISSING = "OSError: [Errno 99] Cannot assign requested address"
TAKEN = "bind: Address already in use"


def refused(held: int, stderr: str) -> list[Finding]:
    """What is found of a program that ended so, with at most so many of 1,000 ports held."""
    fold = Fold(1_000)
    most = [sample(index * STEP, side(ports_held=held)) for index in range(1, 10)]
    for record in (opened(APART), sample(-STEP), *most, CommandEnded(S, 1, False, stderr), LoadEnds(S)):
        fold.add(record)
    return list(address_refused(fold))


@pytest.mark.parametrize(
    ("held", "stderr", "words"),
    [
        (0, MISSING, "with at most 0 of 1,000 ports held: the client has no such source address"),
        (0, f"first line\n{MISSING}", "or no address of that family"),
        (40, MISSING, "EADDRNOTAVAIL with at most 40 of 1,000 ports held: that is no lack of ports"),
        (0, TAKEN, "reports EADDRINUSE with at most 0 of 1,000 ports held: that is no lack of ports"),
    ],
)
def test_an_errno_is_no_lack_of_ports_while_they_are_free(held: int, stderr: str, words: str) -> None:
    (finding,) = refused(held, stderr)
    assert (finding.kind, finding.rank) == (ADDRESS_REFUSED, Rank.FAILED)
    assert words in finding.sentence
    assert finding.evidence[-1] == f"client.ports_held.max {held}"


@pytest.mark.parametrize(("held", "stderr"), [(0, "Connection refused"), (0, ""), (999, MISSING)])
def test_of_another_errno_or_of_ports_that_are_held_nothing_is_said(held: int, stderr: str) -> None:
    assert refused(held, stderr) == []
