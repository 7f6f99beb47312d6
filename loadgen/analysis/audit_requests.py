"""The two legs of a proxy against each other: the requests that went in, and those that came out. Pure."""

from collections.abc import Iterator

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.fold import Fold
from loadgen.records.events import ServerCounted
from loadgen.tcp import OUT_OF_TIME


def audit_requests(fold: Fold) -> Iterator[AuditLine]:
    """Responses that the client had whole against those that the server sent, if both have counted.

    The server may have answered requests that the client had given up, and those that failed for another
    reason of the exchange than an answer of the proxy's own (an HTTP status).
    """
    exchanges, counted = fold.total("exchanges"), fold.event(ServerCounted)
    if exchanges is None or counted is None:
        return
    answered = counted.counts.exchanges
    undelivered = sum(
        count
        for failure, count in fold.errors.items()
        if failure.kind in OUT_OF_TIME
        or (failure.phase == "receive" and not failure.kind.startswith("HTTP_"))
    )
    lost = min(max(answered - exchanges, 0), undelivered)
    yield AuditLine("requests in, requests out", "served.exchanges", exchanges, answered, lost)
