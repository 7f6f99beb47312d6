"""The type of a caveat."""

from dataclasses import dataclass
from typing import NewType

CaveatKind = NewType("CaveatKind", str)
"""What a caveat is about, as summary.json has it. Declared beside the function that yields it."""


@dataclass(frozen=True, slots=True)
class Caveat:
    """One caveat. `invalidates`: the result does not answer the scenario's question."""

    kind: CaveatKind
    cause: str
    remedy: str
    invalidates: bool = False
