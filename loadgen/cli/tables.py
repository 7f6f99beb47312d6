"""The report at the end of a run, and predictions: headlines and tables. On stdout."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.analysis.audit import AuditLine
from loadgen.analysis.caveats.caveat import Caveat
from loadgen.analysis.compared import Compared
from loadgen.analysis.headline import time_waits
from loadgen.analysis.summary import VariantSummary
from loadgen.analysis.summary_document import run_verdict
from loadgen.cli.columns import GAP, Column, print_columns, screen
from loadgen.model.foresight import foresee
from loadgen.records.directory import RunDirectory
from loadgen.records.prediction import Prediction
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.text.numbers import count, duration, percent

_NONE = "–"
ASSUMED = "*"
"""Marks a prediction that depends on an assumed rate: its error judges the assumption."""


def print_predictions(
    scenario: Scenario, predictions: Sequence[tuple[Variant, Prediction]], path: Path
) -> None:
    """The variants of a scenario: what is foreseen in words, and the prediction for each."""
    console = screen()
    console.print(Text.assemble((scenario.title, "bold"), (f"  {path}", "dim")))
    if scenario.question:
        console.print(scenario.question, markup=False)
    console.print()
    variants = [variant for variant, _ in predictions]
    lines = foreseen_lines(variants)
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if lines:
        console.print()
    columns = [
        Column("variant", [variant.name for variant in variants], numeric=False),
        Column("closes first", [closing(variant) for variant in variants], numeric=False),
        Column("load", [loading(variant) for variant in variants], numeric=False),
    ]
    for heading, cell in _PREDICTED.items():
        columns.append(Column(heading, [cell(prediction) for _, prediction in predictions]))
    print_columns(console, columns)
    for assumption in dict.fromkeys(text for _, prediction in predictions for text in prediction.assumptions):
        console.print(Text(f"  assumed: {assumption}", style="dim"))


def foreseen_lines(variants: Sequence[Variant]) -> list[str]:
    """What the settings lead to, a line each; it names its variants unless it holds for all."""
    names: dict[str, list[str]] = {}
    for variant in variants:
        for foreseen in foresee(variant):
            names.setdefault(foreseen.sentence, []).append(variant.name)
    return [
        sentence if len(found) == len(variants) else f"{', '.join(found)}: {sentence}"
        for sentence, found in names.items()
    ]


def print_report(
    scenario: Scenario,
    summaries: Sequence[VariantSummary],
    directory: RunDirectory,
    *,
    quick: bool,
    whole: bool,
) -> None:
    """The whole report: one verdict, then what it is based on."""
    console = screen()
    variants = {variant.name: variant for variant in scenario.variants}
    console.print(Text(run_verdict(summaries, variants, whole=whole), style="bold"))
    if quick:
        console.print("This was --quick: fewer ports and less time than the scenario asks for.")
    for summary in summaries:
        console.print(Text.assemble("  ", (summary.name, "bold"), ": ", summary.verdict))
    console.print()
    _print_overview(console, summaries, variants)
    _print_states(console, summaries)
    _print_findings(console, summaries)
    _print_errors(console, summaries)
    _print_expectations(console, summaries)
    _print_audit(console, summaries)
    _print_compared(console, summaries)
    _print_caveats(console, summaries)
    console.print(Text("records   ", style="bold"), Text(str(directory.path)), sep="")


def print_figures(figures: Sequence[Path]) -> None:
    """Where the figures are."""
    console = screen()
    for path in figures:
        if path.suffix == ".png":
            console.print(Text("figure    ", style="bold"), Text(str(path)), sep="")


def closing(variant: Variant) -> str:
    """Who closes, how, after how many requests."""
    connection = variant.connection
    return f"{connection.closer} {connection.close.upper()} ×{connection.requests}"


def loading(variant: Variant) -> str:
    if variant.load.program:
        return f"{variant.load.program}, {variant.load.duration}"
    loop = variant.load.loop
    offered = (
        f"{loop.rate} {loop.arrivals}" if isinstance(loop, OpenLoop) else f"{loop.connections} in flight"
    )
    return f"{offered}, {variant.load.duration}"


def _print_overview(
    console: Console, summaries: Sequence[VariantSummary], variants: Mapping[str, Variant]
) -> None:
    left_out = set[str]()
    if not any(_START in summary.metrics for summary in summaries):
        left_out.add(_START)
    if not any(_times_some(summary.metrics) for summary in summaries):
        left_out.add(_TIMED)
    columns = [
        Column("variant", [summary.name for summary in summaries], numeric=False),
        Column("closes first", [closing(variants[summary.name]) for summary in summaries], numeric=False),
    ]
    sampled = dict.fromkeys(name for summary in summaries for name in time_waits(summary.metrics))
    waiting: _Measured = {f"TW {name}": (f"{name}.time_wait.max", _count) for name in sampled}
    for heading, (name, show) in {**_RATES, **waiting, **_TIMES}.items():
        if name not in left_out:
            columns.append(Column(heading, [show(summary.metrics.get(name)) for summary in summaries]))
    print_columns(console, columns)


def _times_some(metrics: Mapping[str, float]) -> bool:
    """Whether connect() was timed for some connections only, as the uring driver does."""
    return metrics.get(_TIMED, math.inf) < metrics.get("connected", 0)


def _print_expectations(console: Console, summaries: Sequence[VariantSummary]) -> None:
    table = Table.grid(padding=(0, GAP))
    for summary in summaries:
        for item in summary.expectations:
            table.add_row(_mark(item.passed), f"{summary.name}: {item.text}", item.reason)
    _print_listed(console, "expectations", table)


def _print_states(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """The sockets by state, as `netstat` would have counted them."""
    table = Table.grid(padding=(0, GAP))
    table.add_column()
    table.add_column()
    for _ in range(3):
        table.add_column(justify="right")
    table.add_row("", "", "most", "load's end", "run's end")
    for summary in summaries:
        for place, one in enumerate(summary.states):
            table.add_row(
                "" if place else summary.name,
                f"{one.viewpoint} {one.state}",
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
                _NONE if row.error is None else f"{row.error:+.1%}",
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


def _shown(write: Callable[[float], str]) -> Callable[[float | None], str]:
    """The same, with a dash for a number that was not measured."""
    return lambda value: _NONE if value is None else write(value)


def _tenths(value_s: float) -> str:
    return f"{value_s:.1f} s"


def _nanoseconds(value_ns: float) -> str:
    return duration(value_ns / 1e9)


def _quantity(row: Compared, value: float | None) -> str:
    if value is None:
        return _NONE
    if row.unit == "s":
        return f"{value:.2f} s"
    return f"{count(value)}{_UNITS.get(row.unit, '')}"


_UNITS = {"/s": "/s", "µs": " µs"}
_count, _time, _share, _at = _shown(count), _shown(_nanoseconds), _shown(percent), _shown(_tenths)


def _rate(per_s: float | None) -> str:
    return _NONE if per_s is None else f"{count(per_s)}/s"


_PREDICTED: Mapping[str, Callable[[Prediction], str]] = {
    "conn/s": lambda prediction: _count(prediction.rate_per_s),
    "slow connect()": lambda prediction: _at(prediction.time_to_knee_s),
    "rate falls": lambda prediction: _at(prediction.time_to_knee_s if prediction.rate_falls else None),
    "ports gone": lambda prediction: _at(prediction.time_to_exhaustion_s),
    "ceiling": lambda prediction: _rate(prediction.ceiling_per_s),
    "TW client": lambda prediction: _count(prediction.time_wait_client),
    "TW server": lambda prediction: _count(prediction.time_wait_server),
}
"""The columns of the predictions: headings, and the value under each."""
_Measured: TypeAlias = Mapping[str, tuple[str, Callable[[float | None], str]]]
_START = "start.p99_ns"
"""How late starts were. Only an open loop schedules starts: without one there is no such column."""
_TIMED = "timed"
"""Of how many connections the times of connect() are. If they are of all, there is no such column."""
_RATES: _Measured = {
    "conn/s": ("rate.mean", _count),
    "req/s": ("rate.requests", _count),
    "start p99": (_START, _time),
}
_TIMES: _Measured = {
    "errors": ("errors.total", _count),
    "connect p50": ("connect.p50_ns", _time),
    "connect p99": ("connect.p99_ns", _time),
    "of timed": (_TIMED, _count),
    "response p99": ("response.p99_ns", _time),
    "load CPU": ("client.busy.max", _share),
    "in connect": ("connect.share", _share),
    "server CPU": ("server.busy.max", _share),
}
"""The columns of the overview, before and after those of TIME-WAIT: headings, the metric under each, and how
it is written."""
