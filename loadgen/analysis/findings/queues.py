"""Queues of the server's listeners that were full, and what the kernels sent again."""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.ledger.entry import Kind
from loadgen.tcp import Ending
from loadgen.text.numbers import count

ACCEPT_QUEUE = FindingKind("accept_queue")
SYN_QUEUE = FindingKind("syn_queue")
SENT_AGAIN = FindingKind("sent_again")
FEW = 0.01
"""Of the connections that were opened: a smaller share is no finding."""


def accept_queue(fold: Fold) -> Iterator[Finding]:
    dropped = moved(fold, fold.scope.leg.accepter, "ListenOverflows")
    if dropped <= FEW * (fold.total("opened") or 0):
        return
    never, again = never_accepted(fold), moved(fold, fold.scope.leg.opener, "TCPSynRetrans")
    parts = [f"{count(dropped)} SYNs or last ACKs of a handshake were dropped"]
    parts += [f"{count(never)} connections existed at the client only"] if never else []
    parts += [f"the client sent {count(again)} SYNs again"] if again else []
    yield Finding(
        kind=ACCEPT_QUEUE,
        rank=Rank.LIMITED,
        viewpoint=fold.scope.leg.accepter,
        sentence=f"the server's accept queue was full: {', '.join(parts)}",
        numbers={"dropped": dropped, "never_accepted": never, "syns_again": again},
        evidence=(
            f"{fold.scope.leg.accepter}.kernel.ListenOverflows {dropped:,}",
            f"{fold.scope.leg.opener}.kernel.TCPSynRetrans {again:,}",
        ),
        observed=True,
    )


def syn_queue(fold: Fold) -> Iterator[Finding]:
    dropped = moved(fold, fold.scope.leg.accepter, "TCPReqQFullDrop")
    if dropped > FEW * (fold.total("opened") or 0):
        again = moved(fold, fold.scope.leg.opener, "TCPSynRetrans")
        yield Finding(
            kind=SYN_QUEUE,
            rank=Rank.LIMITED,
            viewpoint=fold.scope.leg.accepter,
            sentence=f"the server's SYN queue was full: {count(dropped)} SYNs were dropped",
            numbers={"dropped": dropped, "syns_again": again},
            evidence=(
                f"{fold.scope.leg.accepter}.kernel.TCPReqQFullDrop {dropped:,}",
                f"{fold.scope.leg.opener}.kernel.TCPSynRetrans {again:,}",
            ),
            observed=True,
        )


def sent_again(fold: Fold) -> Iterator[Finding]:
    """Segments sent again; SYNs alone are found with the queue that was full, if one was."""
    opened = fold.total("opened") or 0
    for node, (viewpoint, *_) in fold.scope.by_node.items():
        segments, syns, probes = (
            moved(fold, viewpoint, name) for name in ("RetransSegs", "TCPSynRetrans", "TCPLossProbes")
        )
        if segments > max(FEW * opened, 1):
            which = {"SYNs or SYN-ACKs": syns, "probes since an ACK was slow": min(probes, segments)}
            of_them = "".join(f", {count(number)} of them {what}" for what, number in which.items() if number)
            yield Finding(
                kind=SENT_AGAIN,
                rank=Rank.PACE,
                viewpoint=viewpoint,
                sentence=f"the {node} sent {count(segments)} segments again{of_them}",
                numbers={"segments": segments, "syns": syns},
                evidence=(
                    f"{viewpoint}.kernel.RetransSegs {segments:,}",
                    f"{viewpoint}.kernel.TCPTimeouts {moved(fold, viewpoint, 'TCPTimeouts'):,}",
                    f"{viewpoint}.kernel.TCPLossProbes {probes:,}",
                ),
                observed=True,
            )


def never_accepted(fold: Fold, *, reset: bool | None = None) -> int:
    """Connections that existed at the client only; with `reset`, those that the server reset, or did not.

    0 if that is not known.
    """
    explained = fold.explanation.known if fold.complete else None
    return sum(
        one.count
        for one in explained or ()
        if one.entry.kind is Kind.NOT_ACCEPTED and reset in (None, one.entry.first is Ending.SERVER_RST)
    )


def moved(fold: Fold, viewpoint: str, counter: str) -> int:
    """By how much a kernel counter moved at a viewpoint; 0 if the kernel does not have it."""
    return fold.kernel()[viewpoint].get(counter, 0) if fold.samples else 0


RULES: tuple[Rule, ...] = (syn_queue, accept_queue, sent_again)
