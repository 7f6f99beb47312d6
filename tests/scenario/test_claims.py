"""Claims in a scenario: what they become, and what each mistake is answered with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.scenario.catalogue import Decision, catalogue, themes
from loadgen.scenario.document import Scenario
from loadgen.scenario.expectation import Expectation
from loadgen.scenario.read import load_scenario
from loadgen.scenario.schema import resolved, restore
from loadgen.text.problem import Mark, ScenarioError

METRICS = frozenset({"client.time_wait.max", "rate.mean", "errors.total"})
HEAD = 'title: t\nvariants: {fast: {}, not-so-fast: {}, "a,b=1": {}}\n'

Read = Callable[..., Scenario]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str, **options: Any) -> Scenario:
        path = tmp_path / "x.yaml"
        path.write_text(text)
        return load_scenario(path, metrics=METRICS, **options)

    return read


def test_a_list_names_claims_and_a_mapping_decides_them(read: Read) -> None:
    (named,) = read("title: t\nclaims: [C17]").claims
    assert (named.id, list(named.comparisons())) == ("C17", [])
    (decided,) = read(f"""{HEAD}
claims:
  C17:
    confirmed: [rate.mean@fast > 0, 'rate.mean@"not-so-fast" > 0']
    refuted: ["rate.mean@'a,b=1' == 0"]
    depends: {{one: [rate.mean@fast > 1], another one: [rate.mean@fast > 2]}}
""").claims
    assert [(decision, condition, one.text) for decision, condition, one in decided.comparisons()] == [
        (Decision.CONFIRMED, "", "rate.mean@fast > 0"),
        (Decision.CONFIRMED, "", 'rate.mean@"not-so-fast" > 0'),
        (Decision.REFUTED, "", "rate.mean@'a,b=1' == 0"),
        (Decision.DEPENDS, "one", "rate.mean@fast > 1"),
        (Decision.DEPENDS, "another one", "rate.mean@fast > 2"),
    ]
    assert decided.variants == {"fast", "not-so-fast", "a,b=1"}


def test_claims_survive_a_run_directory(read: Read) -> None:
    scenario = read(
        f"{HEAD}claims: {{C1: {{confirmed: [' rate.mean@fast > 0']}},"
        ' C2: {depends: {one: ["rate.mean@fast > 0"]}}}'
    )
    assert restore(resolved(scenario)) == scenario


def test_with_some_variants_only_those_claims_are_left_that_they_decide(read: Read) -> None:
    text = f"""{HEAD}
claims:
  C1: {{confirmed: [rate.mean@fast > 0]}}
  C2: {{confirmed: ['rate.mean@fast > rate.mean@"not-so-fast"']}}
