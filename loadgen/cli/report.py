"""The sections of the report at the end of a run, below its overview: titles and rows. On stdout."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.compared import Compared
from loadgen.analysis.summary import VariantSummary
from loadgen.cli.columns import GAP, NONE
from loadgen.text.numbers import count, percent

ASSUMED = "*"
"""Marks a prediction that depends on an assumed rate: its error judges the assumption."""
_UNITS = {"/s": "/s", "µs": " µs"}


def print_sections(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """All sections, each with the variants that it concerns."""
    _print_states(console, summaries)
    _print_findings(console, summaries)
    _print_errors(console, summaries)
    _print_expectations(console, summaries)
    _print_audit(console, summaries)
    _print_compared(console, summaries)
    _print_caveats(console, summaries)


def _print_expectations(console: Console, summaries: Sequence[VariantSummary]) -> None:
    table = Table.grid(padding=(0, GAP))
    for summary in summaries:
        for item in summary.expectations:
            table.add_row(_mark(item.passed), f"{summary.name}: {item.text}", item.reason)
    _print_listed(console, "expectations", table)


def _print_states(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """The sockets by state, as `netstat` would have counted them."""
    table = Table.grid(padding=(0, GAP))
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_row("", "most", "load's end", "run's end")
    for summary in summaries:
        if summary.states:
            table.add_row(summary.name)
        for one in summary.states:
            table.add_row(
                f"  {one.viewpoint} {one.state}",
                *(count(number) for number in (one.most, one.at_load_end, one.at_end)),
            )
    if any(summary.states for summary in summaries):
        _print_listed(console, "sockets by state: the most while the load lasted, and when it ended", table)


def _print_findings(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """What was found, with what shows it."""
    table = Table.grid(padding=(0, GAP))
    for summary in summaries:
        for finding in summary.findings:
            shown = "" if finding.observed else "inferred from "
            table.add_row(summary.name, Text(f"{finding.sentence} [{shown}{'; '.join(finding.evidence)}]"))
    if any(summary.findings for summary in summaries):
        _print_listed(console, "findings, and what shows them", table)


def _print_errors(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """What failed, and which limit that shows."""
    table = Table.grid(padding=(0, GAP))
    table.add_column(justify="right", no_wrap=True)
    for summary in summaries:
        for failure, failed in summary.errors.items():
            table.add_row(count(failed), f"{summary.name}: {failure}: {summary.reasons[failure]}")
    _print_listed(console, "errors, and whose limit they show", table)


def _print_audit(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """If every count agrees, one line says so; a count that differs is shown."""
    table = Table.grid(padding=(0, GAP))
    for summary in summaries:
        differing = [line for line in summary.audit if not line.exact]
        connected = next((line for line in summary.audit if "PassiveOpens" in line.source), None)
        if not summary.audit:
            table.add_row(_mark(False), f"{summary.name}: nothing was sampled")
        elif not differing and connected is not None:
            but = (
                " (differences that a caveat explains included)"
                if any(line.by_races for line in summary.audit)
                else ""
            )
            counts = f"{len(summary.audit)} counts agree{but}, among them {_counted(connected)}"
            table.add_row(_mark(True), f"{summary.name}: {counts}")
        for line in differing:
            table.add_row(_mark(False), f"{summary.name}: {_counted(line)}")
    _print_listed(console, "audit: every count against the kernel's", table)


def _counted(line: AuditLine) -> str:
    return f"{line.what} {line.ours:,} ({line.source} {line.theirs:,})"


def _print_compared(console: Console, summaries: Sequence[VariantSummary]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold")
    for heading in ("predicted", "", "measured", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for summary in summaries:
        if summary.compared:
            table.add_row(summary.name)
        for row in summary.compared:
            table.add_row(
                f"  {row.name}",
                _quantity(row, row.predicted),
                "" if row.within is None else f"±{percent(row.within)}",
                _quantity(row, row.measured),
                NONE if row.error is None else f"{row.error:+.1%}",
                ASSUMED if row.assumed and row.error else "",
            )
    _print_listed(console, f"prediction beside measurement ({ASSUMED}: from an assumed rate)", table)


def _print_listed(console: Console, title: str, table: Table) -> None:
    """Rows under a title; nothing if there are none."""
    if table.row_count:
        console.print(Text(title, style="bold"))
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_caveats(console: Console, summaries: Sequence[VariantSummary]) -> None:
    variants: dict[Caveat, list[str]] = {}
    for summary in summaries:
        for caveat in summary.caveats:
            variants.setdefault(caveat, []).append(summary.name)
    for caveat, names in sorted(variants.items(), key=lambda item: not item[0].invalidates):
        label, style = ("INVALID", "bold red") if caveat.invalidates else ("caveat", "yellow")
        console.print(Text.assemble((f"{label}: ", style), f"{', '.join(names)}: {caveat.cause}"))
        console.print(Text(f"    {caveat.remedy}", style="dim"))
    if variants:
        console.print()


def _mark(passed: bool) -> Text:
    return Text("✔", style="green") if passed else Text("✘", style="red")


def _quantity(row: Compared, value: float | None) -> str:
    if value is None:
        return NONE
    if row.unit == "s":
        return f"{value:.2f} s"
    return f"{count(value)}{_UNITS.get(row.unit, '')}"
