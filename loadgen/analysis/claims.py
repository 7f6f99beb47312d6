"""The verdict on each claim of a scenario, decided by the metrics of all variants alone. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from msgspec import Struct

from loadgen.analysis.summary import VariantSummary
from loadgen.scenario.catalogue import Decision, catalogue
from loadgen.scenario.claim import Claim
from loadgen.scenario.expectation import Verdict, metrics_of_all


class Ground(Verdict, frozen=True, kw_only=True, omit_defaults=True):
    """A comparison of a claim, the verdict that it is for, and its condition if that is `depends`."""

    decision: Decision
    condition: str = ""

    @property
    def line(self) -> str:
        """The comparison with its numbers."""
        condition = f"{self.condition}: " if self.condition else ""
        return f"{condition}{self.text} ({self.reason})"


class JudgedClaim(Struct, frozen=True, kw_only=True):
    """A claim and its verdict.

    expected   the verdict that the gallery expects on this kernel
    reason     in words: the comparisons that decided it with their numbers, or why it is undecided
    grounds    the comparisons that decided it; of an undecided claim, all of them
    """

    claim: str
    text: str
    verdict: Decision
    expected: Decision
    reason: str
    grounds: Sequence[Ground]

    @property
    def lines(self) -> list[str]:
        """The reason, a comparison a line."""
        return [ground.line for ground in self.grounds] if self.decided else [self.reason]

    @property
    def decided(self) -> bool:
        return self.verdict is not Decision.UNDECIDED

    @property
    def as_expected(self) -> bool:
        return self.verdict is self.expected


class RunClaims(Struct, frozen=True, kw_only=True):
    """The claims of a run, and whether its measurement is valid."""

    run: str
    valid: bool
    claims: Sequence[JudgedClaim]


def judge(claims: Iterable[Claim], summaries: Sequence[VariantSummary]) -> list[JudgedClaim]:
    """The verdicts on those claims that the scenario does not only name."""
    metrics = metrics_of_all({summary.name: summary.metrics for summary in summaries})
    return [judge_one(claim, metrics) for claim in claims if any(claim.comparisons())]


def judge_one(claim: Claim, metrics: Mapping[str, float]) -> JudgedClaim:
    """The verdict on a claim. `metrics` has those of all variants, by `name@variant`.

    It is undecided if a metric was not measured, if no verdict's comparisons all hold, or if those of several
    verdicts do.
    """
    grounds = [
        _ground(decision, condition, expectation.evaluate(metrics))
        for decision, condition, expectation in claim.comparisons()
    ]
    by_decision = {
        decision: list(those) for decision, those in groupby(grounds, lambda ground: ground.decision)
    }
    holding = [decision for decision, those in by_decision.items() if all(one.passed for one in those)]
    unknown = [one.reason for one in grounds if one.left is None or one.right is None]
    if unknown:
        verdict, reason = Decision.UNDECIDED, "; ".join(dict.fromkeys(unknown))
    elif len(holding) == 1:
        (verdict,) = holding
        grounds = by_decision[verdict]
        reason = "; ".join(one.line for one in grounds)
    elif holding:
        verdict, reason = Decision.UNDECIDED, f"the comparisons for {' and for '.join(holding)} all hold"
    else:
        failed = [next(one for one in those if not one.passed) for those in by_decision.values()]
        verdict = Decision.UNDECIDED
        reason = "; ".join(f"not {one.decision}: {one.line}" for one in failed)
    statement = catalogue()[claim.id]
    return JudgedClaim(
        claim=claim.id,
        text=statement.text,
        verdict=verdict,
        expected=statement.expected,
        reason=reason,
        grounds=grounds,
    )


def _ground(decision: Decision, condition: str, verdict: Verdict) -> Ground:
    return Ground(
        text=verdict.text,
        passed=verdict.passed,
        left=verdict.left,
        right=verdict.right,
        reason=verdict.reason,
        decision=decision,
        condition=condition,
    )
