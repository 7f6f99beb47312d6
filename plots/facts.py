"""What a figure says beside the curves: one variant's facts, from run.json and summary.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from loadgen.records.directory import Status

Document = Mapping[str, Any]
_NOTHING: Document = {}


@dataclass(frozen=True, slots=True)
class Run:
    """What all variants of a run have in common."""

    id: str
    title: str
    question: str
    status: str
    quick: bool
    kernel: str
    churn: str

    @property
    def broken_off(self) -> bool:
        """Whether the run ended before its time, and knew it: a killed one is still `running`."""
        return self.status in (Status.INTERRUPTED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one variant; None where it was not predicted, or not measured.

    `ports` are all that the client has, `knee_ports` and `ceiling_per_s` the model's prediction;
    the `measured_` ones come from the summary. `invalid` and `caveats` are causes, in words.
    """

    run: Run
    variant: str
    connection: str
    load: str
    kept: int | None
    """How many connections a closed loop keeps for more requests than one; None where it keeps none."""
    ports: float | None
    knee_ports: float | None
    ceiling_per_s: float | None
    measured_knee_ports: float | None
    measured_knee_s: float | None
    measured_rates: tuple[float, float] | None
    """Connections per second before the knee and after it."""
    measured_mean: float | None
    measured_exchanges: float | None
    """Connections and exchanges per second over the whole load; a command does not tell of exchanges."""
    measured_exhaustion_s: float | None
    invalid: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def configuration(self) -> str:
        return "; ".join(part for part in (self.connection, self.load) if part)


def run_of(run_id: str, info: Document) -> Run:
    """The facts of a run from its run.json."""
    scenario, environment = info.get("scenario", {}), info.get("environment", {})
    return Run(
        id=run_id,
        title=scenario.get("title") or run_id,
        question=scenario.get("question") or "",
        status=info.get("status", ""),
        quick=bool(info.get("quick")),
        kernel=str(environment.get("kernel", "")),
        churn=str(environment.get("churn", "")),
    )


def facts_of(run: Run, variant: str, info: Document, summary: Document) -> Facts:
    """The facts of a variant. `summary` is empty where none was made."""
    asked: Document = info.get("scenario") or {}
    variants: list[Document] = asked.get("variants") or []
    scenario: Document = next((one for one in variants if one.get("name") == variant), _NOTHING)
    prediction: Document = info.get("variants", {}).get(variant, {}).get("prediction") or {}
    outcome = summary.get("variants", {}).get(variant, {})
    metrics = outcome.get("metrics", {})
    caveats: list[Document] = outcome.get("caveats", [])
    ports = _number(prediction.get("ports"))
    return Facts(
        run=run,
        variant=variant,
        connection=_connection(scenario.get("connection", {})),
        load=_load(scenario.get("load", {})),
        kept=_kept(scenario),
        ports=_number(metrics.get("client.ports")) if ports is None else ports,
        knee_ports=_number(prediction.get("knee_ports")),
        ceiling_per_s=_number(prediction.get("ceiling_per_s")),
        measured_knee_ports=_number(metrics.get("knee.ports")),
        measured_knee_s=_seconds(metrics.get("knee.time_ns")),
        measured_rates=_pair(metrics.get("knee.rate_before"), metrics.get("knee.rate_after")),
        measured_mean=_number(metrics.get("rate.mean")),
        measured_exchanges=_number(metrics.get("rate.requests")),
        measured_exhaustion_s=_seconds(metrics.get("exhaustion.time_ns")),
        invalid=tuple(str(caveat["cause"]) for caveat in caveats if caveat.get("invalidates")),
        caveats=tuple(str(caveat["cause"]) for caveat in caveats if not caveat.get("invalidates")),
    )


def _number(value: object) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _pair(one: object, other: object) -> tuple[float, float] | None:
    first, second = _number(one), _number(other)
    return None if first is None or second is None else (first, second)


def _seconds(value_ns: object) -> float | None:
    number = _number(value_ns)
    return None if number is None else number / 1e9


def _connection(connection: Document) -> str:
    """Who closes, how, and after how many requests."""
    parts: list[str] = []
    if "closer" in connection:
        parts.append(f"{connection['closer']} closes by {str(connection.get('close', 'fin')).upper()}")
    if "requests" in connection:
        count = connection["requests"]
        parts.append(f"{count} request{'' if count == 1 else 's'} per connection")
    if "http" in connection:
        parts.append(f"HTTP/{connection['http']}")
    return ", ".join(parts)


def _kept(scenario: Document) -> int | None:
    closed: Document = scenario.get("load", {}).get("closed_loop") or {}
    return closed.get("connections") if scenario.get("connection", {}).get("requests", 1) > 1 else None


def _load(load: Document) -> str:
    if load.get("command"):
        return f"load by {PurePath(load['command'][0]).name.strip('{}')}"
    closed, open_ = load.get("closed_loop"), load.get("open_loop")
    if closed:
        return f"closed loop, {closed.get('connections')} in flight"
    if open_:
        rate = open_.get("rate")
        return f"open loop, {rate if isinstance(rate, str) else f'{rate:,}/s'} offered"
    return ""
