"""What a driver counts: one interval's worth at a time, every attempt in exactly one place.

The identities that hold at the end of a load, and that the audit builds on:
attempts = succeeded + errors, and connected = closes by client or server, by FIN or RST.
"""

from array import array
from collections import Counter
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from loadgen.drivers.plan import ClosedLoop, OpenLoop
from loadgen.records.latency import Counts, Tag
from loadgen.records.types import Interval
from loadgen.tcp import NO_PORT, Ending, Failure


class Tally:
    """Counts since the last `take`. Attributes are those of `Interval`, and are added to directly, but for
    errors: `fail` counts one. Instants are those of CLOCK_MONOTONIC until `take`.

    `start_ns` gets one for each that is `started` in an open loop, and shows which were late. `counts_reads`
    is false for a driver whose library reads, `counts_bytes` for one that does not count them.
    """

    __slots__ = (
        "_counts_bytes",
        "_counts_reads",
        "_late_ns",
        "_pools",
        "attempts",
        "clocked",
        "clocked_cpu_ns",
        "clocked_wall_ns",
        "connect_ns",
        "connected",
        "connecting_ns",
        "dropped",
        "endings",
        "errors",
        "exchanges",
        "in_flight",
        "no_port_ns",
        "offered",
        "opened",
        "pool_closed",
        "pool_idle",
        "reads",
        "received_bytes",
        "response_ns",
        "retries",
        "sent_bytes",
        "server_fin_reset",
        "service_ns",
        "start_ns",
        "started",
        "succeeded",
    )

    def __init__(
        self, loop: ClosedLoop | OpenLoop, *, counts_reads: bool = True, counts_bytes: bool = False
    ) -> None:
        self._counts_bytes = counts_bytes
        self._counts_reads = counts_reads
        self._late_ns = loop.late_ns if isinstance(loop, OpenLoop) else 0
        self._pools = isinstance(loop, OpenLoop) and loop.idle is not None
        self.in_flight = 0
        self._clear()

    def _clear(self) -> None:
        self.offered = self.started = self.dropped = 0
        self.attempts = self.opened = self.connected = self.exchanges = self.succeeded = 0
        self.connecting_ns = 0
        self.clocked = self.clocked_wall_ns = self.clocked_cpu_ns = 0
        self.reads = self.retries = 0
        self.pool_closed = self.pool_idle = 0
        self.sent_bytes = self.received_bytes = 0
        self.endings: Counter[Ending] = Counter()
        self.server_fin_reset = 0
        self.errors: Counter[Failure] = Counter()
        self.no_port_ns: int | None = None
        self.start_ns = array("q")
        self.connect_ns = array("q")
        self.response_ns = array("q")
        self.service_ns = array("q")

    def fail(self, failure: Failure) -> None:
        """An attempt has failed now."""
        self.errors[failure] += 1
        if self.no_port_ns is None and failure in NO_PORT:
            self.no_port_ns = monotonic_ns()

    def take(self, start_ns: int, end_ns: int, origin_ns: int = 0) -> tuple[Interval, list[Counts]]:
        """The interval that ends now, with its latencies; counting starts anew.

        `start_ns` and `end_ns` count from the origin, which is at `origin_ns` of CLOCK_MONOTONIC.
        """
        arrays = {
            Tag.START: np.frombuffer(self.start_ns, np.int64),
            Tag.CONNECT: np.frombuffer(self.connect_ns, np.int64),
            Tag.RESPONSE: np.frombuffer(self.response_ns, np.int64),
            Tag.SERVICE: np.frombuffer(self.service_ns, np.int64),
        }
        connect_p50_ns, connect_p99_ns = _quantiles(arrays[Tag.CONNECT])
        response_p50_ns, response_p99_ns = _quantiles(arrays[Tag.RESPONSE])
        interval = Interval(
            start_ns=start_ns,
            end_ns=end_ns,
            offered=self.offered,
            started=self.started,
            late=int(np.count_nonzero(arrays[Tag.START] > self._late_ns)),
            dropped=self.dropped,
            attempts=self.attempts,
            opened=self.opened,
            connected=self.connected,
            timed=len(self.connect_ns),
            clocked=self.clocked,
            exchanges=self.exchanges,
            reads=self.reads if self._counts_reads else None,
            retries=self.retries,
            pool_closed=self.pool_closed if self._pools else None,
            pool_idle=self.pool_idle if self._pools else None,
            sent_bytes=self.sent_bytes if self._counts_bytes else None,
            received_bytes=self.received_bytes if self._counts_bytes else None,
            succeeded=self.succeeded,
            in_flight=self.in_flight,
            closes=dict(+self.endings),
            server_fin_reset=self.server_fin_reset,
            errors=dict(self.errors),
            connect_p50_ns=connect_p50_ns,
            connect_p99_ns=connect_p99_ns,
            response_p50_ns=response_p50_ns,
            response_p99_ns=response_p99_ns,
            connecting_ns=self.connecting_ns,
            clocked_wall_ns=self.clocked_wall_ns,
            clocked_cpu_ns=self.clocked_cpu_ns,
            no_port_ns=None if self.no_port_ns is None else self.no_port_ns - origin_ns,
        )
        counts = [Counts.of(tag, values) for tag, values in arrays.items() if len(values)]
        self._clear()
        return interval, counts


def _quantiles(values: NDArray[np.int64]) -> tuple[int | None, int | None]:
    """Median and 99th percentile, nearest rank."""
    if not len(values):
        return None, None
    ranks = (len(values) // 2, min(len(values) - 1, len(values) * 99 // 100))
    ordered = np.partition(values, ranks)
    return int(ordered[ranks[0]]), int(ordered[ranks[1]])
