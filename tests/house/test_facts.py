"""Facts and claims: what code, scenarios and docs cite by number stands in docs/facts.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("loadgen", "servers", "plots", "scenarios", "bench", "docs")
TEXTS = {".py", ".yaml", ".c", ".md"}
CITED = re.compile(r"\b[KC][1-9][0-9]?\b")


def test_every_fact_and_claim_that_is_cited_is_explained_once() -> None:
    rows = re.findall(
        r"^\| (?:<a id=\"k[0-9]+\"></a>)?([KC][0-9]+) \|",
        (ROOT / "docs" / "facts.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == len(set(rows))
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in TEXTS]
    cited = {number: path for path in paths for number in CITED.findall(path.read_text())}
    assert len(cited) > 20
    assert {number: path for number, path in cited.items() if number not in rows} == {}
