"""docs/gallery.md has every claim, and says what `churn claims --gallery` says now."""

from pathlib import Path

from loadgen.scenario.advice import texts
from loadgen.scenario.catalogue import catalogue

PAGE = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text(encoding="utf-8")


def test_the_page_has_every_claim_as_it_is_made_and_what_to_do_about_it() -> None:
    for name, statement in catalogue().items():
        assert f"### {name}. {statement.text}\n" in PAGE, name
        assert f"{texts().claims[name].why} **What to do:** {texts().claims[name].remedy}\n" in PAGE, name


def test_the_page_has_the_opening_of_every_part() -> None:
    for opening in (texts().opening, *(theme.opening for theme in texts().themes.values())):
        assert opening.strip() in PAGE
