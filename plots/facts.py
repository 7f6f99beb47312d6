"""What a figure states beside the curves: a variant and its summary, in the words and units of figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen.analysis.claims import JudgedClaim, judge
from loadgen.analysis.reread import Asked
from loadgen.analysis.summary import VariantSummary
from loadgen.records.info import Status
from loadgen.records.prediction import Prediction
from loadgen.scenario.choices import ApplicationProtocol, Read
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Side


@dataclass(frozen=True, slots=True)
class Run:
    """What all variants of a run have in common."""

    id: str
    title: str
    question: str
    status: Status
    quick: bool
    kernel: str
    churn: str
    claims: str = ""
    """The verdicts on the scenario's claims; empty if it decides none."""

    @property
    def broken_off(self) -> bool:
        """Whether the run ended too early and recorded that; one that was killed is still `running`."""
        return self.status in (Status.INTERRUPTED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one variant; None if it was not predicted, or not measured.

    `ports` are all that the client has, `knee_ports` (None if no fall is predicted) and `ceiling_per_s` the
    model's prediction; `asked_sysctls` are those that the scenario sets on each side, by the last part of
    their names; `metrics` and the `measured_` ones are the summary's. `invalid` and `caveats` are causes, in
    words.
    """

    run: Run
    variant: str
    headline: str
    connection: str
    load: str
    kept: int | None
    """How many connections a closed loop keeps for more requests than one; None if it keeps none."""
    ports: int
    knee_ports: int | None
    asked_sysctls: Mapping[str, Mapping[str, str]]
    ceiling_per_s: float | None
    metrics: Mapping[str, float]
    invalid: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def measured_knee_ports(self) -> float | None:
        """At the knee, if the rate fell there."""
        return self.metrics.get("knee.ports") if self._falls else None

    @property
    def measured_knee_s(self) -> float | None:
        return self._seconds("knee.time_ns") if self._falls else None

    @property
    def measured_slow_ports(self) -> float | None:
        """At the knee, if connect() alone shows it."""
        return None if self._falls else self.metrics.get("knee.ports")

    @property
    def measured_slow_s(self) -> float | None:
        return None if self._falls else self._seconds("knee.time_ns")

    @property
    def _falls(self) -> bool:
        """Whether the rate fell at the knee."""
        return bool(self.metrics.get("knee.rate_falls"))

    @property
    def measured_exhaustion_s(self) -> float | None:
        return self._seconds("exhaustion.time_ns")

    def _seconds(self, name: str) -> float | None:
        return self.metrics[name] / 1e9 if name in self.metrics else None

    @property
    def configuration(self) -> str:
        return "; ".join(part for part in (self.connection, self.load) if part)


def run_of(run_id: str, asked: Asked, summaries: Sequence[VariantSummary] = ()) -> Run:
    """The facts of a run, from its run.json, and the verdicts on its claims."""
    info, scenario = asked.info, asked.scenario
    return Run(
        id=run_id,
        title=scenario.title,
        question=scenario.question,
        status=info.status,
        quick=info.quick,
        kernel=info.environment.kernel,
        churn=info.environment.churn,
        claims=_verdicts(judge(scenario.claims, summaries)),
    )


def _verdicts(claims: Sequence[JudgedClaim]) -> str:
    """The claims by their verdicts, on a line."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        expected = "" if claim.as_expected else f" (expected: {claim.expected})"
        found.setdefault(f"{claim.verdict}{expected}", []).append(claim.claim)
    return "; ".join(f"{', '.join(those)} {verdict}" for verdict, those in found.items())


def facts_of(run: Run, variant: Variant, prediction: Prediction, summary: VariantSummary | None) -> Facts:
    """The facts of a variant; None for the summary of one that recorded nothing."""
    caveats, lab = summary.caveats if summary else (), variant.lab.sysctl
    return Facts(
        run=run,
        variant=variant.name,
        headline=summary.verdict if summary else "Nothing was recorded",
        connection=_connection(variant),
        load=_load(variant),
        kept=_kept(variant),
        ports=prediction.ports,
        knee_ports=prediction.knee_ports if prediction.rate_falls else None,
        asked_sysctls={
            side: {name.rpartition(".")[2]: value for name, value in asked.items()}
            for side, asked in ((Side.CLIENT, lab.client), (Side.SERVER, lab.server))
            if asked
        },
        ceiling_per_s=prediction.ceiling_per_s,
        metrics=summary.metrics if summary else {},
        invalid=tuple(caveat.cause for caveat in caveats if caveat.invalidates),
        caveats=tuple(caveat.cause for caveat in caveats if not caveat.invalidates),
    )


def _connection(variant: Variant) -> str:
    """Who closes, how, and after how many requests; and how ports are taken, if the scenario says so."""
    connection = variant.connection
    requests = f"{connection.requests} request{'' if connection.requests == 1 else 's'} per connection"
    closing = f"{connection.closer} closes by {connection.close.upper()}"
    if connection.read is not Read.ALL:
        closing = f"client reads {'the headers' if connection.read is Read.HEADERS else 'nothing'} and closes"
    # A program does not read the scenario: what it sends, and how it closes, is not known from it.
    spoken = "raw TCP" if connection.protocol is ApplicationProtocol.RAW else f"HTTP/{connection.http}"
    own = "" if variant.load.program else f"{closing}, {requests}, {spoken}"
    proxy = variant.proxy
    through = "" if proxy is None else f"through {proxy.kind} (keep {proxy.keep})"
    client = variant.lab.client
    bind = f"bind: {client.bind}" if client.bind else ""
    ports = f"{client.local_port_range} a socket's own" if client.local_port_range else ""
    return ", ".join(part for part in (own, through, bind, ports) if part)


def _kept(variant: Variant) -> int | None:
    closed = None if variant.load.program else variant.load.closed_loop
    return closed.connections if closed and variant.connection.requests > 1 else None


def _load(variant: Variant) -> str:
    if variant.load.program:
        return f"load by {variant.load.program}"
    loop = variant.load.loop
    if variant.load.stages:
        return f"{'open' if isinstance(loop, OpenLoop) else 'closed'} loop in stages: {variant.load.staged}"
    if isinstance(loop, OpenLoop):
        bursts = f" in bursts of {loop.burst}" if loop.burst else ""
        pool = f", pool of {variant.load.pool.idle}" if variant.load.pool else ""
        return f"open loop, {loop.rate} offered{bursts}{pool}"
    return f"closed loop, {loop.connections} in flight"
