"""docs/gallery.md: every claim, its verdict, and what to do about it."""

import re
from pathlib import Path

import pytest

from loadgen.scenario.advice import texts
from loadgen.scenario.catalogue import catalogue, themes
from loadgen.scenario.claim import Claim
from tests.cli.test_claims import compared, invoke, recorded

ROOT = Path(__file__).parents[2]
ANOTHER = Claim(id="C17", confirmed=compared("client.time_wait.max@main > 0"))
CONDITIONS = Claim(
    id="C12",
    depends={
        "all was read": (*compared("connected@main == 7"), *compared("connected@main > 1")),
        "bytes were unread": compared("client.time_wait.max@main == 7"),
    },
)


def part(page: str, claim: str) -> str:
    """What the page says of a claim."""
    (found,) = re.findall(rf'<a id="{claim.lower()}"></a>\n(.*?)(?=\n<a id|\n## |\Z)', page, re.DOTALL)
    return found


@pytest.fixture
def page(tmp_path: Path) -> str:
    recorded(tmp_path, "1-first", 8)
    recorded(tmp_path, "2-second", 7, claims=(ANOTHER, CONDITIONS))
    recorded(tmp_path, "3-third", 9, claims=(Claim(id="C2", confirmed=compared("connected@main == 1")),))
    done = invoke("claims", "1-first", "2-second", "3-third", "--gallery", "-o", tmp_path)
    assert done.code == 0, done.said
    return done.stdout


def test_the_verdict_that_is_expected_is_shown_first_and_the_others_are_named(page: str) -> None:
    text = part(page, "C17")
    assert "**Refuted** by `churn run first`" in text
    assert "- `client.time_wait.max@main == 8`: 8 == 8" in text
    assert "Confirmed by `churn run second`" in text
    assert texts().claims["C17"].remedy in text
    assert "| [C17](#c17) |" in page


def test_a_verdict_that_depends_has_a_number_for_each_condition(page: str) -> None:
    text = part(page, "C12")
    assert "- all was read: `connected@main == 7`: 7 == 7" in text
    assert "- bytes were unread: `client.time_wait.max@main == 7`: 7 == 7" in text
    assert "One more holds." in text


def test_a_claim_that_no_run_decides_is_there_all_the_same(page: str) -> None:
    assert "**Not decided** by these runs; refuted is expected." in part(page, "C55")
    names = re.findall(r"^### (C\d+)\. ", page, re.MULTILINE)
    assert sorted(names) == sorted(catalogue())


def test_a_decided_verdict_is_shown_before_an_undecided_one(page: str) -> None:
    assert "**Confirmed** by `churn run first`" in part(page, "C2")
    assert "Not decided by `churn run third`" in part(page, "C2")


def test_the_page_names_kernel_date_and_how_many_are_decided(page: str) -> None:
    assert re.search(r"Measured \d{4}-\d\d-\d\d on Linux \d+\.\d+", page)
    assert "Of 60 claims: 1 confirmed, 1 refuted, 1 depends, 57 not decided." in page


def test_an_unexpected_verdict_and_an_invalid_run_are_named(tmp_path: Path) -> None:
    run = recorded(tmp_path, "1-cut", 7, claims=(ANOTHER,))
    (run.path / "run.json").write_text((run.path / "run.json").read_text().replace("finished", "failed"))
    text = part(invoke("claims", "1-cut", "--gallery", "-o", tmp_path).stdout, "C17")
    assert "**Confirmed** by `churn run cut`, whose measurement is invalid; refuted was expected:" in text


def test_it_needs_a_run_and_excludes_the_other_forms(tmp_path: Path) -> None:
    assert invoke("claims", "--gallery").code == 2
    assert invoke("claims", "x", "--gallery", "--json", "-o", tmp_path).code == 2


def test_every_claim_and_theme_has_its_text_and_every_figure_is_there() -> None:
    assert list(texts().claims) == list(catalogue())
    assert list(texts().themes) == themes()
    for name, advice in texts().claims.items():
        assert advice.why.endswith("."), name
        assert advice.remedy.endswith("."), name
        assert bool(advice.figure) == bool(advice.caption), name
        assert not advice.figure or (ROOT / "docs" / advice.figure).exists(), name
