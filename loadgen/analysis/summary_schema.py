"""The JSON Schema of summary.json: its documents as they are typed, and the metrics of the registry. Pure."""

from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from loadgen.analysis import metrics
from loadgen.analysis.metric import Metric, Placeholder, named
from loadgen.analysis.summary_document import SummaryDocument, VariantDocument


class _MetricSchema(TypedDict):
    type: str
    description: str


class _MetricsSchema(TypedDict):
    type: str
    properties: Mapping[str, _MetricSchema]
    patternProperties: Mapping[str, _MetricSchema]
    additionalProperties: bool


def summary_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of summary.json."""
    schema = msgspec.json.schema(SummaryDocument)
    parts = schema["$defs"]
    for part in parts.values():
        if "properties" in part:
            _as_written(part)
    parts[VariantDocument.__name__]["properties"]["metrics"] = _metrics()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "churn summary", **schema}


def _as_written(part: dict[str, Any]) -> None:
    """Change the schema of what can be read into that of what is written: all keys, but never null."""
    properties, nullable = part["properties"], {"type": "null"}
    absent = [name for name, field in properties.items() if nullable in field.get("anyOf", ())]
    for name, field in properties.items():
        field.pop("default", None)
        if name in absent:
            (properties[name],) = [choice for choice in field["anyOf"] if choice != nullable]
    del part["description"]  # written for readers of the code
    part["required"] = [name for name in properties if name not in absent]
    part["additionalProperties"] = False


def _metrics() -> _MetricsSchema:
    """The metrics of a variant: those that were measured. Families that are open stand as patterns."""
    closed = [metric for metric in metrics.METRICS if not metric.open]
    return {
        "type": "object",
        "properties": {
            one.name: _metric(one.metric) for one in named(closed, lambda placeholder, _: placeholder.known)
        },
        "patternProperties": {
            f"^(?:{metric.expression(_any_word(metric))})$": _metric(metric)
            for metric in metrics.METRICS
            if metric.open
        },
        "additionalProperties": False,
    }


def _any_word(metric: Metric) -> dict[Placeholder[Any], str]:
    """An errno or a counter may be one that this churn has no name for."""
    return {placeholder: r"\w+" for placeholder in metric.over if placeholder.word}


def _metric(metric: Metric) -> _MetricSchema:
    return {"type": "number", "description": f"{metric.sentence} ({metric.unit})"}
