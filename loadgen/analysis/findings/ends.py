"""Who ended the connections first, and how."""

from collections import Counter
from collections.abc import Iterator, Mapping

from loadgen.analysis.findings.established import staying
from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.findings.queues import moved
from loadgen.analysis.fold import Fold
from loadgen.tcp import Closer, Ending, How
from loadgen.text.numbers import count

ENDED_FIRST = FindingKind("ended_first")
COUNTERS = ("TW", "TCPAbortOnClose", "EstabResets")
"""What an end moves at the side that makes it or meets it: the ledger (docs/endings.md) has them all."""


def ended_first(fold: Fold) -> Iterator[Finding]:
    """By what the driver saw; for a program, by what the kernels' counters leave as the only explanation."""
    if not fold.total("connected"):
        return
    leg, ended = fold.scope.leg, fold.ended()
    by_kernels = tuple(
        f"{viewpoint}.kernel.{name} {number:,}"
        for viewpoint in (leg.opener, leg.accepter)
        for name in COUNTERS
        if (number := moved(fold, viewpoint, name))
    )
    if ended is None:
        if fold.samples:
            yield Finding(
                kind=ENDED_FIRST,
                rank=Rank.CLOSES,
                viewpoint=leg.opener,
                sentence="who closed first is not to be told from what was counted; a capture of the packets"
                " would show it",
                numbers={},
                evidence=by_kernels,
                observed=False,
            )
    elif sum(ended.values()):
        seen = fold.counted is not None
        counts = {str(ending): ended[ending] for ending in Ending if ended.get(ending)}
        yield Finding(
            kind=ENDED_FIRST,
            rank=Rank.CLOSES,
            viewpoint=leg.opener,
            sentence=_who(ended) + _when(fold),
            numbers=counts,
            evidence=(*(f"closes.{ending} {number:,}" for ending, number in counts.items()), *by_kernels),
            observed=seen,
        )


def _who(ended: Mapping[Ending, int]) -> str:
    closers = Counter[Closer]()
    for ending, number in ended.items():
        closers[ending.closer] += number
    match [(closer, number) for closer, number in closers.most_common() if number]:
        case [(Closer.BOTH, _)]:
            return "both sides close at once: their FINs cross"
        case [(closer, _)]:
            by_fin = any(ended.get(ending) for ending in Ending if ending.how is How.FIN)
            return f"the {closer} closes first" + ("" if by_fin else " by RST")
        case [(closer, most), *others]:
            rest = ", ".join(f"{_subject(other)} {count(number)}" for other, number in others)
            verb = "close" if closer is Closer.BOTH else "closes"
            return f"{_subject(closer)} {verb} {count(most)} connections first, {rest}"
        case _:
            return "no connection was closed"


def _when(fold: Fold) -> str:
    """That most connections were open until the load's end; empty if they were not."""
    return "" if staying(fold) is None else ", most connections only as the load ends"


def _subject(closer: Closer) -> str:
    return "both sides" if closer is Closer.BOTH else f"the {closer}"


RULES: tuple[Rule, ...] = (ended_first,)
