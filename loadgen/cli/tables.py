"""What a person reads at the end: verdicts, tables, ticks and crosses. On stdout."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.caveats import Caveat
from loadgen.model import Prediction
from loadgen.rundir import RunDirectory
from loadgen.scenario import OpenLoop, Scenario, Variant
from loadgen.summary import Compared, VariantSummary, run_verdict

PIPE_COLUMNS = 120
WIDEST = 1000
"""Columns enough to measure a table in that nothing folds."""
_NONE = "–"


def print_predictions(
    scenario: Scenario, predictions: Sequence[tuple[Variant, Prediction]], path: Path
) -> None:
    """The variants of a scenario and what the model expects of each."""
    console = _console()
    console.print(Text.assemble((scenario.title, "bold"), (f"  {path}", "dim")))
    if scenario.question:
        console.print(scenario.question, markup=False)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    _columns(table, "variant", "closes first", "load")
    _columns(table, "conn/s", "knee", "ports gone", "ceiling", "TW client", "TW server", numeric=True)
    for variant, prediction in predictions:
        table.add_row(
            variant.name,
            closing(variant),
            loading(variant),
            _count(prediction.rate_per_s),
            _at(prediction.time_to_knee_s),
            _at(prediction.time_to_exhaustion_s),
            _NONE if prediction.ceiling_per_s is None else f"{prediction.ceiling_per_s:,.0f}/s",
            _count(prediction.time_wait_client),
            _count(prediction.time_wait_server),
        )
    console.print(table)
    for assumption in dict.fromkeys(text for _, prediction in predictions for text in prediction.assumptions):
        console.print(Text(f"  assumed: {assumption}", style="dim"))


def print_report(
    scenario: Scenario,
    summaries: Sequence[VariantSummary],
    directory: RunDirectory,
    figures: Sequence[Path],
    *,
    quick: bool,
    whole: bool,
) -> None:
    """The whole answer: one verdict, then what it rests on."""
    console = _console()
    variants = {variant.name: variant for variant in scenario.variants}
    console.print(Text(run_verdict(summaries, whole=whole), style="bold"))
    if quick:
        console.print("This was --quick: fewer ports and less time than the scenario asks for.")
    for summary in summaries:
        console.print(Text.assemble("  ", (summary.name, "bold"), ": ", summary.verdict))
    console.print()
    for table in _overview(console, summaries, variants):
        console.print(table)
        console.print()
    _print_errors(console, summaries)
    _print_expectations(console, summaries)
    _print_audit(console, summaries)
    _print_compared(console, summaries)
    _print_caveats(console, summaries)
    console.print(Text("records   ", style="bold"), Text(str(directory.path)), sep="")
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


def _overview(
    console: Console, summaries: Sequence[VariantSummary], variants: dict[str, Variant]
) -> list[Table]:
    """One table, or one below the other where the screen is too narrow: no number is ever folded."""
    punctual = any(_START in summary.metrics for summary in summaries)
    load = {heading: cell for heading, cell in _LOAD.items() if punctual or cell[0] != _START}
    both = _metrics_table(summaries, variants, {**load, **_TIMES})
    if console.measure(both, options=console.options.update(width=WIDEST)).maximum <= console.width:
        return [both]
    return [_metrics_table(summaries, variants, metrics) for metrics in (load, _TIMES)]


def _metrics_table(
    summaries: Sequence[VariantSummary],
    variants: dict[str, Variant],
    metrics: Mapping[str, tuple[str, Callable[[float | None], str]]],
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    _columns(table, "variant", "closes first")
    _columns(table, *metrics, numeric=True)
    for summary in summaries:
        cells = [show(summary.metrics.get(name)) for name, show in metrics.values()]
        table.add_row(summary.name, closing(variants[summary.name]), *cells)
    return table


def _print_expectations(console: Console, summaries: Sequence[VariantSummary]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for summary in summaries:
        for item in summary.expectations:
            table.add_row(_mark(item.verdict.passed), f"{summary.name}: {item.text}", item.verdict.reason)
    if table.row_count:
        console.print(Text("expectations", style="bold"))
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_errors(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """What failed, and whose limit that shows."""
    table = Table(box=None, pad_edge=False, show_header=False)
    _columns(table, "variant", "failure")
    _columns(table, "count", numeric=True)
    _columns(table, "limit")
    for summary in summaries:
        for failure, count in summary.errors.items():
            table.add_row(summary.name, str(failure), f"{count:,}", failure.limit)
    if table.row_count:
        console.print(Text("errors, and whose limit they show", style="bold"))
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_audit(console: Console, summaries: Sequence[VariantSummary]) -> None:
    """Where every count agrees one line says so; where one differs, it is shown."""
    console.print(Text("audit: churn's counts against the kernel's", style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    _columns(table, "", "variant", "counted")
    _columns(table, "churn", "kernel", numeric=True)
    _columns(table, "source")
    for summary in summaries:
        differing = [line for line in summary.audit if not line.exact]
        connected = next((line for line in summary.audit if "PassiveOpens" in line.source), None)
        if not summary.audit:
            table.add_row(_mark(False), summary.name, "nothing was sampled")
        elif not differing and connected is not None:
            counts = f"{len(summary.audit)} counts, {connected.what} among them"
            ours, theirs = f"{connected.ours:,}", f"{connected.theirs:,}"
            table.add_row(_mark(True), summary.name, counts, ours, theirs, connected.source)
        for line in differing:
            table.add_row(
                _mark(False), summary.name, line.what, f"{line.ours:,}", f"{line.theirs:,}", line.source
            )
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_compared(console: Console, summaries: Sequence[VariantSummary]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    _columns(table, "variant", "quantity")
    _columns(table, "predicted", "measured", "error", numeric=True)
    for summary in summaries:
        for number, row in enumerate(summary.compared):
            error = _NONE if row.error is None else f"{row.error:+.1%}"
            table.add_row(
                "" if number else summary.name,
                row.name,
                _quantity(row, row.predicted),
                _quantity(row, row.measured),
                Text(f"{error} (assumed rate)" if row.assumed and row.error else error),
            )
    console.print(Text("prediction beside measurement", style="bold"))
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_caveats(console: Console, summaries: Sequence[VariantSummary]) -> None:
    told: dict[Caveat, list[str]] = {}
    for summary in summaries:
        for caveat in summary.caveats:
            told.setdefault(caveat, []).append(summary.name)
    for caveat, names in sorted(told.items(), key=lambda item: not item[0].invalidates):
        label, style = ("INVALID", "bold red") if caveat.invalidates else ("caveat", "yellow")
        console.print(Text.assemble((f"{label}: ", style), f"{', '.join(names)}: {caveat.cause}"))
        console.print(Text(f"    {caveat.remedy}", style="dim"))
    if told:
        console.print()


def _console() -> Console:
    """Pipes and logs have no width of their own: there, nothing is folded that a review would quote."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)