"""
    assert [claim.id for claim in read(text, variants=["fast"]).claims] == ["C1"]
    assert [claim.id for claim in read(text, variants=["fast", "not-so-fast"]).claims] == ["C1", "C2"]


MISTAKES = {
    "an unknown id in a list": (
        "title: t\nclaims: [C1, C99]",
        "2:14",
        'claims: there is no claim "C99" (churn claims lists them all)',
    ),
    "an unknown id": (
        f"{HEAD}claims:\n  C99: {{confirmed: [rate.mean@fast > 0]}}",
        "4:3",
        'claims: there is no claim "C99"',
    ),
    "nothing": ("title: t\nclaims:", "2:8", "expected a list or a mapping of claims, got nothing"),
    "an id that is a list": ("title: t\nclaims: [[C1]]", "2:10", "expected the id of a claim, got a list"),
    "a claim without comparisons": (
        f"{HEAD}claims: {{C1: {{}}}}",
        "3:14",
        "claims.C1: expected what decides it, got a mapping (write confirmed: or refuted:",
    ),
    "a claim that is a list": (f"{HEAD}claims: {{C1: [a]}}", "3:14", "expected what decides it, got a list"),
    "an unknown verdict": (
        f"{HEAD}claims: {{C1: {{confirm: [rate.mean@fast > 0]}}}}",
        "3:15",
        'claims.C1.confirm: unknown key (did you mean "confirmed"?)',
    ),
    "no comparison": (
        f"{HEAD}claims: {{C1: {{confirmed: []}}}}",
        "3:26",
        "claims.C1.confirmed: the list of comparisons is empty",
    ),
    "a comparison alone": (
        f"{HEAD}claims: {{C1: {{confirmed: rate.mean@fast > 0}}}}",
        "3:26",
        "expected a list of comparisons",
    ),
    "conditions in a list": (
        f"{HEAD}claims: {{C1: {{depends: [rate.mean@fast > 0]}}}}",
        "3:24",
        "claims.C1.depends: expected comparisons by condition, got a list",
    ),
    "a condition without comparisons": (
        f"{HEAD}claims: {{C1: {{depends: {{small: []}}}}}}",
        "3:32",
        "claims.C1.depends.small: the list of comparisons is empty",
    ),
    "an unknown metric": (
        f"{HEAD}claims:\n  C1:\n    confirmed:\n      - 0 < rate.maen@fast",
        "6:13",
        'claims.C1.confirmed: unknown metric "rate.maen" (did you mean "rate.mean"?)',
    ),
    "an unknown variant": (
        f"{HEAD}claims:\n  C1:\n    confirmed:\n      - 0 < rate.mean@fest",
        "6:23",
        'claims.C1.confirmed: there is no variant "fest" (did you mean "fast"?)',
    ),
    "a variant unlike any": (
        f"{HEAD}claims:\n  C1:\n    confirmed:\n      - 0 < rate.mean@x",
        "6:23",
        'there is no variant "x" (there are fast, "not-so-fast", "a,b=1")',
    ),
    "no variant": (
        f"{HEAD}claims:\n  C1:\n    confirmed:\n      - 0 < rate.mean",
        "6:13",
        '"rate.mean" names no variant (write rate.mean@fast)',
    ),
    "an @ without a name": (
        f"{HEAD}claims:\n  C1:\n    confirmed:\n      - 0 < rate.mean@ fast",
        "6:22",
        "the name of a variant follows @",
    ),
    "an expectation of another variant": (
        f"{HEAD}expect: {{fast: [rate.mean@fast > 0]}}",
        "3:27",
        "expect.fast: an expectation is about its own variant (leave @ and the name out, or",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_where_it_stands(read: Read, name: str) -> None:
    text, place, fragment = MISTAKES[name]
    with pytest.raises(ScenarioError) as caught:
        read(text)
    (problem,) = caught.value.problems
    assert str(problem).rpartition("/x.yaml:")[2].startswith(f"{place}: ")
    assert fragment in str(problem)


def test_a_name_with_an_operator_has_to_be_quoted(read: Read) -> None:
    with pytest.raises(ScenarioError, match='there is no variant "not"'):
        read(f"{HEAD}claims: {{C1: {{confirmed: [rate.mean@not-so-fast > 0]}}}}")


def test_a_metric_of_a_variant_is_compared() -> None:
    compared = Expectation.parse('rate.mean@"a-b" - 1 == rate.mean@c', Mark("x"))
    assert compared.names == {"rate.mean@a-b", "rate.mean@c"}
    assert compared.evaluate({"rate.mean@a-b": 3.0, "rate.mean@c": 2.0, "rate.mean": 9.0}).passed
    assert compared.evaluate({"rate.mean@a-b": 3.0}).reason == "rate.mean@c was not measured"
    none = Expectation.parse("errors.EMFILE@c == 0", Mark("x"))
    assert none.evaluate({"errors.total@c": 1.0}).passed
    assert not none.evaluate({"errors.total@a": 1.0}).passed


def test_the_catalogue_has_every_claim_once_with_a_verdict_that_can_be_reached() -> None:
    assert list(catalogue()) == [f"C{number}" for number in range(1, 61)]
    assert themes() == ["closing", "ports", "remedies", "costs"]
    for statement in catalogue().values():
        assert statement.text.endswith(".")
        assert statement.expected is not Decision.UNDECIDED
