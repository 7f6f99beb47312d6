"""Records and variants made by hand, for tests of what is computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from msgspec.structs import replace

from loadgen.analysis.counts import LegCounts
from loadgen.analysis.findings.finding import Finding, FindingKind, Rank
from loadgen.lab.topology import client_server_lab
from loadgen.records.events import BothWays, Event, Gap, LabOpened, LoadEnds, SampleCheck, Settled
from loadgen.records.info import Asked, Environment, Info, Status
from loadgen.records.prediction import Prediction
from loadgen.records.types import COUNTS, Interval, Sample, ViewpointSample
from loadgen.records.viewpoints import APART, Scope
from loadgen.scenario.choices import Topology
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending, Failure, Fault, Phase, Side, State
from loadgen.wire.messages import GapCause

S = 1_000_000_000
STEP = S // 10
NO_PORT = Failure(Phase.CONNECT, "EADDRNOTAVAIL")
TIMEOUT = Failure(Phase.RECEIVE, Fault.TIMEOUT)
COUNTERS = (
    "TCPAbortOnTimeout",
    "EmbryonicRsts",
    *("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets"),
    *("TW", "TWKilled", "TCPTimeWaitOverflow", "TCPAbortOnData", "TCPAbortOnClose"),
)


def variant(**parts: Any) -> Variant:
    """A variant as a scenario's keys say, all else being the defaults."""
    return Variant.model_validate({"name": "main", **parts})


def unknown_prediction(ports: int = 28_232) -> Prediction:
    """Of this many ports, nothing else is predicted."""
    unknown = {field.name: None for field in fields(Prediction) if field.default is MISSING}
    return Prediction(**{**unknown, "ports": ports, "rate_assumed": False, "assumptions": ()})


def made_info(*variants: str, **known: Any) -> Info:
    """run.json of a run of these variants, of which nothing is predicted."""
    values: dict[str, Any] = {
        "id": "20261120T213005Z-http10",
        "status": Status.FINISHED,
        "started_at": "2026-11-20T21:30:05Z",
        "quick": False,
        "scenario": {},
        "environment": Environment("0.1.0", "6.18.5", "x86_64", "3.12.3", 2, 1000, (1024, 4096), {}),
        "variants": dict.fromkeys(variants, Asked(unknown_prediction())),
    }
    return Info(**{**values, **known})


def side(
    states: Mapping[State, int] | None = None,
    ports_held: int = 0,
    cpu_ns: int = 0,
    counters: Mapping[str, int] | None = None,
    workers: Sequence[tuple[int, int]] = (),
) -> ViewpointSample:
    """A viewpoint that has counted `counters`, and nothing of the audit's others. `workers` have used and
    have waited for so much of their cores, in ns: its CPU time is theirs."""
    return ViewpointSample(
        states or {},
        ports_held,
        {**dict.fromkeys(COUNTERS, 0), **(counters or {})},
        cpu_ns + sum(used for used, _ in workers),
        0,
        tuple(used for used, _ in workers),
        tuple(waited for _, waited in workers),
    )


def sample(
    t_ns: int, client: ViewpointSample | None = None, server: ViewpointSample | None = None, **told: Any
) -> Sample:
    values: dict[str, Any] = {"cost_ns": 400_000, "late": False, "softnet_dropped": 0, **told}
    uncounted = replace(server or side(), ports_held=None)
    viewpoints = {"client": client or side(), "server": uncounted}
    return Sample(t_ns=t_ns, viewpoints=viewpoints, **values)


SHARED = client_server_lab(Topology.LOOPBACK, port=8080).scope
"""A client and a server in one namespace."""


def opened(scope: Scope) -> LabOpened:
    """The event of a lab, as far as it says what is sampled."""
    return LabOpened(0, {}, {name: {} for name in scope.names}, scope)


def ends(kernel: Mapping[str, Mapping[str, int]], *, shared: bool) -> LegCounts:
    """The counters of the client and the server, by name, as the ends of a leg."""
    return LegCounts(APART.leg, kernel["client"], kernel["server"], shared)


def driven(start_ns: int, end_ns: int, **counted: Any) -> Interval:
    """An interval as a driver has counted it: nothing but these."""
    values: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "in_flight": 0, "closes": {}, "errors": {}}
    return Interval(start_ns, end_ns, **{**values, **counted})


def from_samples(one: Interval) -> Interval:
    """The same interval as samples show it, if a command has made the load."""
    kernels = ("opened", "connected", "in_flight")
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


def finding(kind: FindingKind, rank: Rank, sentence: str, **numbers: float) -> Finding:
    """A finding of the client, by its sentence and its numbers alone."""
    return Finding(
        kind=kind,
        rank=rank,
        viewpoint="client",
        sentence=sentence,
        numbers=numbers,
        evidence=(),
        observed=True,
    )
