"""What failed: in which phase, why, and what share of the attempts."""

from collections.abc import Iterator

from loadgen.analysis.findings import translation
from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.findings.queues import moved, never_accepted
from loadgen.analysis.fold import Fold
from loadgen.tcp import NO_PORT, Failure, Fault, Phase
from loadgen.text.numbers import count

FAILURES = FindingKind("failures")
NOT_ESTABLISHED = FindingKind("not_established")
MOST = 0.5
"""The share of the attempts that fail from which on a variant is about its failures."""
FEW = 0.01
"""A smaller share is no finding."""


def failures(fold: Fold) -> Iterator[Finding]:
    attempts, failed = fold.total("attempts"), fold.failed()
    if not attempts or failed is None:
        return
    load = fold.under_load()
    # Those for want of a port are the finding `ports_gone`.
    found_elsewhere = NO_PORT if load.shortage and not load.no_port_unexplained else frozenset[Failure]()
    kinds = {
        failure: number
        for failure, number in fold.errors.items()
        if failure.kind != Fault.CUT and failure not in found_elsewhere
    }
    total = sum(kinds.values())
    share = total / attempts
    if share <= FEW:
        return
    worst = max(kinds, key=lambda failure: kinds[failure])
    most = "" if kinds[worst] == total else ", most of them"
    yield Finding(
        kind=FAILURES,
        rank=Rank.FAILED if share >= MOST else Rank.PARTLY_FAILED,
        viewpoint=fold.scope.leg.opener,
        sentence=f"{count(total)} of {count(attempts)} attempts fail{most} with {worst}"
        + (f" ({words})" if (words := reason(fold, worst)) else ""),
        numbers={str(failure): number for failure, number in kinds.items()},
        share=share,
        evidence=tuple(f"{failure} {number:,}" for failure, number in kinds.items()),
        observed=True,
    )


def not_established(fold: Fold) -> Iterator[Finding]:
    """Attempts of a program that were never established, by the counters: churn does not see its errors."""
    explained, opened = fold.explanation.known if fold.complete else None, fold.total("opened")
    if fold.failed() is not None or not explained or not opened:
        return
    for one in explained:
        if one.entry.open or one.count <= FEW * opened:
            continue
        yield Finding(
            kind=NOT_ESTABLISHED,
            rank=Rank.FAILED if one.count >= MOST * opened else Rank.PARTLY_FAILED,
            viewpoint=fold.scope.leg.opener,
            sentence=f"{count(one.count)} of {count(opened)} attempts fail: {one.entry.story}",
            numbers={one.entry.name: one.count},
            share=one.count / opened,
            evidence=tuple(
                f"{fold.scope.leg.opener}.{name} {number * one.count:,}"
                for name, number in one.entry.client.items()
            ),
            observed=False,
        )


def reason(fold: Fold, failure: Failure) -> str:
    """Whose limit a failure shows, in words: by the states and counters that were recorded with it."""
    if failure in NO_PORT and fold.under_load().no_port_unexplained:
        held = fold.sampled.ports_most.get(fold.scope.leg.opener, 0)
        return (
            f"no lack of ports ({count(held)} of {count(fold.ports)} were held at most); the client may have"
            " no source address towards the server, or none of that family"
        )
    return _queue(fold, failure) or failure.limit


def _queue(fold: Fold, failure: Failure) -> str:
    """The queue of the server that a failure comes from; empty if the counters do not show one."""
    if failure == Failure(Phase.CONNECT, Fault.TIMEOUT):
        if why := translation.reason(fold, fold.errors[failure]):
            return why
        for queue, counter in (("SYN", "TCPReqQFullDrop"), ("accept", "ListenOverflows")):
            if moved(fold, fold.scope.leg.accepter, counter) >= fold.errors[failure]:
                return f"the server's {queue} queue: it was full, and the SYNs stayed unanswered"
    least = MOST * fold.errors[failure]
    if failure.kind == "ECONNRESET" and (full := never_accepted(fold, reset=True)) >= least:
        return f"the server's accept queue: it was full, and {count(full)} connections were reset for it"
    if failure == Failure(Phase.RECEIVE, Fault.TIMEOUT):
        full = never_accepted(fold, reset=False)
        if full >= least:
            return f"the server's accept queue: {count(full)} connections never came out of it"
    return ""


RULES: tuple[Rule, ...] = (failures, not_established)
