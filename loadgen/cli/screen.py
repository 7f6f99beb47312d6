"""Progress of a run: a live view on a terminal, plain lines elsewhere. On stderr."""

from collections.abc import Sequence
from time import monotonic

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary
from loadgen.cli.columns import Screen
from loadgen.engine.experiment import Watcher
from loadgen.records.directory import RunDirectory
from loadgen.records.events import FaultBegan, FaultEnded, FaultFailed, StageBegan
from loadgen.records.latency import Latency
from loadgen.records.prediction import Prediction
from loadgen.records.types import Interval, Record, Sample
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import State

REFRESH_S = 0.2
"""Drawn when records arrive, not by a thread: this process forks others."""
LINE_S = 1.0
"""How often a plain line is printed."""
RATE_INTERVALS = 5
"""The number of intervals that the shown rate is the mean of."""


def watcher_for(scenario: Scenario, directory: RunDirectory, quick: bool) -> Watcher:
    """A live view if stderr is a terminal, else plain lines."""
    console = Screen(stderr=True, highlight=False)
    kind = LiveView if console.is_terminal and not console.is_dumb_terminal else PlainLines
    return kind(console, scenario, directory, quick)


FAULTS = (FaultBegan, FaultEnded, FaultFailed)


class Current:
    """The variant that runs, as numbers for the screen."""

    def __init__(self, variant: Variant, prediction: Prediction, fold: Fold) -> None:
        self.variant = variant
        self.prediction = prediction
        self.fold = fold

    @property
    def elapsed_s(self) -> float:
        return self.fold.intervals[-1].end_ns / 1e9 if self.fold.intervals else 0.0

    @property
    def duration_s(self) -> float:
        return self.variant.load.duration / 1e9

    @property
    def left_s(self) -> float:
        return max(self.duration_s - self.elapsed_s, 0.0)

    def rate(self) -> float:
        """Connections per second, over the last intervals."""
        return _rate(self.fold.intervals[-RATE_INTERVALS:])

    def offered(self) -> str:
        if self.variant.load.program:
            return f"by {self.variant.load.program}"
        loop = self.variant.load.loop
        if self.variant.load.stages:
            return self.variant.load.staged
        return (
            f"{loop.rate:,.10g} requests/s" if isinstance(loop, OpenLoop) else f"{loop.connections} in flight"
        )

    def time_wait(self, viewpoint: str) -> int:
        samples = self.fold.samples
        return samples[-1].viewpoints[viewpoint].count(State.TIME_WAIT) if samples else 0

    def errors(self) -> str:
        return ", ".join(f"{failure} {count:,}" for failure, count in self.fold.errors.most_common(4))


