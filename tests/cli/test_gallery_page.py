"""docs/gallery.md: every claim, its verdict, and what to do about it."""

import re
from pathlib import Path

import pytest
from PIL import Image

from loadgen.cli.sources import bundled
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
    done = invoke("claims", "1-first", "2-second", "3-third", "--gallery", tmp_path, "-o", tmp_path)
    assert done.code == 0, done.said
    return (tmp_path / "gallery.md").read_text()


def test_the_verdict_that_is_expected_is_shown_first_and_the_others_are_named(page: str) -> None:
    text = part(page, "C17")
    assert "**Refuted** by `churn run first`" in text
    assert "- `client.time_wait.max@main == 8`: 8 == 8" in text
    assert "Confirmed by `churn run second`" in text
    assert texts().claims["C17"].remedy in text
    assert "| [C17](#c17) |" in page


def test_a_verdict_that_depends_has_a_number_for_each_condition(page: str) -> None:
    text = part(page, "C12")
    assert "**It depends**, as `churn run second`" in text
    assert "- all was read: `connected@main == 7`: 7 == 7" in text
    assert "- bytes were unread: `client.time_wait.max@main == 7`: 7 == 7" in text
    assert "One more holds." in text


def test_a_claim_that_no_run_decides_is_there_all_the_same(page: str) -> None:
    assert "**Not decided** by these runs; refuted is expected." in part(page, "C55")
    assert "**Not measured**" in part(page, "C44")
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
    assert invoke("claims", "1-cut", "--gallery", tmp_path, "-o", tmp_path).code == 0
    text = part((tmp_path / "gallery.md").read_text(), "C17")
    assert "**Confirmed** by `churn run cut`, whose measurement is invalid; refuted was expected:" in text


def test_a_figure_of_a_run_is_copied_small_and_shown(tmp_path: Path) -> None:
    run = recorded(tmp_path, "1-sawtooth", 7)
    assert invoke("claims", "1-sawtooth", "--gallery", tmp_path, "-o", tmp_path).code == 0
    assert "gallery-sawtooth" not in (tmp_path / "gallery.md").read_text()
    run.figures.mkdir()
    noise = Image.effect_noise((300, 200), 50).convert("RGB")
    noise.save(run.figures / "timeline-main.png")
    assert invoke("claims", "1-sawtooth", "--gallery", tmp_path, "-o", tmp_path).code == 0
    copy = tmp_path / "gallery-sawtooth-timeline-main.png"
    assert f"]({copy.name})" in part((tmp_path / "gallery.md").read_text(), "C20")
    with Image.open(copy) as image:
        assert image.size == (300, 200)
    assert copy.stat().st_size < (run.figures / "timeline-main.png").stat().st_size


def test_it_needs_a_run_a_folder_and_no_other_form(tmp_path: Path) -> None:
    assert invoke("claims", "--gallery", tmp_path).code == 2
    assert invoke("claims", "x", "--gallery", tmp_path / "none", "-o", tmp_path).code == 2
    assert invoke("claims", "x", "--gallery", tmp_path, "--json", "-o", tmp_path).code == 2


def test_every_claim_and_theme_has_its_text_and_every_figure_is_there() -> None:
    assert list(texts().claims) == list(catalogue())
    assert list(texts().themes) == themes()
    for name, advice in texts().claims.items():
        assert advice.why.endswith("."), name
        assert advice.remedy.endswith("."), name
        assert bool(advice.figure) == bool(advice.caption), name
        scenario, _, figure = advice.figure.partition("/")
        assert not figure or scenario in bundled(), name
        assert figure or not scenario or (ROOT / "docs" / scenario).exists(), name
