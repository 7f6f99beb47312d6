"""Facts and claims: what code, scenarios and docs cite by number is in docs/facts.md, or among the claims."""

import re
from pathlib import Path

from loadgen.scenario.catalogue import catalogue

ROOT = Path(__file__).parents[2]
ROOMS = ("loadgen", "servers", "plots", "scenarios", "bench", "docs")
TEXTS = {".py", ".yaml", ".c", ".md"}
CITED = re.compile(r"\b[KC][1-9][0-9]?\b")


def test_every_fact_and_claim_that_is_cited_is_explained_once() -> None:
    facts = re.findall(
        r"^\| (?:<a id=\"k[0-9]+\"></a>)?(K[0-9]+) \|",
        (ROOT / "docs" / "facts.md").read_text(),
        re.MULTILINE,
    )
    assert len(facts) == len(set(facts))
    rows = {*facts, *catalogue()}
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in TEXTS]
    cited = {number: path for path in paths for number in CITED.findall(path.read_text())}
    assert len(cited) > 20
    assert {number: path for number, path in cited.items() if number not in rows} == {}
