"""A run's summaries, made anew from its directory: nothing of it has to have been kept but the records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary, summarise
from loadgen.model.predict import Prediction
from loadgen.model.situation import ports
from loadgen.records.damage import Damage, reason
from loadgen.records.directory import RUN_FILE, RunDirectory, RunError
from loadgen.records.latency import Latency
from loadgen.records.types import Record
from loadgen.scenario.models import Scenario
from loadgen.scenario.schema import restore
from loadgen.text.problem import ScenarioError, quote
from loadgen.wire.codec import convert

Look = Callable[[str, Record | Latency], None]


@dataclass(frozen=True, slots=True)
class Reread:
    """What a run directory holds, and what of it could not be read."""

    summaries: Sequence[VariantSummary]
    damage: Sequence[Damage]


def reread(directory: RunDirectory, look: Look = lambda _name, _record: None) -> Reread:
    """A run's summaries, made anew from its records; `look` is called with each record, too.

    So a day's records, which take a minute to read, are read once. Raises RunError if run.json is unreadable.
    """
    scenario, predictions = _asked(directory)
    summaries: list[VariantSummary] = []
    damage: list[Damage] = []
    recorded = directory.variants()
    for variant in scenario.variants:
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
        # Its directory was made, and it never began.
        if not fold.events and not fold.damage:
            continue
        summaries.append(summarise(variant, predictions[variant.name], fold))
    if not summaries and not damage:
        raise RunError(f"{directory.path}: no variant has any records")
    return Reread(summaries, damage)


def _asked(directory: RunDirectory) -> tuple[Scenario, Mapping[str, Prediction]]:
    """What was asked, and predicted, of run.json. Raises RunError."""
    info, path = directory.info(), directory.path / RUN_FILE
    try:
        scenario = restore(info["scenario"])
        predictions = {
            name: convert(known["prediction"], Prediction) for name, known in info["variants"].items()
        }
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, ("scenario", *first["loc"])))
        missing = first["type"] == "missing"
        wrong = "is missing" if missing else f"this churn knows no such value: {quote(str(first['input']))}"
        raise RunError(f"{path}: {key}: {wrong}") from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ScenarioError) as error:
        raise RunError(f"{path}: does not tell what was run ({reason(error)})") from None
    if list(predictions) != [variant.name for variant in scenario.variants]:
        raise RunError(
            f"{path}: does not tell what was run (the variants of scenario.variants and variants differ)"
        )
    return scenario, predictions
