"""Two looks at the kernel's counters, and what lies between them. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from bench.load import SECOND_NS, Exchange, Load
from loadgen.kernel.process import CpuTime


class Study(StrEnum):
    """What a reading belongs to."""

    SHORT = "short"
    KEPT = "kept"
    SIZE = "size"
    IN_FLIGHT = "in flight"
    WORKERS = "workers"
    TIME_WAIT = "time-wait"


@dataclass(frozen=True, slots=True)
class Look:
    """What the kernel says at one instant; all of it cumulative.

    opened      the server side's PassiveOpens
    requested   the client side's TCPOrigDataSent: segments with data, or a FIN, sent for the first time.
                A request fits one segment, so between two looks at kept connections these are the
                exchanges, whatever the size of a response.
    client, server   CPU time of the processes
    """

    t_ns: int
    opened: int
    requested: int
    client: CpuTime
    server: CpuTime


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two looks."""

    exchange: Exchange
    before: Look
    after: Look

    @property
    def elapsed_ns(self) -> int:
        return self.after.t_ns - self.before.t_ns

    @property
    def count(self) -> int:
        """Connections where they are short, exchanges where they are kept."""
        if self.exchange is Exchange.SHORT:
            return self.after.opened - self.before.opened
        return self.after.requested - self.before.requested

    @property
    def per_s(self) -> float:
        return self.count * SECOND_NS / self.elapsed_ns

    @property
    def user_us(self) -> float | None:
        """The client's CPU time in user space for each, in microseconds; None where there was none."""
        spent_ns = self.after.client.user_ns - self.before.client.user_ns
        return spent_ns / 1000 / self.count if self.count else None

    @property
    def system_us(self) -> float | None:
        spent_ns = self.after.client.system_ns - self.before.client.system_ns
        return spent_ns / 1000 / self.count if self.count else None

    @property
    def client_share(self) -> float:
        """The part of a core that the client used."""
        return _spent_ns(self.before.client, self.after.client) / self.elapsed_ns

    @property
    def server_share(self) -> float:
        """The part of a core that the server used."""
        return _spent_ns(self.before.server, self.after.server) / self.elapsed_ns


def _spent_ns(before: CpuTime, after: CpuTime) -> int:
    return after.user_ns + after.system_ns - before.user_ns - before.system_ns


def agreement(exchange: Exchange, own: int | None, begun: Look, ended: Look) -> float | None:
    """A tool's own count of responses over the kernel's, both from its first connection to its last.

    A connection's FIN counts as a segment with data and is taken off. Below 1 by what was in flight
    when the tool stopped counting.
    """
    opened = ended.opened - begun.opened
    kernel = opened if exchange is Exchange.SHORT else ended.requested - begun.requested - opened
    return own / kernel if own is not None and kernel > 0 else None


@dataclass(frozen=True, slots=True)
class Reading:
    """One tool under one load, measured once.

    per_s        what the kernel counted: connections, or exchanges where they are kept
    user_us, system_us    the client's CPU time for each. Packets that the kernel handles on an
                 interrupt's behalf are nobody's, so this is less than the core spends.
    client_share, server_share   parts of a core that they used. A server near 1 was the limit; where both
                 are low others were at work, and the rate is worth little.
    peak_kib     the most memory that the client had (VmHWM, summed over its processes)
    agreement    the tool's own count over the kernel's; None where it does not tell
    held         TIME-WAITs on the client's side before it began; on the `same_path` or towards others
    """

    study: Study
    tool: str
    load: Load
    round: int
    per_s: float
    user_us: float | None
    system_us: float | None
    client_share: float
    server_share: float
    peak_kib: int
    agreement: float | None
    held: int = 0
    same_path: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A measurement that could not be had, and why."""

    study: str
    tool: str
    what: str
    why: str
