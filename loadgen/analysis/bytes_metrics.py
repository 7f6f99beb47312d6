"""The metrics of bytes: what both programs handed to their kernels, what both read, and what was lost.

Pure. They are measured where both sides count: with the protocol driver, and a server of churn's own.
"""

from collections.abc import Callable, Sequence

from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Unit, Values
from loadgen.records.events import ServerCounted


def _bytes(
    of_client: str, of_server: str, less: Callable[[Fold, Values], float | None] | None = None
) -> Callable[[Fold, Values], float | None]:
    """What both sides counted, added up; `less` is taken from it."""

    def take(fold: Fold, values: Values) -> float | None:
        client, served = fold.total(of_client), fold.event(ServerCounted)
        if client is None or served is None:
            return None
        total: int = client + getattr(served.counts, of_server)
        return total - (less(fold, values) or 0) if less else total

    return take


_sent = _bytes("sent_bytes", "sent_bytes")
_received = _bytes("received_bytes", "received_bytes")

BYTES_METRICS: Sequence[Metric] = (
    Metric(
        "bytes.sent",
        Unit.COUNT,
        "bytes that both programs handed to their kernels; measured with the protocol driver, and a server of"
        " churn's own",
        _sent,
    ),
    Metric("bytes.received", Unit.COUNT, "bytes that both programs read", _received),
    Metric(
        "bytes.lost",
        Unit.COUNT,
        "bytes that one program handed to its kernel and the other never read: `bytes.sent` less"
        " `bytes.received`",
        _bytes("sent_bytes", "sent_bytes", _received),
    ),
)
