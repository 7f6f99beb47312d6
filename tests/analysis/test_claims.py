"""The verdict on a claim: decided by numbers alone, or undecided."""

from dataclasses import replace

import pytest

from loadgen.analysis.claims import judge, judge_one
from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary, summarise
from loadgen.analysis.summary_document import run_verdict, summary_document
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.scenario.catalogue import Decision
from loadgen.scenario.claim import Claim
from loadgen.scenario.expectation import Expectation
from loadgen.text.problem import Mark
from tests.made_records import variant

METRICS = {"a@one": 1.0, "a@two": 2.0, "errors.total@one": 0.0}
YES, ALSO, NO, UNKNOWN = "a@one < a@two", "a@two == 2", "a@one == a@two", "b@one > 0"


def those(*texts: str) -> tuple[Expectation, ...]:
    return tuple(Expectation.parse(text, Mark("x.yaml", 1, 1)) for text in texts)


def claim(
    confirmed: tuple[str, ...] = (), refuted: tuple[str, ...] = (), **depends: tuple[str, ...]
) -> Claim:
    return Claim(
        id="C17",
        confirmed=those(*confirmed),
        refuted=those(*refuted),
        depends={condition: those(*texts) for condition, texts in depends.items()},
    )


@pytest.mark.parametrize(
    ("asked", "verdict", "reason"),
    [
        (claim((YES,), (NO,)), "confirmed", "a@one < a@two (1 < 2)"),
        (claim((YES, ALSO), (NO,)), "confirmed", "a@one < a@two (1 < 2); a@two == 2 (2 == 2)"),
        (claim((NO,), (YES,)), "refuted", "a@one < a@two (1 < 2)"),
        (claim((), (YES,)), "refuted", "a@one < a@two (1 < 2)"),
        (
            claim((NO,), (), small=(YES,), large=(ALSO,)),
            "depends",
            "small: a@one < a@two (1 < 2); large: a@two == 2 (2 == 2)",
        ),
        # None of them
        (
            claim((NO,), (YES, NO)),
            "undecided",
            "not confirmed: a@one == a@two (1 == 2 is false); not refuted: a@one == a@two (1 == 2 is false)",
        ),
        (claim((YES, NO)), "undecided", "not confirmed: a@one == a@two (1 == 2 is false)"),
        (
            claim(small=(YES,), large=(NO,)),
            "undecided",
            "not depends: large: a@one == a@two (1 == 2 is false)",
        ),
        # More than one of them
        (claim((YES,), (ALSO,)), "undecided", "the comparisons for confirmed and for refuted all hold"),
        (
            claim((YES,), (ALSO,), small=(YES,)),
            "undecided",
            "the comparisons for confirmed and for refuted and for depends all hold",
        ),
        # Not measured, whichever verdict it is for
        (claim((UNKNOWN,)), "undecided", "b@one was not measured"),
        (claim((YES,), (UNKNOWN,)), "undecided", "b@one was not measured"),
        (claim((YES, UNKNOWN), (NO,)), "undecided", "b@one was not measured"),
        (claim(("a@three > 0",), ("a@three > 0",)), "undecided", "a@three was not measured"),
        (claim(("a@one / 0 > 1",)), "undecided", "it divides by zero"),
        # A kind of error that did not occur was counted
        (claim(("errors.EMFILE@one == 0",)), "confirmed", "errors.EMFILE@one == 0 (0 == 0)"),
        (claim(("errors.EMFILE@two == 0",)), "undecided", "errors.EMFILE@two was not measured"),
    ],
)
def test_numbers_decide(asked: Claim, verdict: str, reason: str) -> None:
    judged = judge_one(asked, METRICS)
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert judged.decided is (verdict != "undecided")


def test_what_was_expected_is_beside_the_verdict_and_does_not_decide_it() -> None:
    confirmed, refuted = judge_one(claim((YES,), (NO,)), METRICS), judge_one(claim((NO,), (YES,)), METRICS)
    assert (confirmed.expected, refuted.expected) == (Decision.REFUTED, Decision.REFUTED)
    assert (confirmed.as_expected, refuted.as_expected) == (False, True)
    assert "tcp_fin_timeout" in confirmed.text
    assert [ground.text for ground in confirmed.grounds] == [YES]
    # Of an undecided one all comparisons are shown.
    undecided = judge_one(claim((NO,), (NO,), small=(NO,)), METRICS)
    assert [(one.decision, one.condition) for one in undecided.grounds] == [
        ("confirmed", ""),
        ("refuted", ""),
        ("depends", "small"),
    ]


def summary(name: str, **metrics: float) -> VariantSummary:
    asked = variant(name=name)
    return replace(summarise(asked, predict(situation(asked)), Fold(28_232)), metrics=metrics)


def test_an_undecided_claim_fails_the_run_and_a_claim_that_is_only_named_does_not() -> None:
    summaries = [summary("one", a=1.0), summary("two", a=2.0)]
    decided, undecided = claim((YES,), (NO,)), claim((NO,), (NO,))
    assert judge([Claim(id="C1")], summaries) == []
    for claims, passed in (([decided, Claim(id="C1")], True), ([decided, undecided], False)):
        document = summary_document("x", summaries, ["one", "two"], whole=True, claims=claims)
        assert document.passed is passed
    told = run_verdict(summaries, ["one", "two"], judge([decided, undecided], summaries), whole=True)
    assert "; claims: 1 confirmed, 1 undecided; " in told


def test_of_a_variant_that_did_not_run_nothing_is_known() -> None:
    (judged,) = judge([claim((YES,), (NO,))], [summary("one", a=1.0)])
    assert (judged.verdict, judged.reason) == ("undecided", "a@two was not measured")
