"""The result of a variant: metrics, audit, caveats, expectations, and the prediction beside the measurement.

Pure functions of a fold and of the variant. The terminal, summary.json and the figures all take their numbers
from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from loadgen.analysis.audit import AuditLine, audit, audit_ends
from loadgen.analysis.audit_requests import audit_requests
from loadgen.analysis.caveats.case import Case
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.caveats.rules import find_caveats
from loadgen.analysis.compared import Compared, compare
from loadgen.analysis.explanation import explain
from loadgen.analysis.findings.failures import reason
from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.findings.rules import find
from loadgen.analysis.fold import Fold
from loadgen.analysis.headline import headline
from loadgen.analysis.metrics import measure
from loadgen.analysis.states import StateCount, state_counts
from loadgen.records.events import LabOpened
from loadgen.records.prediction import Prediction
from loadgen.scenario.choices import Driver
from loadgen.scenario.document import Variant
from loadgen.scenario.expectation import Verdict
from loadgen.tcp import Failure


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """The result of one variant. `verdict` is its headline."""

    name: str
    metrics: dict[str, float]
    audit: Sequence[AuditLine]
    caveats: Sequence[Caveat]
    expectations: Sequence[Verdict]
    compared: Sequence[Compared]
    errors: Mapping[Failure, int]
    reasons: Mapping[Failure, str]
    verdict: str
    findings: Sequence[Finding]
    states: Sequence[StateCount]

    @property
    def exact(self) -> bool:
        """Whether the audit found every count the same as the kernel's."""
        return bool(self.audit) and all(line.exact for line in self.audit)

    @property
    def valid(self) -> bool:
        return not any(caveat.invalidates for caveat in self.caveats)

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.expectations)


def summarise(variant: Variant, prediction: Prediction, fold: Fold) -> VariantSummary:
    """The summary of one variant, whole or cut short."""
    metrics, lines, findings = measure(fold), audited(variant, fold), find(fold)
    return VariantSummary(
        name=variant.name,
        metrics=metrics,
        audit=lines,
        caveats=find_caveats(Case(variant, fold, lines)),
        expectations=[expectation.evaluate(metrics) for expectation in variant.expect],
        compared=compare(prediction, metrics),
        errors=dict(fold.errors.most_common()),
        reasons={failure: reason(fold, failure) for failure in fold.errors},
        verdict=headline(metrics, findings),
        findings=findings,
        states=state_counts(fold),
    )


def audited(variant: Variant, fold: Fold) -> list[AuditLine]:
    """The audit of every leg; none if records are cut short, or do not show what shares a namespace.

    The driver's counts are compared on the first leg. On the others one end is compared with the other.
    """
    if not fold.complete or (fold.damage and fold.event(LabOpened) is None):
        return []
    first, *others = fold.legs()
    counted = None if variant.load.driver is Driver.COMMAND else fold.counted
    lines = (
        audit_ends(first, fold.explanation) if counted is None else audit(counted, first, fold.explanation)
    )
    for ends in others:
        name = f"{ends.leg.opener} to {ends.leg.accepter}"
        explanation = explain(ends, faults=fold.faults)
        lines += [replace(line, what=f"{name}: {line.what}") for line in audit_ends(ends, explanation)]
    return [*lines, *(audit_requests(fold) if others else ())]
