"""The claims that scenarios cite by id: their texts, themes and expected verdicts, from `claims.toml`."""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from msgspec import Struct

from loadgen.wire.codec import convert


class Decision(StrEnum):
    """The verdict on a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    DEPENDS = "depends"
    UNDECIDED = "undecided"


class Statement(Struct, frozen=True, forbid_unknown_fields=True):
    """A claim as it is made, and the verdict that the gallery expects on this kernel."""

    theme: str
    text: str
    expected: Decision


@cache
def catalogue() -> Mapping[str, Statement]:
    """All claims by id, in the order of the file."""
    text = (files("loadgen.scenario") / "claims.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), dict[str, Statement])


def themes() -> list[str]:
    """The themes of the claims, in the order of the file."""
    return list(dict.fromkeys(statement.theme for statement in catalogue().values()))
