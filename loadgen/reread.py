"""A run's summaries, made anew from its directory: nothing of it has to have been kept but the records."""

from pydantic import ValidationError

from loadgen import plans
from loadgen.fold import Fold
from loadgen.model import Prediction
from loadgen.problem import quote
from loadgen.rundir import RUN_FILE, RunDirectory, RunError
from loadgen.scenario import ScenarioError, restore
from loadgen.summary import VariantSummary, summarise


def reread(directory: RunDirectory) -> list[VariantSummary]:
    """A run's summaries, made anew from its records. Raises RunError."""
    info = directory.info()
    try:
        scenario = restore(info["scenario"])
        predictions = {
            name: Prediction.from_json(known["prediction"]) for name, known in info["variants"].items()
        }
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, ("scenario", *first["loc"])))
        missing = first["type"] == "missing"
        wrong = "is missing" if missing else f"this churn knows no such value: {quote(str(first['input']))}"
        raise RunError(f"{directory.path / RUN_FILE}: {key}: {wrong}") from None
    except (AttributeError, KeyError, TypeError, ValueError, ScenarioError) as error:
        raise RunError(f"{directory.path / RUN_FILE}: does not tell what was run ({error!r})") from None
    summaries: list[VariantSummary] = []
    recorded = directory.variants()
    for variant in scenario.variants:
        if variant.name not in recorded:
            continue
        fold = Fold(plans.ports(variant))
        for record in directory.records(variant.name):
            fold.add(record)
        # Its directory was made, and it never began.
        if not fold.events:
            continue
        summaries.append(summarise(variant, predictions[variant.name], fold))
    if not summaries:
        raise RunError(f"{directory.path}: no variant has any records")
    return summaries
