"""What a run leaves behind: the record types and their JSON lines.

Times are nanoseconds on CLOCK_MONOTONIC since the variant's origin,
the instant its load begins; what happens before is negative.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from loadgen.records.bounds import Count, Time
from loadgen.records.conntrack import Conntrack
from loadgen.records.events import Event
from loadgen.records.viewpoints import Scope
from loadgen.tcp import Ending, Failure, State

SCHEMA_VERSION = 4
"""Version of every file in a run directory; a reader refuses what it does not know."""


class _Record(Struct, frozen=True, forbid_unknown_fields=True):
    """What has a form of its own in JSON.

    Reading refuses other types and unknown keys.
    """


class ViewpointSample(_Record, frozen=True):
    """The TCP state of one viewpoint at one instant.

    `states` counts sockets by state, zeros left out, TIME-WAIT included. `ports_held` counts the
    sockets (TIME-WAIT too) on ephemeral ports; None if they are not counted at this viewpoint. `counters` are
    the kernel's own, cumulative since the namespace was made, under the kernel's names. `cpu_user_ns`
    and `cpu_system_ns` are those of the viewpoint's processes, cumulative, None if it has none;
    `workers_cpu_ns` both together of each of them, in the order of the event `processes`, and
    `workers_wait_ns` the time that each was ready to run and had no core. Empty where they are not known one
    by one.

    `full`: TIME-WAIT was counted socket by socket (slow, K20) and not taken from sockstat (K17).

    `states_age_ns` is how long before this sample the states were read, TIME-WAIT apart: 0 but where
    reading is dear, because there are many sockets to walk over (`loadgen.observe.paced_dump.DUMP_SHARE`).

    `unread_sockets` counts those in CLOSE-WAIT with bytes that their program has not read (Recv-Q), and
    `unread_bytes` those bytes.

    `conntrack` is that of a NAT; None at other viewpoints.
    """

    states: Mapping[State, Count]
    ports_held: Count | None
    counters: Mapping[str, Count]
    cpu_user_ns: Count | None
    cpu_system_ns: Count | None
    workers_cpu_ns: tuple[Count, ...] = ()
    workers_wait_ns: tuple[Count, ...] = ()
    states_age_ns: Count = 0
    full: bool = False
    unread_sockets: Count = 0
    unread_bytes: Count = 0
    conntrack: Conntrack | None = None

    @property
    def cpu_ns(self) -> int | None:
        """CPU time of its processes; None if it has none."""
        user_ns, system_ns = self.cpu_user_ns, self.cpu_system_ns
        return None if user_ns is None or system_ns is None else user_ns + system_ns

    def count(self, state: State) -> int:
        return self.states.get(state, 0)


class Sample(_Record, frozen=True, tag_field="type", tag="sample"):
    """All viewpoints at one instant: `t_ns` is when reading began, `cost_ns` how long it took.

    `late` tells that reading began more than half a period after it was due, or that instants before it were
    missed, which `missed` counts. `softnet_dropped` is host-wide and cumulative (K26).
    `slab_bytes` is the memory of the kernel's own objects that it cannot reclaim, host-wide too.
    """

    t_ns: Time
    cost_ns: Count
    late: bool
    viewpoints: Mapping[str, ViewpointSample]
    softnet_dropped: Count
    missed: Count = 0
    slab_bytes: Count | None = None

    def check(self, scope: Scope) -> None:
        """Raise ValueError if it lacks a viewpoint."""
        for name in scope.names:
            if name not in self.viewpoints:
                raise ValueError(f"lacks the viewpoint {name}")


COUNTS = (
    "offered",
    "started",
    "late",
    "dropped",
    "attempts",
    "opened",
    "connected",
    "timed",
    "clocked",
    "exchanges",
    "reads",
    "retries",
    "pool_closed",
    "sent_bytes",
    "received_bytes",
    "succeeded",
    "server_fin_reset",
)
"""The fields of an `Interval` that count what happened in it, and so add up."""

TIMES = ("connecting_ns", "clocked_wall_ns", "clocked_cpu_ns")
"""Those that are times spent in it, over all load workers, which add up too."""


_K = TypeVar("_K")


class Interval(_Record, frozen=True, omit_defaults=True, tag_field="type", tag="interval"):
    """What the load workers counted between two instants, 100 ms apart unless one was held up.

    What was not measured is None, and absent from the line. A command does not report what it counts: if it
    drives, the interval lies between two samples (`from_samples`). Then opened, connected, in_flight and
    closes are the kernel's, and there is nothing else; in a shared namespace there are no closes either.

    offered     requests whose intended start fell into the interval
    started     of those and earlier ones, the requests actually begun
    late        starts later than the scenario's bound; dropped: starts given up
    attempts    tries to connect that began; opened: those that sent a SYN;
    connected   those that were established; timed: of these, the ones whose connect() was timed: all,
                but for the uring driver, which times one in 10 ms
    clocked     calls of connect() that the CPU clock was read around, failed ones included: one in a
                millisecond for each load worker, or in 10 ms by the uring driver. clocked_wall_ns: how long
                they took; clocked_cpu_ns: the CPU time that the load worker used in them
    exchanges   responses that were complete and right; reads: how often the driver read bytes of a response;
                not measured if its library does that (aiohttp)
    sent_bytes, received_bytes   bytes that the driver handed to its kernel, and that it read; measured by the
                protocol driver only
    retries     exchanges that were tried again on a new connection: the server had ended a kept one before a
                byte of the response had come. `started` counts such an exchange once
    pool_closed connections that the client closed because as many were idle as its pool keeps; pool_idle:
                the most that were idle at once in one load worker, counted as each became idle. Both are
                measured if there is a pool
    succeeded   attempts that failed in nothing: each exchange that they began was complete and right, or was
                tried again, and the connection was then closed, as the scenario says or by the server's FIN,
                with however few of its requests (RFC 9112, section 9.3); errors: the others, by `phase:kind`
    in_flight   connections open at the end of the interval
    closes      connections that ended, as the client saw it, by their ending; zeros left out
    server_fin_reset   of those that ended by server_fin, the ones that a RST of the server followed before
                the client had closed: bytes of the client had arrived after the FIN (RFC 1122, 4.2.2.13)
    no_port_ns  the instant of the first failure for want of a port (`tcp.NO_PORT`); None if there was none
    connecting_ns   time spent inside connect(), calls that failed included, over all load workers
    Percentiles are nanoseconds, None where nothing was measured: `connect` from connect() to
    established, `response` from the intended start, `service` from the actual one.
    """

    start_ns: Time
    end_ns: Time
    opened: Count
    connected: Count
    in_flight: Count
    offered: Count | None = None
    started: Count | None = None
    late: Count | None = None
    dropped: Count | None = None
    attempts: Count | None = None
    timed: Count | None = None
    clocked: Count | None = None
    exchanges: Count | None = None
    reads: Count | None = None
    retries: Count | None = None
    pool_closed: Count | None = None
    pool_idle: Count | None = None
    sent_bytes: Count | None = None
    received_bytes: Count | None = None
    succeeded: Count | None = None
    closes: Mapping[Ending, Count] | None = None
    server_fin_reset: Count | None = None
    errors: Mapping[Failure, Count] | None = None
    connect_p50_ns: Count | None = None
    connect_p99_ns: Count | None = None
    response_p50_ns: Count | None = None
    response_p99_ns: Count | None = None
    connecting_ns: Count | None = None
    clocked_wall_ns: Count | None = None
    clocked_cpu_ns: Count | None = None
    no_port_ns: Time | None = None

    @property
    def from_samples(self) -> bool:
        """Whether it was made from samples: no driver has counted its attempts."""
        return self.attempts is None

    @property
    def connect_cpu_ns(self) -> float | None:
        """The mean CPU time of a call of connect(); None if none was clocked."""
        return (
            self.clocked_cpu_ns / self.clocked if self.clocked and self.clocked_cpu_ns is not None else None
        )

    def check(self) -> None:
        """Raise ValueError for what types alone do not say."""
        if self.end_ns < self.start_ns:
            raise ValueError("ends before it begins")


def together(parts: Sequence[Interval], start_ns: int, end_ns: int) -> Interval:
    """What they counted, added up, as one interval of that time: without percentiles, which do not add up."""
    return Interval(
        start_ns=start_ns,
        end_ns=end_ns,
        **dict[str, Any](
            {name: added(*(getattr(part, name) for part in parts)) for name in (*COUNTS, *TIMES)}
        ),
        pool_idle=max((part.pool_idle for part in parts if part.pool_idle is not None), default=None),
        in_flight=parts[-1].in_flight,
        closes=_merged([part.closes for part in parts]),
        errors=_merged([part.errors for part in parts]),
        no_port_ns=min((part.no_port_ns for part in parts if part.no_port_ns is not None), default=None),
    )


def added(*counts: int | None) -> int | None:
    """Their sum; None if one of them was not measured."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _merged(counts: Sequence[Mapping[_K, int] | None]) -> dict[_K, int] | None:
    """Their sum, key by key; None if one of them was not measured."""
    total: Counter[_K] = Counter()
    for one in counts:
        if one is None:
            return None
        total.update(one)
    return dict(total)


Record = Sample | Interval | Event
