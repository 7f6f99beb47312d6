"""The type of a finding."""

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import NewType, TypeAlias

from msgspec import Struct

from loadgen.analysis.fold import Fold

FindingKind = NewType("FindingKind", str)
"""What a finding is about, as summary.json has it. Declared beside the function that yields it."""


class Rank(IntEnum):
    """What matters first to somebody who must decide."""

    FAILED = 0
    """Most of what was tried failed."""
    LIMITED = 1
    """Something was at its limit."""
    PARTLY_FAILED = 2
    PACE = 3
    CLOSES = 4
    """Who ended the connections."""
    LEFT = 5
    """What it left behind."""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding.

    kind        what it is about
    viewpoint   where it was seen
    start_ns    and `end_ns`: when; None if it does not end, or has no time
    sentence    what happened, as a clause that can stand in a headline
    numbers     how much, by name
    share       of the whole; None if there is no whole
    evidence    the states, counters and errors that show it, with their values
    observed    whether it was seen itself; otherwise it is inferred from the evidence
    """

    kind: FindingKind
    rank: Rank
    viewpoint: str
    sentence: str
    start_ns: int | None = None
    end_ns: int | None = None
    numbers: Mapping[str, float]
    share: float | None = None
    evidence: tuple[str, ...]
    observed: bool


Rule: TypeAlias = Callable[[Fold], Iterator[Finding]]
"""The signature of every function that finds something."""
