"""What a run leaves behind: the record types and their JSON lines.

Times are nanoseconds on CLOCK_MONOTONIC since the variant's origin,
the instant its load begins; what happens before is negative.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, cast

from loadgen.tcp import Failure, Side, State

SCHEMA_VERSION = 1
"""Version of every file in a run directory; a reader refuses what it does not know."""


@dataclass(frozen=True, slots=True)
class SideSample:
    """The TCP state of one side at one instant.

    `states` counts sockets by state, zeros left out, TIME-WAIT included. `ports_held` counts the
    client's sockets (TIME-WAIT too) on ephemeral ports; it is 0 for a server. `counters` are the
    kernel's own, cumulative since the namespace was made, under the kernel's names. `cpu_user_ns`
    and `cpu_system_ns` are those of the side's processes, cumulative; `workers_cpu_ns` both together
    of each of them, in the order of the event `processes`, and `workers_wait_ns` the time that each was
    ready to run and had no core. Empty where they are not known one by one.

    `states_age_ns` is how long before this sample the states were read, TIME-WAIT apart: 0 but where
    reading is dear, because there are many sockets to walk over (`loadgen.sampler.DUMP_SHARE`).
    """

    states: Mapping[State, int]
    ports_held: int
    counters: Mapping[str, int]
    cpu_user_ns: int
    cpu_system_ns: int
    workers_cpu_ns: tuple[int, ...] = ()
    workers_wait_ns: tuple[int, ...] = ()
    states_age_ns: int = 0

    def count(self, state: State) -> int:
        return self.states.get(state, 0)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SideSample":
        parsed: dict[str, Any] = {**data}
        parsed["states"] = {State(name): count for name, count in data["states"].items()}
        for name in ("workers_cpu_ns", "workers_wait_ns"):
            parsed[name] = tuple(data.get(name, ()))
        return cls(**parsed)


@dataclass(frozen=True, slots=True)
class Sample:
    """Both sides at one instant: `t_ns` is when reading began, `cost_ns` how long it took.

    `late` tells that reading began more than half a period after it was due, or that instants before it were
    missed, which `missed` counts. `full` tells that TIME-WAIT was counted socket by
    socket (slow, K20) and not taken from sockstat (K17).
    `softnet_dropped` is host-wide and cumulative (K26).
    """

    t_ns: int
    cost_ns: int
    late: bool
    full: bool
    sides: Mapping[Side, SideSample]
    softnet_dropped: int
    missed: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Sample":
        parsed: dict[str, Any] = {**data}
        parsed["sides"] = {Side(name): SideSample.from_json(side) for name, side in data["sides"].items()}
        return cls(**parsed)


COUNTS = (
    "offered",
    "started",
    "late",
    "dropped",
    "attempts",
    "opened",
    "connected",
    "timed",
    "exchanges",
    "succeeded",
)
"""The fields of an `Interval` that count what happened in it, and so add up."""


@dataclass(frozen=True, slots=True)
class Closes:
    """Connections that ended, by who ended them first and how, as the client saw it."""

    client_fin: int = 0
    client_rst: int = 0
    server_fin: int = 0
    server_rst: int = 0

    @property
    def total(self) -> int:
        return self.client_fin + self.client_rst + self.server_fin + self.server_rst


@dataclass(frozen=True, slots=True)
class Interval:
    """What the load workers counted between two instants, 100 ms apart unless one was held up.

    A command does not tell what it counts. Where it drives, the interval lies between two samples and
    is `by_kernel`: opened, connected, closes and in_flight are the kernel's, all else is 0 and unknown.

    offered     requests whose intended start fell into the interval
    started     of those and earlier ones, the requests actually begun
    late        starts later than the scenario's bound; dropped: starts given up
    attempts    tries to connect that began; opened: those that sent a SYN;
    connected   those that were established; timed: of these, the ones whose connect() was timed: all,
                but for the uring driver, which times one in 10 ms
    exchanges   responses that were complete and right
    succeeded   attempts that failed in nothing: each exchange that they began was complete and right, and the
                connection was then closed, as the scenario says or by the server's FIN, with however few
                of its requests (RFC 9112, section 9.3); errors: the others, by `phase:kind`
    in_flight   connections open at the end of the interval
    connecting_ns   time spent inside connect(), calls that failed included, over all load workers; None
                where it is not measured
    Percentiles are nanoseconds, None where nothing was measured: `connect` from connect() to
    established, `response` from the intended start, `service` from the actual one.
    """

    start_ns: int
    end_ns: int
    offered: int = 0
    started: int = 0
    late: int = 0
    dropped: int = 0
    attempts: int = 0
    opened: int = 0
    connected: int = 0
    timed: int = 0
    exchanges: int = 0
    succeeded: int = 0
    in_flight: int = 0
    closes: Closes = Closes()
    errors: Mapping[Failure, int] = field(default_factory=dict[Failure, int])
    connect_p50_ns: int | None = None
    connect_p99_ns: int | None = None
    response_p50_ns: int | None = None
    response_p99_ns: int | None = None
    connecting_ns: int | None = None
    by_kernel: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Interval":
        parsed: dict[str, Any] = {**data}
        parsed["closes"] = Closes(**data["closes"])
        parsed["errors"] = {Failure.parse(text): count for text, count in data["errors"].items()}
        return cls(**parsed)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once: `lab`, `processes`, `load_ends`, `interrupted`, `process_died`..."""

    t_ns: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Event":
        return cls(**data)


ORIGIN = "origin"
"""The event that all times count from; its `wall_s` is that instant in seconds since the epoch."""

Record = Sample | Interval | Event


def to_json(record: Record) -> str:
    """One record as one JSON line, without its newline."""
    return json.dumps(plain(record), separators=(",", ":"))


def plain(value: Any) -> Any:
    """A record as what JSON knows: objects by their fields, dict keys by their text."""
    match value:
        case Failure():
            return str(value)
        case dict():
            items = cast(dict[Any, Any], value)
            return {str(key): plain(item) for key, item in items.items()}
        case list() | tuple():
            return [plain(item) for item in cast(list[Any], value)]
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
