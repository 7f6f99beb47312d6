"""The result of a variant: metrics, audit, caveats, expectations, and the prediction beside the measurement.

Pure functions of a fold and of the variant. The terminal, summary.json and the figures all take their numbers
from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadgen.analysis.audit import AuditLine, audit, audit_sides
from loadgen.analysis.caveats.case import Case
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.caveats.rules import find_caveats
from loadgen.analysis.compared import Compared, compare
from loadgen.analysis.fold import Fold
from loadgen.analysis.headline import headline
from loadgen.analysis.metrics import measure
from loadgen.analysis.races import NO_RACES, Races, find_races
from loadgen.model.predict import Prediction
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant
from loadgen.scenario.expectation import Verdict
from loadgen.tcp import Failure


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation and what became of it."""

    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """The result of one variant. `verdict` is its headline."""

    name: str
    metrics: dict[str, float]
    audit: Sequence[AuditLine]
    caveats: Sequence[Caveat]
    expectations: Sequence[Expected]
    compared: Sequence[Compared]
    errors: Mapping[Failure, int]
    verdict: str

    @property
    def exact(self) -> bool:
        """Whether the audit found every count the same as the kernel's."""
        return bool(self.audit) and all(line.exact for line in self.audit)

    @property
    def valid(self) -> bool:
        return not any(caveat.invalidates for caveat in self.caveats)

    @property
    def passed(self) -> bool:
        return all(expected.verdict.passed for expected in self.expectations)


def summarise(variant: Variant, prediction: Prediction, fold: Fold) -> VariantSummary:
    """The summary of one variant, whole or cut short."""
    metrics, shared, races = measure(fold), variant.lab.topology.shared, races_in(variant, fold)
    lines: list[AuditLine] = []
    if fold.complete and variant.load.driver is Driver.COMMAND:
        lines = audit_sides(fold.kernel(), shared=shared)
    elif fold.complete and (counted := fold.counted) is not None:
        lines = audit(counted, fold.kernel(), shared=shared, races=races)
    return VariantSummary(
        name=variant.name,
        metrics=metrics,
        audit=lines,
        caveats=find_caveats(Case(variant, fold, lines, races)),
        expectations=[Expected(item.text, item.evaluate(metrics)) for item in variant.expect],
        compared=compare(prediction, metrics),
        errors=dict(fold.errors.most_common()),
        verdict=headline(metrics),
    )


def races_in(variant: Variant, fold: Fold) -> Races:
    """The races between the two ends; none if a command makes the load, or if records are cut short."""
    lasted_ns = fold.intervals[-1].end_ns if fold.intervals else 0
    counted = fold.counted
    if not fold.complete or counted is None:
        return NO_RACES
    return find_races(
        counted,
        fold.kernel(),
        shared=variant.lab.topology.shared,
        server_ends=variant.server_may_end(lasted_ns),
    )
