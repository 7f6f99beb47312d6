"""summary.json: the summaries of all variants as plain data, and the sentence over them all. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loadgen.analysis.caveats.records import INTERRUPTED
from loadgen.analysis.summary import VariantSummary
from loadgen.wire.codec import plain


def summary_document(
    run: str, summaries: Sequence[VariantSummary], asked: Collection[str], *, whole: bool
) -> dict[str, Any]:
    """summary.json without its schema_version. What was not measured is absent, never null or nan.

    `asked` are the names of all variants: if one of them is missing, the run has not passed. `whole`: the run
    has ended in order; if not, it is invalid.
    """
    return {
        "run": run,
        "valid": whole and all(summary.valid for summary in summaries),
        "passed": not _missing(summaries, asked) and all(summary.passed for summary in summaries),
        "verdict": run_verdict(summaries, asked, whole=whole),
        "variants": {summary.name: _document(summary) for summary in summaries},
    }


def run_verdict(summaries: Sequence[VariantSummary], asked: Collection[str], *, whole: bool) -> str:
    """One sentence about all variants, including those that were asked for and not run."""
    if not summaries:
        return "Nothing was run."
    expected = [item.verdict.passed for summary in summaries for item in summary.expectations]
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


def _document(summary: VariantSummary) -> dict[str, Any]:
    return {
        "verdict": summary.verdict,
        "valid": summary.valid,
        "passed": summary.passed,
        "exact": summary.exact,
        "metrics": summary.metrics,
        "errors": [
            {"phase": failure.phase, "kind": failure.kind, "count": count, "limit": failure.limit}
            for failure, count in summary.errors.items()
        ],
        "audit": [{**plain(line), "exact": line.exact} for line in summary.audit],
        "caveats": plain(summary.caveats),
        "expectations": [
            _measured({"text": item.text, **plain(item.verdict)}) for item in summary.expectations
        ],
        "compared": [_measured({**plain(row), "error": row.error}) for row in summary.compared],
    }


def _measured(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value: what was not measured is absent."""
    return {name: value for name, value in fields.items() if value is not None}
