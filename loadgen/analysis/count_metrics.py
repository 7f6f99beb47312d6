"""Metrics that the load generator counts: requests, connections, how they ended and failed.

Pure. The order is that of summary.json.
"""

import errno
from collections.abc import Sequence

from loadgen.analysis.bytes_metrics import BYTES_METRICS
from loadgen.analysis.metric import Metric, Placeholder, Unit
from loadgen.tcp import Ending, Fault

COUNT = Unit.COUNT

ENDING = Placeholder(
    "ending", "the side that ended the connection first, and how", {str(ending): ending for ending in Ending}
)
KIND = Placeholder(
    "kind",
    "the name of an errno, a fault of the exchange, or an HTTP status from 400 on as `HTTP_503`",
    {kind: kind for kind in (*errno.errorcode.values(), *map(str, Fault))},
    word="HTTP_[1-9][0-9]{2}",
    measured=lambda fold, _: {failure.kind: failure.kind for failure in fold.errors},
)


def _count(name: str, sentence: str) -> Metric:
    """A count that the intervals add up to, by the field's name."""
    return Metric(name, COUNT, sentence, lambda fold, _: fold.total(name))


COUNT_METRICS: Sequence[Metric] = (
    _count("offered", "requests that were to start; offered = started + dropped"),
    _count("started", "requests that began"),
    _count("late", "requests of an open loop that began later than `load.open_loop.late` allows"),
    _count(
        "dropped",
        "requests that never began: of an open loop, because as many connections were open as it may have; of"
        " a closed loop, because the stage or the load ended",
    ),
    _count("attempts", "attempts to open a connection"),
    _count("opened", "attempts that sent a SYN"),
    _count("connected", "connections that were established"),
    _count("timed", "connections whose connect() was timed; the uring driver times one in 10 ms"),
    _count(
        "clocked",
        "calls of connect() that the CPU clock was read around, failed ones included: one in a millisecond"
        " for each load worker, or in 10 ms by the uring driver",
    ),
    _count("exchanges", "responses that were complete and right"),
    _count(
        "reads",
        "reads of bytes of a response; not measured with the aiohttp driver, whose library reads. More than"
        " 10 a response are the caveat `read_in_pieces`",
    ),
    _count(
        "retries",
        "requests that were tried again on a new connection, the server having closed the kept one before a"
        " byte of the response had come (`connection.retry`)",
    ),
    Metric(
        "pool.closed",
        COUNT,
        "connections that the client closed because as many were idle as its pool keeps (`load.pool.idle`);"
        " those that it opened are in `opened`",
        lambda fold, _: fold.total("pool_closed"),
    ),
    Metric(
        "pool.idle.max",
        COUNT,
        "the most idle connections at once, of the load worker that had most; measured with `load.pool`",
        lambda fold, _: fold.pool_idle,
    ),
    _count("sent_bytes", "bytes that the protocol driver handed to its kernel"),
    _count("received_bytes", "bytes that the protocol driver read"),
    *BYTES_METRICS,
    _count("succeeded", "attempts in which nothing failed: see scenarios.md, Expectations"),
    Metric(
        "closes.{ending}",
        COUNT,
        "established connections that ended so, as the client saw it",
        lambda fold, values: None if (ended := fold.ended()) is None else ended.get(values[ENDING], 0),
        (ENDING,),
    ),
    Metric(
        "closes.server_fin_reset",
        COUNT,
        "of `closes.server_fin`, those that the server reset because bytes came after its FIN",
        lambda fold, _: fold.total("server_fin_reset"),
    ),
    Metric("errors.total", COUNT, "attempts that failed", lambda fold, _: fold.failed()),
    Metric(
        "errors.{kind}",
        COUNT,
        "attempts that failed in this way; 0 if it did not occur and `errors.total` was measured",
        lambda fold, values: sum(n for failure, n in fold.errors.items() if failure.kind == values[KIND]),
        (KIND,),
    ),
)
"""From what was offered to how it ended."""
