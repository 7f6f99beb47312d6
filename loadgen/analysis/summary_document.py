"""summary.json: the summaries of all variants, and the sentence over them all. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.caveats.records import INTERRUPTED
from loadgen.analysis.claims import JudgedClaim, judge
from loadgen.analysis.compared import Compared
from loadgen.analysis.findings.finding import Finding
from loadgen.analysis.states import StateCount
from loadgen.analysis.summary import VariantSummary
from loadgen.records.types import SCHEMA_VERSION
from loadgen.scenario.catalogue import Decision
from loadgen.scenario.claim import Claim
from loadgen.scenario.expectation import Verdict
from loadgen.tcp import Phase


class ErrorCount(Struct, frozen=True):
    """How often attempts failed in one way, and whose `limit` that shows."""

    phase: Phase
    kind: str
    count: Annotated[int, Meta(ge=0)]
    limit: str


class VariantDocument(Struct, frozen=True):
    """A variant in summary.json. What was not measured is absent from `metrics`."""

    verdict: str
    valid: bool
    passed: bool
    exact: bool
    metrics: Mapping[str, float]
    errors: Sequence[ErrorCount]
    findings: Sequence[Finding]
    states: Sequence[StateCount]
    audit: Sequence[AuditLine]
    caveats: Sequence[Caveat]
    expectations: Sequence[Verdict]
    compared: Sequence[Compared]


class SummaryDocument(Struct, frozen=True, kw_only=True):
    """summary.json."""

    schema_version: Annotated[int, Meta(extra_json_schema={"const": SCHEMA_VERSION})] = SCHEMA_VERSION
    run: str
    valid: bool
    passed: bool
    verdict: str
    claims: Sequence[JudgedClaim]
    variants: Mapping[str, VariantDocument]


def summary_document(
    run: str,
    summaries: Sequence[VariantSummary],
    asked: Collection[str],
    *,
    whole: bool,
    claims: Sequence[Claim] = (),
) -> SummaryDocument:
    """summary.json.

    `asked` are the names of all variants: if one of them is missing, the run has not passed. `whole`: the run
    has ended in order; if not, it is invalid. `claims` are the scenario's: a run with an undecided one has
    not passed.
    """
    judged = judge(claims, summaries)
    return SummaryDocument(
        run=run,
        valid=whole and all(summary.valid for summary in summaries),
        passed=not _missing(summaries, asked)
        and all(summary.passed for summary in summaries)
        and all(claim.decided for claim in judged),
        verdict=run_verdict(summaries, asked, judged, whole=whole),
        claims=judged,
        variants={summary.name: _document(summary) for summary in summaries},
    )


def run_verdict(
    summaries: Sequence[VariantSummary],
    asked: Collection[str],
    claims: Sequence[JudgedClaim] = (),
    *,
    whole: bool,
) -> str:
    """One sentence about all variants, including those that were asked for and not run."""
    if not summaries:
        return "Nothing was run."
    expected = [item.passed for summary in summaries for item in summary.expectations]
    inexact = [summary.name for summary in summaries if summary.audit and not summary.exact]
    unaudited = [summary.name for summary in summaries if not summary.audit]
    invalid = [summary.name for summary in summaries if not summary.valid]
    cut = [
        summary.name for summary in summaries if any(caveat.kind == INTERRUPTED for caveat in summary.caveats)
    ]
    missing = _missing(summaries, asked)
    parts = [
        f"{sum(expected)} of {len(expected)} expectations hold" if expected else "Nothing was expected",
    ]
    if claims:
        verdicts = Counter(claim.verdict for claim in claims)
        counted = [f"{verdicts[verdict]} {verdict}" for verdict in Decision if verdicts[verdict]]
        parts.append(f"claims: {', '.join(counted)}")
    if inexact:
        parts.append(f"the audit differs in {', '.join(inexact)}")
    if unaudited:
        parts.append(f"nothing is audited in {', '.join(unaudited)}")
    if not inexact and not unaudited:
        parts.append("every count agrees with the kernel's")
    if invalid:
        parts.append(f"the measurement is invalid in {', '.join(invalid)}")
    if cut:
        parts.append(f"{', '.join(cut)} was cut short")
    if missing:
        parts.append(f"not run: {', '.join(missing)}")
    if not whole:
        parts.append("the run did not come to its end")
    return "; ".join(parts) + "."


def _missing(summaries: Sequence[VariantSummary], asked: Collection[str]) -> list[str]:
    """The variants that were asked for and have no summary."""
    found = {summary.name for summary in summaries}
    return [name for name in asked if name not in found]


def _document(summary: VariantSummary) -> VariantDocument:
    return VariantDocument(
        verdict=summary.verdict,
        valid=summary.valid,
        passed=summary.passed,
        exact=summary.exact,
        metrics=summary.metrics,
        errors=[
            ErrorCount(failure.phase, failure.kind, count, summary.reasons[failure])
            for failure, count in summary.errors.items()
        ],
        findings=summary.findings,
        states=summary.states,
        audit=summary.audit,
        caveats=summary.caveats,
        expectations=summary.expectations,
        compared=summary.compared,
    )