class PlainLines:
    """One line a second, for logs and pipes."""

    def __init__(self, console: Console, scenario: Scenario, directory: RunDirectory, quick: bool) -> None:
        self._console = console
        self._console.soft_wrap = True
        self._due = 0.0
        count = len(scenario.variants)
        variants = f"{count} variant{'s' * (count > 1)}"
        self._print(f"{scenario.title}{_quickly(quick)}: {variants} into {directory.path}")

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def variant_begins(self, variant: Variant, prediction: Prediction, fold: Fold) -> None:
        self._current = Current(variant, prediction, fold)
        self._print(f"{variant.name}: begins")

    def record(self, record: Record | Latency) -> None:
        if isinstance(record, FAULTS):
            self._print(f"{self._current.variant.name}: {record.t_ns / 1e9:5.1f} s, script: {record.label}")
        if isinstance(record, StageBegan):
            self._print(f"{self._current.variant.name}: {record.t_ns / 1e9:5.1f} s, {record.label}")
        if isinstance(record, Interval) and monotonic() >= self._due:
            self._due = monotonic() + LINE_S
            current = self._current
            held = ", ".join(f"{name} {current.time_wait(name):,}" for name in current.fold.scope.names)
            errors = current.errors()
            self._print(
                f"{current.variant.name}: {current.elapsed_s:5.1f} of {current.duration_s:g} s,"
                f" {current.rate():,.0f} conn/s, TIME-WAIT {held}" + (f", errors {errors}" if errors else "")
            )

    def variant_ends(self, summary: VariantSummary) -> None:
        self._print(f"{summary.name}: {summary.verdict}")
        for caveat in summary.caveats:
            if caveat.invalidates:
                self._print(f"{summary.name}: INVALID: {caveat.cause}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)


class LiveView:
    """The run, redrawn in place; each finished variant stays as one line."""

    def __init__(self, console: Console, scenario: Scenario, directory: RunDirectory, quick: bool) -> None:
        self._title = f"{scenario.title}{_quickly(quick)}"
        self._directory = directory
        self._waiting = [variant.name for variant in scenario.variants]
        self._done: list[VariantSummary] = []
        self._current: Current | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._due = 0.0

    def __enter__(self) -> "LiveView":
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def variant_begins(self, variant: Variant, prediction: Prediction, fold: Fold) -> None:
        self._waiting.remove(variant.name)
        self._current = Current(variant, prediction, fold)
        self._draw()

    def record(self, record: Record | Latency) -> None:
        if isinstance(record, Interval | Sample) and monotonic() >= self._due:
            self._due = monotonic() + REFRESH_S
            self._draw()

    def variant_ends(self, summary: VariantSummary) -> None:
        self._done.append(summary)
        self._current = None
        self._draw()

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        rows: list[RenderableType] = [
            Text(self._title, style="bold"),
            Text(str(self._directory.path), style="dim"),
        ]
        for summary in self._done:
            good = summary.passed and summary.valid and summary.exact
            mark = Text("✔ ", style="green") if good else Text("✘ ", style="red")
            rows.append(Text.assemble(mark, (summary.name, "bold"), "  ", summary.verdict))
        if self._current is not None:
            rows.append(_panel(self._current))
        if self._waiting:
            rows.append(Text(f"  then {', '.join(self._waiting)}", style="dim"))
        return Group(*rows)


def _panel(current: Current) -> RenderableType:
    """The variant that runs."""
    ports = current.fold.ports
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    elapsed = (
        f"{current.elapsed_s:.1f} s, {current.left_s:.0f} s left" if current.fold.intervals else "starting"
    )
    grid.add_row(
        Text(f"▶ {current.variant.name}", style="bold not dim"),
        _beside(
            ProgressBar(current.duration_s, min(current.elapsed_s, current.duration_s), width=40), elapsed
        ),
    )
    grid.add_row("rate", f"{current.rate():,.0f} connections/s, offered {current.offered()}")
    for name in current.fold.scope.names:
        held = current.time_wait(name)
        style = "red" if held > ports / 2 else "yellow"
        bar = ProgressBar(ports, min(held, ports), width=40, complete_style=style, finished_style="red")
        grid.add_row(f"TIME-WAIT {name}", _beside(bar, f"{held:,} of {ports:,} ports"))
    faults = [event for event in current.fold.events if isinstance(event, FAULTS)]
    if faults:
        grid.add_row("script", f"{faults[-1].label}, at {faults[-1].t_ns / 1e9:.1f} s")
    grid.add_row("errors", _errors(current))
    return grid


def _errors(current: Current) -> Text:
    """What failed so far; not available from a command."""
    if current.variant.load.program:
        return Text(f"not available: {current.variant.load.program} is an external program", style="dim")
    errors = current.errors()
    return Text(errors, style="red") if errors else Text("none", style="dim")


def _beside(bar: ProgressBar, text: str) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    row.add_row(bar, text)
    return row


def _quickly(quick: bool) -> str:
    return " (--quick: fewer ports, shorter)" if quick else ""


def _rate(intervals: Sequence[Interval]) -> float:
    """Connections established per second over some intervals; 0 if they have no length."""
    length_ns = sum(one.end_ns - one.start_ns for one in intervals)
    return sum(one.connected for one in intervals) * 1e9 / length_ns if length_ns > 0 else 0.0
