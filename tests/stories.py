"""Made-up runs: records and documents as a real one would leave them, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.findings.finding import Rank
from loadgen.analysis.findings.pace import PACE
from loadgen.analysis.headline import headline
from loadgen.analysis.reread import Asked, reread
from loadgen.analysis.summary import VariantSummary
from loadgen.records.directory import RunDirectory
from loadgen.records.events import Event, LabOpened, LoadEnds, Origin
from loadgen.records.info import Asked as AskedVariant
from loadgen.records.info import Info, Status
from loadgen.records.prediction import Prediction
from loadgen.records.types import Interval, Record, Sample, ViewpointSample
from loadgen.records.viewpoints import APART
from loadgen.scenario.document import Scenario
from loadgen.scenario.schema import resolved
from loadgen.tcp import Failure, Fault, Phase, Side, State
from loadgen.text.numbers import significant
from plots.columns import Columns, columns_of
from plots.facts import Facts, facts_of, run_of
from plots.figures import draw
from tests.made_records import driven, finding, made_info, unknown_prediction

S = 1_000_000_000
PORTS, KNEE = 28_232, 14_116
NO_PORT = Failure(Phase.CONNECT, "EADDRNOTAVAIL")
SYSCTLS = {
    "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_max_tw_buckets": "131072",
}
"""As the kernel writes them."""


@dataclass(frozen=True)
class Story:
    """A made-up variant: its records, and what the run's documents say of it."""

    records: Sequence[Record]
    connection: Mapping[str, Any] = field(
        default_factory=lambda: {"http": "1.0", "requests": 1, "closer": "client", "close": "fin"}
    )
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    caveats: Sequence[Caveat] = ()
    ceiling: float | None = None
    knee: int | None = None


def sample(t_ns: int, client: Mapping[State, int], server: Mapping[State, int], ports: int) -> Sample:
    viewpoints = {
        Side.CLIENT: ViewpointSample(client, ports, {}, 0, 0),
        Side.SERVER: ViewpointSample({State.LISTEN: 1, **server}, None, {}, 0, 0),
    }
    return Sample(t_ns, 400_000, False, viewpoints, 0)


