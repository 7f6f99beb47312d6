"""In which settings a variant differs from another."""

from collections.abc import Iterator
from typing import Any, cast

from loadgen.scenario.document import Settings, Variant

NO_VALUE = "not set"


def changed(base: Variant, other: Variant) -> dict[str, str]:
    """The settings of `other` that differ from those of `base`, by dotted key, as people write them."""
    was, now = _flat(base), _flat(other)
    keys = [*now, *(key for key in was if key not in now)]
    return {key: now.get(key, NO_VALUE) for key in keys if now.get(key) != was.get(key)}


def _flat(variant: Variant) -> dict[str, str]:
    fields = set(Settings.model_fields)
    data = variant.model_dump(mode="json", include=fields, exclude_none=True, by_alias=True)
    return dict(_leaves("", data))


def _leaves(path: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from _leaves(here, cast(dict[str, Any], value))
        else:
            yield here, str(value)
