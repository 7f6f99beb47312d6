"""Events: what happened once in a variant, one frozen type for each kind.

In a file, and between processes, an event has its kind under `type`.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from loadgen.records.bounds import Count, Time
from loadgen.records.viewpoints import Scope
from loadgen.tcp import Side
from loadgen.wire.messages import GapCause, Message
from loadgen.wire.served import Served

ExitCode = Annotated[int, Meta(ge=-64, le=255)]
"""An exit status, or minus the number of the signal that ended the process."""


class Event(Message, frozen=True):
    """`t_ns` is the time since the variant's origin, the instant its load begins."""

    t_ns: Time

    @property
    def label(self) -> str:
        """Its kind, as a figure writes it."""
        return str(self.__struct_config__.tag).replace("_", " ")


class Origin(Event, frozen=True):
    """The instant that all times count from; `wall_s` is the same in seconds since the epoch."""

    wall_s: float


class LabOpened(Event, frozen=True, tag="lab"):
    """The lab: the addresses of each side, the sysctls in force at each viewpoint, what is sampled (`scope`),
    and what is to be noted about it.
    """

    addresses: Mapping[str, tuple[str, ...]]
    sysctls: Mapping[str, Mapping[str, str]]
    scope: Scope
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for what types alone do not say."""
        if not self.scope.legs:
            raise ValueError("has no leg")


class DriverChosen(Event, frozen=True, tag="driver"):
    """The driver that makes the load; `why` it is another than the one `asked` for, or preferred.

    `lacking`: the preferred one is not available here. Otherwise it would only be slower.
    """

    asked: str
    driver: str
    why: str
    lacking: bool


class Processes(Event, frozen=True):
    """The processes, by their ids, and the cores that they are pinned to; churn may use `cpus` cores.

    workers        those of the server
    driver         the first of the `load_workers`
    """

    workers: tuple[int, ...]
    driver: int
    load_workers: tuple[int, ...]
    cores: Mapping[Side, tuple[int, ...]]
    cpus: Count


class ProxyStarted(Event, frozen=True, tag="proxy"):
    """What stands between client and server: its kind, what it says of its version (empty: nothing), and the
    process that keeps it.
    """

    kind: str
    version: str
    pid: int


class BothWays(Struct, frozen=True, forbid_unknown_fields=True):
    """How many sockets are in TIME-WAIT by sockstat, and by a dump: equal if the shortcut holds.

    If sockstat differed before and after the dump, the dump may be of any instant between: `sockstat` is
    then what is nearest to it between the two readings.
    """

    sockstat: Count
    dump: Count


class SampleCheck(Event, frozen=True):
    """The sampler's shortcut to TIME-WAIT beside a full dump, of the namespace of each viewpoint."""

    viewpoints: Mapping[str, BothWays]


class Gap(Event, frozen=True):
    """`what` was not observed from `t_ns` to `end_ns`."""

    what: str
    end_ns: Time
    cause: GapCause

    @property
    def start_ns(self) -> int:
        return self.t_ns

    def touches(self, start_ns: int, end_ns: int) -> bool:
        return self.start_ns < end_ns and start_ns < self.end_ns


class Interrupted(Event, frozen=True):
    """Somebody asked the run to stop: the load ends early, in order."""


class StageBegan(Event, frozen=True):
    """Stage `number` of the load begins, from 1 on: an open loop's `rate` per second, or how many
    `connections` a closed loop has in flight; the other is None.
    """

    number: Annotated[int, Meta(ge=1, le=1000)]
    rate: float | None
    connections: Count | None

    def __post_init__(self) -> None:
        """Raise ValueError for what types alone do not say."""
        if (self.rate is None) is (self.connections is None):
            raise ValueError("has not one of rate and connections")

    @property
    def label(self) -> str:
        what = f"{self.connections:,} in flight" if self.rate is None else f"{self.rate:,.10g}/s"
        return f"stage {self.number}: {what}"


class LoadEnds(Event, frozen=True):
    """Nothing more is begun."""


class CommandEnded(Event, frozen=True):
    """The load's command ended; `asked`: churn stopped it. `stderr` is the last that it wrote there."""

    code: ExitCode
    asked: bool
    stderr: str


class ServerEnded(Event, frozen=True):
    """The server's command ended, and neither churn nor the script ended it. `stderr` as of a load's."""

    code: ExitCode
    stderr: str


class ProcessDied(Event, frozen=True):
    """A process ended before its time: `what` it was, and `how` it ended, in words."""

    what: str
    how: str
    stderr: str


class WorkerExited(Event, frozen=True):
    """A worker of the server ended before its time."""

    pid: int
    status: ExitCode


class AcceptFailed(Event, frozen=True, tag="accept_error"):
    """A worker of the server could not accept, for this errno name."""

    pid: int
    error: str


class FaultBegan(Event, frozen=True):
    """A fault of the script acts from now on: `do` what, `on` which side, `detail` what more exactly."""

    do: str
    on: Side
    detail: str

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.do, self.on, self.detail)))


class FaultEnded(Event, frozen=True):
    """What a fault did is undone; of a restart, the server was started again and accepts connections."""

    do: str
    on: Side
    detail: str

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.do, self.on, self.detail, "over")))


class FaultFailed(Event, frozen=True):
    """A fault could not act, or a restarted server does not accept connections: `how` it failed, in words."""

    do: str
    on: Side
    how: str

    @property
    def label(self) -> str:
        return f"{self.do} {self.on} failed"


class SegmentsDropped(Event, frozen=True):
    """A drop of the script has dropped so many segments: `what` they were, sent by the side `on`."""

    on: Side
    what: str
    segments: Count


class ServerCounted(Event, frozen=True, tag="served"):
    """What the server counted, over all its workers."""

    counts: Served


class Captured(Event, frozen=True):
    """What is in the variant's capture file, in which nothing more is written.

    connections   the first ones of the load, whose packets it has
    packets       at both sides together
    dropped       packets, of any connection, for which the capture had no room: some of these may be missing
    full          the capture ended early: it had as many packets as it may
    error         why there is no capture; empty where there is one
    """

    connections: Count
    packets: Count
    dropped: Count
    full: bool
    error: str = ""


class Settled(Event, frozen=True):
    """The last sample was taken: the records are complete."""


AnyEvent = (
    Origin
    | LabOpened
    | DriverChosen
    | Processes
    | SampleCheck
    | Gap
    | Interrupted
    | StageBegan
    | LoadEnds
    | CommandEnded
    | ServerEnded
    | ProcessDied
    | WorkerExited
    | AcceptFailed
    | FaultBegan
    | FaultEnded
    | FaultFailed
    | SegmentsDropped
    | ServerCounted
    | ProxyStarted
    | Captured
    | Settled
)
