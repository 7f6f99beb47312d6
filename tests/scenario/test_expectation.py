"""Expectations: the language, the verdicts, and texts that are up to no good."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.expectation import Expectation
from loadgen.text.formula import MAX_LENGTH
from loadgen.text.problem import Mark, ScenarioError

MARK = Mark("a.yaml", 3, 7)
METRICS = {
    "client.time_wait.max": 25_410.0,
    "client.ports": 28_232.0,
    "zero": 0.0,
    "a": 2.0,
    "b": 3.0,
    "s": 4.0,
}
KNOWN = [*METRICS, "errors.total", "errors.EADDRNOTAVAIL", "errors.TIMEOUT"]


def parse(text: str) -> Expectation:
    return Expectation.parse(text, MARK, known=KNOWN, mark_of=lambda offset: Mark("a.yaml", 3, 7 + offset))


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("client.time_wait.max >= 0.9 * client.ports", True),
        ("client.time_wait.max >= 90% * client.ports", True),
        ("client.time_wait.max < 90% * client.ports", False),
        ("zero == 0", True),
        ("zero != 0", False),
        ("a < b", True),
        ("a <= 2", True),
        ("a > b", False),
        ("a + b * 2 == 8", True),
        ("(a + b) * 2 == 10", True),
        ("a - b - 1 == -2", True),
        ("b / a / 3 == .5", True),
        ("-a == -2", True),
        ("--a == 2", True),
        ("-(a + b) == -5", True),
        ("a * -b == -6", True),
        ("a == 2e0", True),
        ("a == 2/s", True),
        ("a * 1000/s == 2000", True),
        ("8/s == a * 4", True),
        ("a+8 / s == 4", True),
        ("a == 2ns", True),
        ("1us == 500 * a", True),
        ("a < 1min", True),
        ("0.5s + a > 500ms", True),
        ("  a==2  ", True),
    ],
)
def test_what_it_says_is_what_is_compared(text: str, passed: bool) -> None:
    verdict = parse(text).evaluate(METRICS)
    assert verdict.passed is passed
    assert verdict.left is not None
    assert verdict.right is not None


def test_the_verdict_shows_both_sides() -> None:
    verdict = parse("client.time_wait.max >= 0.9 * client.ports").evaluate(METRICS)
    assert (verdict.left, verdict.reason) == (25_410, "25,410 >= 25,408.8")
    assert parse("a > b").evaluate(METRICS).reason == "2 > 3 is false"


def test_it_knows_its_text_its_place_and_the_metrics_it_needs() -> None:
    expectation = parse(" a * 2 >= client.ports + a - (b) ")
    assert expectation.text == "a * 2 >= client.ports + a - (b)"
    assert expectation.mark == MARK
    assert expectation.names == {"a", "b", "client.ports"}


@pytest.mark.parametrize(
    ("text", "metrics", "reason", "right"),
    [
        ("a == b", {"b": 1.0}, "a was not measured", 1.0),
        ("a == b", {}, "a was not measured; b was not measured", None),
        ("a == b / zero", {"a": 1.0, "b": 1.0, "zero": 0.0}, "it divides by zero", None),
        ("a == b", {"a": math.nan, "b": 1.0}, "a has no finite value", 1.0),
        ("a != b", {"a": math.inf, "b": 1.0}, "a has no finite value", 1.0),
        ("a != b * b", {"a": 1.0, "b": 1e200}, "its numbers grow too large", None),
        ("a == errors.EADDRNOTAVAIL", {"a": 1.0}, "errors.EADDRNOTAVAIL was not measured", None),
    ],
)
def test_what_cannot_be_compared_fails_and_says_why(
    text: str, metrics: dict[str, float], reason: str, right: float | None
) -> None:
    verdict = parse(text).evaluate(metrics)
    assert (verdict.passed, verdict.reason, verdict.right) == (False, reason, right)


def test_a_kind_of_error_that_did_not_occur_was_counted_zero_times() -> None:
    assert parse("errors.EADDRNOTAVAIL == 0").evaluate({"errors.total": 0.0}).passed
    assert not parse("errors.EADDRNOTAVAIL > 0").evaluate({"errors.total": 5.0}).passed


@pytest.mark.parametrize(
    ("text", "column", "fragment", "hint"),
    [
        ("", 7, "expected a number or a metric, got the end", ""),
        ("a", 8, "expected one of == !=", ""),
        ("a = 2", 9, 'cannot read "= 2"', "=="),
        ("a == ", 12, "got the end", ""),
        ("== 2", 7, "expected a number or a metric", ""),
        ("a == 2 == b", 14, "compares more than once", "one expectation for each"),
        ("1 < 2", 7, "names no metric", "server.time_wait.max"),
        ("a == 2 and b == 3", 14, 'got "and"', "one expectation for each"),
        ("(a == 2", 10, "expected a closing parenthesis", ""),
        ("(a + 2 == 2", 14, "expected a closing parenthesis", ""),
        ("a) == 2", 8, "expected one of", ""),
        ("a + * 2 == 2", 11, "expected a number or a metric", ""),
        ("a b == 2", 9, "expected one of", ""),
        ("a == 5x", 13, "unknown unit", "min or h"),
        ("a == 5sec", 13, "unknown unit", "min or h"),
        ("a ** 2 == 4", 10, "expected a number or a metric", ""),
        ("a // 2 == 1", 10, "expected a number or a metric", ""),
        ("a ≥ 2", 9, "cannot read", "<= > >="),
        ("c == 2", 7, 'unknown metric "c"', ""),
        ("a == client.time_wiat.max", 12, "unknown metric", 'did you mean "client.time_wait.max"?'),
        ("errors.EADRNOTAVAIL == 0", 7, "unknown metric", 'did you mean "errors.EADDRNOTAVAIL"?'),
        ("errors.TIMEOT == 0", 7, "unknown metric", 'did you mean "errors.TIMEOUT"?'),
        ("__import__('os').system('true') == 0", 7, "is no function", "there are none"),
        ("__import__ (2) == 0", 7, "is no function", "there are none"),
        ("max(a, b) == 3", 7, "is no function", "there are none"),
        ("lambda: a == 2", 13, "cannot read", ""),
        ("a.__class__ == 2", 7, "unknown metric", ""),
        ("a[0] == 2", 8, "cannot read", ""),
        ("a == 'x'", 12, "cannot read", ""),
        ("a == 1e999", 12, "is too large", "bound"),
        ("a == 9e99h", 12, "expected a duration", ""),
        ("a == 1" + "0" * 300, 12, "is too large", "bound"),
        ("(" * 40 + "a" + ")" * 40 + " == 2", 23, "nested more than", "flatter"),
        ("-" * 40 + "a == 2", 23, "nested more than", "flatter"),
        ("a == " + "a +" * 300, 7, "longer than", "several"),
        ("a == 2\x00", 13, "cannot read", ""),
    ],
)
def test_what_cannot_be_read_is_shown_where_it_stands(
    text: str, column: int, fragment: str, hint: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    assert fragment in problem.message
    assert hint in problem.hint
    assert problem.mark == Mark("a.yaml", 3, column)


def test_every_unknown_metric_is_named() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse("x + a > y")
    assert [problem.mark.column for problem in caught.value.problems] == [7, 15]


def test_without_a_list_any_metric_is_taken() -> None:
    assert Expectation.parse("anything.at_all < 1", MARK).names == {"anything.at_all"}


def test_the_longest_flat_sum_is_evaluated() -> None:
    text = "a" + "+a" * 200 + " == 402"
    assert len(text) <= MAX_LENGTH
    assert parse(text).evaluate(METRICS).passed


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(["a", "b", "zero", "1", "5%", "3s", "+", "-", "*", "/", "(", ")", "==", "<"])
    ).map(" ".join)
)
def test_any_text_gives_a_verdict_without_nan_or_a_problem_with_its_place(text: str) -> None:
    try:
        verdict = parse(text).evaluate(METRICS)
    except ScenarioError as error:
        places = [problem.mark for problem in error.problems]
    else:
        places = [MARK]
        assert verdict.reason
        assert all(value is None or math.isfinite(value) for value in (verdict.left, verdict.right))
    assert all(mark.line == MARK.line and mark.column >= MARK.column for mark in places)
