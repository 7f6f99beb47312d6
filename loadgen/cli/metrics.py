"""`churn metrics`: what a run measures, and what expectations can compare."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from loadgen.cli.exits import Exit, echo, fail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadgen.analysis.metric import Metric, Placeholder


@click.command()
@click.argument("word", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every known word of a placeholder.")
@click.option("--markdown", is_flag=True, help="As the page docs/metrics.md.")
def metrics(word: str, as_json: bool, markdown: bool) -> None:
    """List the metrics, or those that have WORD in a name or in the sentence.

    A name in braces stands for several: {viewpoint}.{state}.max is client.time_wait.max and others.
    """
    from loadgen.analysis.metrics import METRICS
    from loadgen.cli.metrics_page import page, words
    from loadgen.wire.codec import indented

    if markdown:
        if word or as_json:
            raise click.UsageError("--markdown prints the whole page: leave WORD and --json out")
        click.echo(page(), nl=False)
        return
    rows = [row for metric in METRICS for row in _rows(metric) if row.has(word)]
    if not rows:
        fail(Exit.USAGE, f"{word}: no metric has this in its name or sentence; churn metrics lists them all")
    if as_json:
        click.echo(indented([row.listed() for row in rows]))
        return
    width, units = max(len(row.name) for row in rows), max(len(row.metric.unit) for row in rows)
    for row in rows:
        echo(f"{row.name:{width}}  {row.metric.unit:{units}}  {row.sentence}")
    over = dict.fromkeys(placeholder for row in rows for placeholder in row.over)
    if over:
        echo("")
    for one in over:
        listed = f"{words(one)}: " if words(one) else ""
        echo(f"{f'{{{one.name}}}':{width}}  {listed}{one.sentence}")


@dataclass(frozen=True, slots=True)
class _Listed:
    """A line of the list as JSON: `placeholders` has the words that each can stand for, as far as known."""

    name: str
    unit: str
    sentence: str
    placeholders: "Mapping[str, Sequence[str]]"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the list: a metric, a family by its pattern, or a counter of the kernel."""

    metric: "Metric"
    name: str
    sentence: str

    @property
    def over(self) -> "list[Placeholder[Any]]":
        return [placeholder for placeholder in self.metric.over if f"{{{placeholder.name}}}" in self.name]

    def has(self, word: str) -> bool:
        """Whether the word is in the sentence, in the name, or in a name that the pattern stands for."""
        from loadgen.analysis.metric import named

        if word.casefold() in f"{self.name}\n{self.sentence}".casefold():
            return True
        names = named([self.metric], lambda placeholder, _: placeholder.known)
        return any(word in one.name for one in names)

    def listed(self) -> _Listed:
        words = {placeholder.name: list(placeholder.known) for placeholder in self.over}
        return _Listed(self.name, self.metric.unit, self.sentence, words)


def _rows(metric: "Metric") -> "list[_Row]":
    from loadgen.analysis.metrics import COUNTER
    from loadgen.kernel import netstat, snmp

    if COUNTER not in metric.over:
        return [_Row(metric, metric.name, metric.sentence)]
    counters = {**snmp.COUNTERS, **netstat.COUNTERS}
    return [_Row(metric, metric.name.replace("{counter}", name), text) for name, text in counters.items()]
