"""What every caveat is decided from: the variant, the fold of its records, and its audit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from loadgen.analysis.audit import NO_RACES, AuditLine, Races, closed_by_both
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.fold import Fold
from loadgen.scenario.document import Variant


@dataclass(frozen=True, slots=True)
class Case:
    """One variant's results."""

    variant: Variant
    fold: Fold
    audit: Sequence[AuditLine]
    races: Races = NO_RACES

    @property
    def closed_by_both(self) -> int:
        """Connections that both ends closed, if the kernel alone counts: a driver counts one close each."""
        return closed_by_both(self.fold.legs()[0]) if self.fold.counted is None else 0


Rule: TypeAlias = Callable[[Case], Iterator[Caveat]]
"""The signature of every function that decides a caveat."""
