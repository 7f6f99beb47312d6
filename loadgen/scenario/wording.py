"""Validation of nodes: pydantic's errors in plain words, each with its place in the file."""

import re
from collections.abc import Sequence as SequenceOf
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loadgen.text.nodes import Mapping, Node, Scalar, Sequence, describe
from loadgen.text.problem import Mark, Problem, ScenarioError, did_you_mean, quote
from loadgen.text.units import UnitError

MAX_PROBLEMS = 100
"""The most problems that a validation reports: wording thousands would take long."""

_M = TypeVar("_M", bound=BaseModel)


def validate(model: type[_M], node: Mapping) -> _M:
    """The model that a mapping describes. Raises ScenarioError with everything that is wrong."""
    try:
        return model.model_validate(to_data(node))
    except ValidationError as error:
        raise ScenarioError(_problem(model, node, detail) for detail in _details(error)) from None


def validate_layer(model: type[BaseModel], node: Mapping) -> None:
    """Validate one layer of several: a missing key is no problem, because another layer may have it."""
    try:
        model.model_validate(to_data(node))
    except ValidationError as error:
        details = [detail for detail in _details(error) if detail["type"] != "missing"]
        if details:
            raise ScenarioError(_problem(model, node, detail) for detail in details) from None


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False)[:MAX_PROBLEMS]


def to_data(node: Node) -> Any:
    """Plain data of a node: dict, list, the text of a scalar, None if nothing was written."""
    match node:
        case Mapping():
            return {key: to_data(entry.value) for key, entry in node.entries.items()}
        case Sequence():
            return [to_data(item) for item in node.items]
        case Scalar():
            return None if node.empty else node.text


def _problem(model: type[BaseModel], root: Mapping, detail: ErrorDetails) -> Problem:
    loc = detail["loc"]
    key_error = detail["type"] == "value_error" and loc[-1] == "[key]"  # of a mapping with any keys
    if key_error:
        loc = loc[:-1]
    mark, key_mark, node = _find(root, loc)
    path = ".".join(str(part) for part in loc)
    known = _keys(model, loc[:-1])
    match detail["type"]:
        case "extra_forbidden":
            return Problem(key_mark, path, "unknown key", _unknown_key_hint(model, str(loc[-1]), known))
        case "missing":
            return Problem(mark, path, "is required", f"add {loc[-1]}: to this mapping")
        case "loops" if isinstance(node, Mapping):  # it is one: else pydantic reports another error
            loops = [e.key.mark for e in node.entries.values() if e.key.text in ("closed_loop", "open_loop")]
            return Problem(loops[-1], path, detail["msg"], "write closed_loop: {connections: 64}")
        case "enum":
            values: list[str] = re.findall("'([^']*)'", detail["ctx"]["expected"]) if "ctx" in detail else []
            message = f"expected {' or '.join(values)}, got {describe(node)}"
            return Problem(mark, path, message, _nothing(node) or _alike(node, values))
        case "value_error":
            error: Any = detail.get("ctx", {}).get("error")
            assert isinstance(error, UnitError)  # no field raises another
            if key_error:
                return Problem(key_mark, path, error.message, error.hint)
            is_text = isinstance(node, Scalar) and not node.empty
            message = error.message if is_text else f"{error.message}, got {describe(node)}"
            return Problem(mark, path, message, error.hint or _nothing(node))
        case "tuple_type":
            message = f"expected a list such as [a, b], got {describe(node)}"
            return Problem(mark, path, message, _nothing(node))
        case _:
            # The remaining errors (model_type, dict_type) are parts that are not a mapping.
            return Problem(mark, path, f"expected a mapping, got {describe(node)}", _nothing(node))


def _find(root: Mapping, loc: SequenceOf[int | str]) -> tuple[Mark, Mark, Node]:
    """The place of the value at `loc`, of its key, and the value; if it is missing, those of its mapping."""
    node: Node = root
    key_mark = root.mark
    for part in loc:
        if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
            entry = node.entries[part]
            key_mark, node = entry.key.mark, entry.value
        elif isinstance(node, Sequence) and isinstance(part, int):
            node = node.items[part]
            key_mark = node.mark
    return node.mark, key_mark, node


def _nothing(node: Node) -> str:
    return "remove the key to keep its default" if isinstance(node, Scalar) and node.empty else ""


def _alike(node: Node, values: SequenceOf[str]) -> str:
    return did_you_mean(node.text, values) if isinstance(node, Scalar) else ""


def _part_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model of a field that is one, as `Load` or `OpenLoop | None`."""
    field = model.model_fields.get(key)
    candidates = (field.annotation, *get_args(field.annotation)) if field else ()  # of a list, its items
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _keys(model: type[BaseModel], loc: SequenceOf[int | str]) -> list[str]:
    """The keys that may stand in the mapping at `loc`."""
    part: type[BaseModel] | None = model
    for key in loc:
        if isinstance(key, str):  # a place in a list is of the same model as the list
            part = _part_of(part, key) if part else None
    return [field.alias or name for name, field in part.model_fields.items()] if part else []


def unknown_key_hint(model: type[BaseModel], key: str) -> str:
    """What a person may have meant by a key that the model lacks."""
    return _unknown_key_hint(model, key, list(model.model_fields))


def _unknown_key_hint(model: type[BaseModel], key: str, known: list[str]) -> str:
    elsewhere = [path for path in _paths(model) if path.rpartition(".")[2] == key]
    if elsewhere:
        return f"did you mean {quote(elsewhere[0])}?"
    return did_you_mean(key, known) or f"known here: {', '.join(known)}"


def _paths(model: type[BaseModel]) -> list[str]:
    """The dotted path of every key of a model and its parts."""
    paths: list[str] = []
    for key in model.model_fields:
        paths.append(key)
        part = _part_of(model, key)
        if part:
            paths.extend(f"{key}.{path}" for path in _paths(part))
    return paths