def _columns(table: Table, *headings: str, numeric: bool = False) -> None:
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=heading in ("variant", "closes first"),
        )


def _mark(passed: bool) -> Text:
    return Text("✔", style="green") if passed else Text("✘", style="red")


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0%}"


def _at(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds:.1f} s"


def _quantity(row: Compared, value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.2f} s" if row.unit == "s" else f"{value:,.0f}{row.unit if row.unit == '/s' else ''}"


def _time(value_ns: float | None) -> str:
    """Nanoseconds in the unit that suits, three digits."""
    if value_ns is None:
        return _NONE
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value_ns >= size:
            return f"{value_ns / size:.3g} {unit}"
    return f"{value_ns:.0f} ns"


_START = "start.p99_ns"
"""How late the load was. Only an open loop is at any instant: without one it has no column."""
_LOAD: Mapping[str, tuple[str, Callable[[float | None], str]]] = {
    "conn/s": ("rate.mean", _count),
    "req/s": ("rate.requests", _count),
    "start p99": (_START, _time),
    "TW client": ("client.time_wait.max", _count),
    "TW server": ("server.time_wait.max", _count),
}
_TIMES: Mapping[str, tuple[str, Callable[[float | None], str]]] = {
    "errors": ("errors.total", _count),
    "connect p50": ("connect.p50_ns", _time),
    "p99": ("connect.p99_ns", _time),
    "response p99": ("response.p99_ns", _time),
    "load CPU": ("client.busy.max", _share),
    "in connect": ("connect.share", _share),
    "server CPU": ("server.busy.max", _share),
}
"""The overview: headings, the metric under each, and how it is written."""
