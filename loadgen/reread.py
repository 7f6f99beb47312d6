"""A run's summaries, made anew from its directory: nothing of it has to have been kept but the records."""

from loadgen import plans
from loadgen.fold import Fold
from loadgen.model import Prediction
from loadgen.rundir import RunDirectory, RunError
from loadgen.scenario import restore
from loadgen.summary import VariantSummary, summarise


def reread(directory: RunDirectory) -> list[VariantSummary]:
    """A run's summaries, made anew from its records. Raises RunError."""
    info = directory.info()
    try:
        scenario = restore(info["scenario"])
        predictions = {
            name: Prediction.from_json(known["prediction"]) for name, known in info["variants"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{directory.path}: run.json does not tell what was run ({error!r})") from None
    summaries: list[VariantSummary] = []
    recorded = directory.variants()
    for variant in scenario.variants:
        if variant.name not in recorded:
            continue
        fold = Fold(plans.ports(variant))
        for record in directory.records(variant.name):
            fold.add(record)
        summaries.append(summarise(variant, predictions[variant.name], fold))
    if not summaries:
        raise RunError(f"{directory.path}: no variant has any records")
    return summaries
