"""What every caveat is decided from: the variant, the fold of its records, and its audit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.explanation import Explained
from loadgen.analysis.fold import Fold
from loadgen.ledger.entry import Kind
from loadgen.scenario.document import Variant


@dataclass(frozen=True, slots=True)
class Case:
    """One variant's results."""

    variant: Variant
    fold: Fold
    audit: Sequence[AuditLine]

    @property
    def explained(self) -> Sequence[Explained]:
        """What happened to the connections, by the first of the explanations; none if the records are cut."""
        possible = self.fold.explanation.possible if self.fold.complete else ()
        return possible[0] if possible else ()

    def explained_as(self, kind: Kind) -> Sequence[Explained]:
        """Those of one kind."""
        return [one for one in self.explained if one.entry.kind is kind]


Rule: TypeAlias = Callable[[Case], Iterator[Caveat]]
"""The signature of every function that decides a caveat."""
