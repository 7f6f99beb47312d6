"""Records and variants made by hand, for tests of what is computed from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadgen.records.events import BothWays, Event, Gap, LoadEnds, SampleCheck, Settled
from loadgen.records.types import COUNTS, Interval, Sample, SideSample
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.messages import GapCause

S = 1_000_000_000
STEP = S // 10
NO_PORT = Failure(Phase.CONNECT, "EADDRNOTAVAIL")
TIMEOUT = Failure(Phase.RECEIVE, Fault.TIMEOUT)
COUNTERS = (
    *("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets"),
    *("TW", "TWKilled", "TCPTimeWaitOverflow", "TCPAbortOnData", "TCPAbortOnClose"),
)


def variant(**parts: Any) -> Variant:
    """A variant as a scenario's keys say, all else being the defaults."""
    return Variant.model_validate({"name": "main", **parts})


def side(
    states: Mapping[State, int] | None = None,
    ports_held: int = 0,
    cpu_ns: int = 0,
    counters: Mapping[str, int] | None = None,
    workers: Sequence[tuple[int, int]] = (),
) -> SideSample:
    """A side that has counted `counters`, and nothing of the audit's others. `workers` have used and have
    waited for so much of their cores, in ns: its CPU time is theirs."""
    return SideSample(
        states or {},
        ports_held,
        {**dict.fromkeys(COUNTERS, 0), **(counters or {})},
        cpu_ns + sum(used for used, _ in workers),
        0,
        tuple(used for used, _ in workers),
        tuple(waited for _, waited in workers),
    )


def sample(
    t_ns: int, client: SideSample | None = None, server: SideSample | None = None, **told: Any
) -> Sample:
    values: dict[str, Any] = {"cost_ns": 400_000, "late": False, "full": False, "softnet_dropped": 0, **told}
    return Sample(t_ns=t_ns, sides={Side.CLIENT: client or side(), Side.SERVER: server or side()}, **values)


def driven(start_ns: int, end_ns: int, **counted: Any) -> Interval:
    """An interval as a driver has counted it: nothing but these."""
    values: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "in_flight": 0, "closes": {}, "errors": {}}
    return Interval(start_ns, end_ns, **{**values, **counted})


def from_samples(one: Interval) -> Interval:
    """The same interval as samples show it, if a command has made the load."""
    kernels = ("opened", "connected", "in_flight", "closes")
    return Interval(one.start_ns, one.end_ns, **{name: getattr(one, name) for name in kernels})


def interval(index: int, connected: int = 0, **told: Any) -> Interval:
    """The interval of 100 ms that begins at `index` of them, with `connected` connections of one exchange."""
    values: dict[str, Any] = {
        **dict.fromkeys(("offered", "started", "attempts", "opened", "exchanges", "succeeded"), connected),
        "closes": {Ending.CLIENT_FIN: connected},
        **told,
    }
    return driven(index * STEP, (index + 1) * STEP, connected=connected, **values)


def gap(what: str, start_ns: int, end_ns: int, cause: GapCause = GapCause.HELD_UP) -> Gap:
    return Gap(start_ns, what, end_ns, cause)


def ended(t_ns: int) -> list[Event]:
    """What tells that a variant came to its end: the load's, and the sampler's."""
    counted = BothWays(sockstat=0, dump=0)
    return [
        LoadEnds(t_ns),
        SampleCheck(t_ns + STEP, dict.fromkeys(Side, counted)),
        Settled(t_ns + STEP),
    ]