def load_events(end_s: float | None) -> list[Event]:
    lab = LabOpened(-S // 2, {}, dict.fromkeys(Side, SYSCTLS), APART)
    ends = [] if end_s is None else [LoadEnds(round(end_s * S))]
    return [lab, Origin(0, 1_795_000_000.0), *ends]


def client_closes(duration_s: float = 25.0, ends: bool = True) -> Story:
    """The http10 story: fast until half of the ports are in TIME-WAIT, a crawl, then nothing (K8)."""
    noise = np.random.default_rng(1)
    records: list[Record] = []
    held = 0.0
    step = S // 10
    for t_ns in range(-5 * step, round(duration_s * S), step):
        waiting = round(held)
        records.append(
            sample(
                t_ns + int(noise.integers(0, step // 20)),
                {
                    State.TIME_WAIT: waiting,
                    State.ESTABLISHED: 0 if t_ns < 0 else 12,
                    State.SYN_SENT: t_ns % 3,
                },
                {State.ESTABLISHED: 0 if t_ns < 0 else 14, State.LAST_ACK: int(noise.integers(0, 5))},
                waiting + 12 if waiting else 0,
            )
        )
        if t_ns < 0:
            continue
        opened = min(17_200 * noise.normal(1, 0.02) / 10, max(KNEE - held, 0))
        opened += (1 - opened / 1_720) * 64 * noise.normal(1, 0.05) if held + opened >= KNEE else 0
        opened = min(opened, PORTS - held)
        held += opened
        failed = round(28 * noise.normal(1, 0.1)) if held >= PORTS else 0
        done = round(opened)
        fast = held < KNEE
        p50 = 90_000 if fast else 1_450_000
        records.append(
            driven(
                t_ns,
                t_ns + step,
                offered=done + failed,
                started=done + failed,
                attempts=done + failed,
                opened=done,
                connected=done,
                timed=done,
                exchanges=done,
                succeeded=done,
                in_flight=64,
                errors={NO_PORT: failed} if failed else {},
                connect_p50_ns=round(p50 * noise.normal(1, 0.05)) if done else None,
                connect_p99_ns=round(4 * p50 * noise.normal(1, 0.1)) if done else None,
            )
        )
    for t_ns in range(round(duration_s * S), round((duration_s + 1) * S), step) if ends else ():
        records.append(sample(t_ns, {State.TIME_WAIT: round(held)}, {}, round(held)))
    return Story(
        [*load_events(duration_s if ends else None), *records],
        metrics={
            "client.ports": PORTS,
            "knee.ports": 14_131,
            "knee.time_ns": 0.85e9,
            "knee.rate_falls": 1,
            "knee.rate_before": 17_200,
            "knee.rate_after": 640,
            "exhaustion.time_ns": 22.5e9,
            "rate.mean": 1130.0,
        },
        ceiling=PORTS / 61,
        knee=KNEE,
    )


def server_closes(duration_s: float = 25.0, per_s: int = 20_100) -> Story:
    """Nothing slows down: the server's TIME-WAITs level off at half of the client's ports (K8, K13)."""
    noise = np.random.default_rng(2)
    records: list[Record] = []
    step = S // 10
    for t_ns in range(-5 * step, round((duration_s + 1) * S), step):
        loaded = 0 <= t_ns < duration_s * S
        waiting = min(round(max(t_ns, 0) / S * per_s), KNEE)
        client = {State.ESTABLISHED: 20, State.CLOSE_WAIT: 3} if loaded else {}
        server = {State.TIME_WAIT: waiting, State.ESTABLISHED: 30, State.FIN_WAIT_2: 2}
        records.append(sample(t_ns, client, server, 64 if loaded else 0))
        if loaded:
            n = round(per_s / 10 * noise.normal(1, 0.03))
            records.append(
                driven(
                    t_ns,
                    t_ns + step,
                    offered=n,
                    started=n,
                    attempts=n,
                    opened=n,
                    connected=n,
                    timed=n,
                    exchanges=n,
                    succeeded=n,
                    in_flight=64,
                    connect_p50_ns=80_000,
                    connect_p99_ns=round(310_000 * noise.normal(1, 0.1)),
                )
            )
    cut = driven(
        round(duration_s * S), round((duration_s + 0.05) * S), errors={Failure(Phase.RECEIVE, Fault.CUT): 64}
    )
    connection = {"http": "1.0", "requests": 1, "closer": "server", "close": "fin"}
    return Story([*load_events(duration_s), *records, cut], connection, {"client.ports": PORTS})


def kept(closer: str, duration_s: float = 25.0) -> Story:
    """A hundred requests a connection: many exchanges, few closes."""
    noise = np.random.default_rng(3)
    records: list[Record] = []
    step = S // 10
    for t_ns in range(-5 * step, round((duration_s + 1) * S), step):
        waiting = round(max(min(t_ns / S, duration_s), 0) * 380)
        busy = {State.ESTABLISHED: 64} if 0 <= t_ns < duration_s * S else {}
        waits = {State.TIME_WAIT: waiting, **busy}
        client, server = (waits, busy) if closer == "client" else (busy, waits)
        records.append(sample(t_ns, client, server, waiting + 64 if closer == "client" else 64))
        if 0 <= t_ns < duration_s * S:
            n = round(38 * noise.normal(1, 0.1))
            records.append(
                driven(
                    t_ns,
                    t_ns + step,
                    offered=100 * n,
                    started=100 * n,
                    attempts=n,
                    opened=n,
                    connected=n,
                    timed=n,
                    exchanges=100 * n,
                    succeeded=n,
                    in_flight=64,
                    connect_p50_ns=120_000,
                    connect_p99_ns=round(900_000 * noise.normal(1, 0.3)),
                )
            )
    connection = {"http": "1.1", "requests": 100, "closer": closer, "close": "fin"}
    return Story(
        [*load_events(duration_s), *records],
        connection,
        {"client.ports": PORTS},
        ceiling=PORTS / 61 if closer == "client" else None,
        knee=KNEE if closer == "client" else None,
    )


def http10() -> dict[str, Story]:
    return {
        "short-server-closes": server_closes(),
        "short-client-closes": client_closes(),
        "kept-server-closes": kept("server"),
        "kept-client-closes": kept("client"),
    }


def scenario_of(stories: Mapping[str, Story]) -> Scenario:
    load = {"closed_loop": {"connections": 64}, "duration": "25s"}
    return Scenario.model_validate(
        {
            "title": "HTTP/1.0: who closes first pays",
            "question": "Which side collects TIME-WAIT, and what does that do to throughput?",
            "variants": [
                {"name": name, "connection": story.connection, "load": load}
                for name, story in stories.items()
            ],
        }
    )


def prediction_of(story: Story) -> Prediction:
    """What the model is made to expect: nothing but the story's knee and ceiling."""
    return replace(
        unknown_prediction(PORTS), knee_ports=story.knee, rate_falls=True, ceiling_per_s=story.ceiling
    )


def asked_for(stories: Mapping[str, Story], **info: Any) -> Asked:
    predictions = {name: prediction_of(story) for name, story in stories.items()}
    return Asked(info_of(stories, **info), scenario_of(stories), predictions)


def info_of(stories: Mapping[str, Story], quick: bool = False, status: Status = Status.FINISHED) -> Info:
    return made_info(
        status=status,
        quick=quick,
        scenario=resolved(scenario_of(stories)),
        variants={name: AskedVariant(prediction_of(story)) for name, story in stories.items()},
    )


def summary_of(name: str, story: Story) -> VariantSummary:
    """The summary that a story is made to have."""
    per_s = story.metrics.get("rate.mean")
    findings = [] if per_s is None else [finding(PACE, Rank.PACE, f"{significant(per_s)} connections/s")]
    return VariantSummary(
        name=name,
        metrics={**story.metrics},
        audit=(),
        caveats=story.caveats,
        expectations=(),
        compared=(),
        errors={},
        reasons={},
        verdict=headline(story.metrics, findings),
        findings=findings,
        states=(),
    )


def facts_in(stories: Mapping[str, Story], **info: Any) -> dict[str, Facts]:
    """The facts of each story, of one run."""
    asked = asked_for(stories, **info)
    run = run_of("20261120T213005Z-http10", asked)
    return {
        variant.name: facts_of(
            run, variant, asked.predictions[variant.name], summary_of(variant.name, stories[variant.name])
        )
        for variant in asked.scenario.variants
    }


def written(directory: Path, stories: Mapping[str, Story], quick: bool = False) -> RunDirectory:
    """The stories as a run directory, through the writer that a real run uses."""
    run = RunDirectory(directory / "20261120T213005Z-http10")
    run.path.mkdir(parents=True)
    run.write_info(info_of(stories, quick))
    for name, story in stories.items():
        with run.writer(name) as writer:
            for record in story.records:
                writer.append(record)
    return run


def t_of(record: Record) -> int:
    return record.start_ns if isinstance(record, Interval) else record.t_ns


def told(story: Story, name: str = "short-client-closes", **info: Any) -> tuple[Columns, Facts]:
    return columns_of(story.records), facts_in({name: story}, **info)[name]


def drawn(run: RunDirectory, *only: str) -> list[Path]:
    """The figures of a run, or some of them, from its records."""
    return draw(run, reread(run).summaries, only=only)
