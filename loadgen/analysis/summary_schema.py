"""The JSON Schema of summary.json: its documents as they are typed, and the metrics of the registry. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from loadgen.analysis import metrics
from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.compared import Compared
from loadgen.analysis.metric import Metric, Placeholder, named
from loadgen.records.types import SCHEMA_VERSION
from loadgen.scenario.expectation import Verdict

_BOOLEAN, _TEXT, _NUMBER, _COUNT = (
    {"type": "boolean"},
    {"type": "string"},
    {"type": "number"},
    {"type": "integer", "minimum": 0},
)


def summary_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of summary.json."""
    variant = _object(
        verdict=_TEXT,
        valid=_BOOLEAN,
        passed=_BOOLEAN,
        exact=_BOOLEAN,
        metrics=_metrics(),
        errors=_list(_object(phase=_TEXT, kind=_TEXT, count=_COUNT, limit=_TEXT)),
        audit=_list(_typed(AuditLine, exact=_BOOLEAN)),
        caveats=_list(_typed(Caveat)),
        expectations=_list(_typed(Verdict, text=_TEXT)),
        compared=_list(_typed(Compared, optional=("error",), error=_NUMBER)),
    )
    run = _object(
        schema_version={"const": SCHEMA_VERSION},
        run=_TEXT,
        valid=_BOOLEAN,
        passed=_BOOLEAN,
        verdict=_TEXT,
        variants={"type": "object", "additionalProperties": variant},
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "churn summary", **run}


def _metrics() -> dict[str, Any]:
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


def _metric(metric: Metric) -> dict[str, Any]:
    return {"type": "number", "description": f"{metric.sentence} ({metric.unit})"}


def _typed(kind: type, *, optional: tuple[str, ...] = (), **more: Mapping[str, Any]) -> dict[str, Any]:
    """A value of this type, and the keys that its document has beside. What is None there is absent here."""
    (_, *_), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    fields: dict[str, Any] = {}
    absent = set(optional)
    for name, field in parts[kind.__name__]["properties"].items():
        choices = field.get("anyOf", [field])
        present = [choice for choice in choices if choice.get("type") != "null"]
        if len(present) < len(choices):
            absent.add(name)
        (fields[name],) = [parts.get(choice.get("$ref"), choice) for choice in present]
        fields[name] = {key: value for key, value in fields[name].items() if key not in ("title", "default")}
    return _object(absent, **fields, **more)


def _object(absent: "set[str] | None" = None, /, **fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in (absent or ())],
        "additionalProperties": False,
    }


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
