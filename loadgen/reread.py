"""A run's summaries, made anew from its directory: nothing of it has to have been kept but the records."""

from collections.abc import Callable

from pydantic import ValidationError

from loadgen import plans
from loadgen.fold import Fold
from loadgen.latency import Latency
from loadgen.model import Prediction
from loadgen.problem import quote
from loadgen.records import Record
from loadgen.rundir import RUN_FILE, RunDirectory, RunError
from loadgen.scenario import ScenarioError, restore
from loadgen.summary import VariantSummary, summarise

Look = Callable[[str, Record | Latency], None]


def reread(directory: RunDirectory, look: Look = lambda _name, _record: None) -> list[VariantSummary]:
    """A run's summaries, made anew from its records; `look` sees each of those, too. Raises RunError.

    A day's records take a minute to read: nobody should have to read them twice.
    """
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
            look(variant.name, record)
        # Its directory was made, and it never began.
        if not fold.events:
            continue
        summaries.append(summarise(variant, predictions[variant.name], fold))
    if not summaries:
        raise RunError(f"{directory.path}: no variant has any records")
    return summaries
