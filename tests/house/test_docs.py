"""The docs name modules, sections and facts that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:loadgen|servers|plots|scenarios|tests)/[\w./]*)`", page.read_text(encoding="utf-8")
    )
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            text = linked.read_text(encoding="utf-8")
            headings = {
                re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
                for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            }
            assert anchor in headings or f'id="{anchor}"' in text, f"{target}#{anchor}"


def test_the_picture_of_the_rooms_has_the_layers_of_the_contract() -> None:
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (layers,) = re.findall(r"^layers = \[(.*?)^\]", contract, re.MULTILINE | re.DOTALL)
    rooms = re.findall(r"loadgen\.(\w+)", layers)
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## The processes")[0]
    heights = [next(n for n, line in enumerate(picture.splitlines()) if _box(line, room)) for room in rooms]
    assert heights == sorted(heights)
    assert len(set(heights)) == len(re.findall(r'"', layers)) // 2


def test_every_room_is_in_the_table_with_a_module_to_begin_with() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+/[\w./]*)` \|.*\| (?:`([\w./]+)`)? ?\|$", page, re.MULTILINE))
    rooms = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "loadgen").glob("*/__init__.py")}
    assert rooms == {row for row in rows if re.fullmatch(r"loadgen/\w+/", row)}
    assert all(begin.startswith(row) for row, begin in rows.items() if row in rooms)


def _box(line: str, room: str) -> bool:
    return re.search(rf"│ *{room} *│", line) is not None
