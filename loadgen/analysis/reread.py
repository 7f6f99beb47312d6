"""A run's summaries, made again from its directory: only run.json and the records are needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary, summarise
from loadgen.model.situation import ports
from loadgen.records.damage import Damage, reason
from loadgen.records.directory import RUN_FILE, RunDirectory, RunError
from loadgen.records.info import Info
from loadgen.records.latency import Latency
from loadgen.records.prediction import Prediction
from loadgen.records.types import Record
from loadgen.scenario.claim import Claim
from loadgen.scenario.document import Scenario
from loadgen.scenario.schema import restore
from loadgen.text.problem import ScenarioError, quote

Look = Callable[[str, Record | Latency], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """run.json, the scenario in it, and what was predicted for each variant, by name."""

    info: Info
    scenario: Scenario
    predictions: Mapping[str, Prediction]


@dataclass(frozen=True, slots=True)
class Reread:
    """A run's summaries, its claims, and the parts of its directory that could not be read."""

    claims: Sequence[Claim]
    summaries: Sequence[VariantSummary]
    damage: Sequence[Damage]


def reread(directory: RunDirectory, look: Look = lambda _name, _record: None) -> Reread:
    """A run's summaries, made again from its records; `look` is called with each record, too.

    So the records of a day, which take a minute to read, are read once. Raises RunError if run.json cannot be
    read.
    """
    asked = asked_of(directory)
    summaries: list[VariantSummary] = []
    damage: list[Damage] = []
    recorded = directory.variants()
    for variant in asked.scenario.variants:
        if variant.name not in recorded:
            damage += directory.lost(variant.name)
            continue
        fold = Fold(ports(variant))
        for record in directory.records(variant.name):
            try:
                fold.add(record)
                if not isinstance(record, Damage):
                    look(variant.name, record)
            except ValueError as error:
                assert isinstance(record, Latency)
                fold.add(Damage(directory.latencies(variant.name), 0, reason(error)))
        damage += fold.damage
        # Its directory was made, but it never began.
        if not fold.events and not fold.damage:
            continue
        summaries.append(summarise(variant, asked.predictions[variant.name], fold))
    if not summaries and not damage:
        raise RunError(f"{directory.path}: no variant has any records")
    return Reread(asked.scenario.claims, summaries, damage)


def asked_of(directory: RunDirectory) -> Asked:
    """The scenario and the predictions in run.json. Raises RunError."""
    info, path = directory.info(), directory.path / RUN_FILE
    try:
        scenario = restore(info.scenario)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, ("scenario", *first["loc"])))
        missing = first["type"] == "missing"
        wrong = "is missing" if missing else f"this churn knows no such value: {quote(str(first['input']))}"
        raise RunError(f"{path}: {key}: {wrong}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ScenarioError) as error:
        raise RunError(f"{path}: does not show what was run ({reason(error)})") from None
    if list(info.variants) != [variant.name for variant in scenario.variants]:
        raise RunError(
            f"{path}: does not show what was run (the variants of scenario.variants and variants differ)"
        )
    return Asked(info, scenario, {name: asked.prediction for name, asked in info.variants.items()})
