"""The page docs/metrics.md, as `churn metrics --markdown` prints it."""

from collections.abc import Iterable, Sequence
from typing import Any

from loadgen.analysis import metrics
from loadgen.analysis.metric import UNITS, Placeholder
from loadgen.kernel import netstat, snmp

FEW = 12
"""Words that are listed; of more, the sentence says what they are."""

_INTRODUCTION = """\
`churn metrics --markdown` writes this page; `churn metrics WORD` searches it.

An [expectation](scenarios.md#expectations) compares metrics, and summary.json has those of each variant.
A metric that was not measured is absent, and is not 0. Braces stand for [several words](#placeholders)."""

_COUNTERS = """\
For `{viewpoint}.kernel.{counter}`, by the kernel's own names. A kernel that lacks a counter leaves it out.
The K numbers are those of [facts.md](facts.md)."""


def page() -> str:
    sources = {"/proc/net/snmp": snmp.COUNTERS, "/proc/net/netstat": netstat.COUNTERS}
    over = dict.fromkeys(one for metric in metrics.METRICS for one in metric.over)
    parts = [
        "# Metrics",
        _INTRODUCTION,
        _table(("metric", "unit"), ((f"`{one.name}`", one.unit, one.sentence) for one in metrics.METRICS)),
        "## Units",
        _table(("unit",), ((unit, sentence) for unit, sentence in UNITS.items())),
        "## Placeholders",
        _table(("name", "words"), ((f"`{{{one.name}}}`", words(one, "`"), one.sentence) for one in over)),
        "## Counters of the kernel",
        _COUNTERS,
        _table(
            ("counter", "read from"),
            (
                (f"`{name}`", source, sentence)
                for source, counters in sources.items()
                for name, sentence in counters.items()
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def words(placeholder: Placeholder[Any], quote: str = "") -> str:
    """The words that a placeholder stands for, if they are few."""
    known = placeholder.known
    return ", ".join(f"{quote}{word}{quote}" for word in known) if len(known) <= FEW else ""


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; its last column, the sentence, has no heading."""
    lines = [(*heading, ""), ("---",) * (len(heading) + 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
