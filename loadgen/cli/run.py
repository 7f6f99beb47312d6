"""`churn run`: the main job."""

import asyncio
import errno
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo, exit_code, fail
from loadgen.cli.signals import stop_handler
from loadgen.cli.sources import read_scenario, runs_option, scenario_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.analysis.summary import VariantSummary
    from loadgen.engine.experiment import Outcome, Watcher
    from loadgen.records.directory import RunDirectory
    from loadgen.scenario.document import Scenario

FALLBACK = (
    "Cannot create network namespaces. Running on plain loopback, where Linux reuses TIME-WAIT ports"
    " after 1 s, so the result will differ (see docs/facts.md#k12)."
)


@click.command()
@scenario_arguments
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print summary.json to stdout instead of the tables.")
@click.option("--no-figures", is_flag=True, help="Record and summarise only.")
def run(
    scenario: str,
    overrides: tuple[str, ...],
    variants: tuple[str, ...],
    quick: bool,
    runs: Path,
    as_json: bool,
    no_figures: bool,
) -> None:
    """Run SCENARIO: a file, or the name of a bundled one (`churn list`).

    Ctrl-C ends the running variant, keeps its records and summarises them; a second one stops at once.

    \b
    Exit: 0 fine, 99 an expectation failed, 104 bad scenario, 105 interrupted,
    106 the measurement is invalid (the caveats say why), 2 usage or an output
    that cannot be written, 1 a bug.
    """
    from loadgen.analysis.summary_document import summary_document
    from loadgen.cli.screen import watcher_for
    from loadgen.cli.tables import foreseen_lines, print_figures, print_report
    from loadgen.engine.experiment import create_directory
    from loadgen.lab.errors import BuilderKilledError, LabUnavailable, SysctlRefused
    from loadgen.wire.codec import indented

    path, asked = read_scenario(scenario, overrides=overrides, variants=variants, quick=quick)
    asked = ready(asked, runs)
    for line in foreseen_lines(asked.variants):
        echo(f"foreseen: {line}", err=True)
    try:
        directory = create_directory(runs, path)
    except OSError as error:
        fail(Exit.USAGE, f"cannot create a run directory: {error}; choose another place: -o DIR")
    kept = f"The records until then are in {directory.path}."
    try:
        outcome = run_variants(asked, directory, watcher_for(asked, directory, quick), quick)
    except asyncio.CancelledError:
        fail(Exit.INTERRUPTED, f"Stopped at once. {kept}")
    summaries, failure = outcome.summaries, outcome.failure
    whole = failure is None
    if as_json and (summaries or whole):
        names = [variant.name for variant in asked.variants]
        summary = summary_document(directory.id, summaries, names, whole=whole)
        echo(indented(summary))
    elif summaries or whole:
        print_report(asked, summaries, directory, quick=quick, whole=whole)
    if summaries and whole and not no_figures:
        try:
            figures = draw_figures(directory, summaries)
        except OSError as error:
            fail(
                exit_code(outcome) or Exit.USAGE,
                f"no figures: {error}; to draw them once that is repaired: churn plot {directory.path}",
            )
        except KeyboardInterrupt:
            fail(Exit.INTERRUPTED, f"Stopped while drawing; to draw the figures: churn plot {directory.path}")
        else:
            if not as_json:
                print_figures(figures)
    match failure:
        case None:
            raise SystemExit(int(exit_code(outcome)))
        case SysctlRefused():
            fail(Exit.BAD_SCENARIO, f"{path}: {failure}")
        case LabUnavailable() | BuilderKilledError() | OSError():
            fail(Exit.INVALID, f"{explanation(failure)}\n{kept}")
        case _:
            raise failure


def ready(scenario: "Scenario", runs: Path) -> "Scenario":
    """The scenario as this machine can run it. Warnings go to stderr; exits with INVALID if it cannot run."""
    from loadgen.engine.preflight import preflight

    found = preflight(scenario, runs)
    for check in found.warnings:
        echo(f"{check.verdict}: {check.name}: {check.found}; {check.remedy}", err=True)
    if found.fallback:
        echo(FALLBACK, err=True)
    if found.refusals:
        fail(Exit.INVALID, "\n".join(f"{refusal.reason}; {refusal.remedy}" for refusal in found.refusals))
    return found.scenario


def run_variants(
    scenario: "Scenario", directory: "RunDirectory", watcher: "Watcher", quick: bool
) -> "Outcome":
    """Run all variants under an event loop. The first Ctrl-C ends the variant, the second cancels the run."""
    import uvloop

    from loadgen.engine.experiment import run_scenario

    async def go() -> "Outcome":
        stop = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            if stop.is_set():
                task.cancel()
            stop.set()

        with stop_handler(interrupt):
            return await run_scenario(scenario, directory, watcher, stop, quick=quick)

    with watcher, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(go())


def draw_figures(directory: "RunDirectory", summaries: "Sequence[VariantSummary]") -> list[Path]:
    echo("drawing the figures", err=True)
    from plots.figures import draw

    return draw(directory, summaries)


def explanation(failure: Exception) -> str:
    """The failure and its remedy, in a sentence."""
    from loadgen.lab.errors import LabUnavailable

    match failure:
        case LabUnavailable():
            return f"{failure}; {failure.remedy}"
        case OSError(errno=errno.EMFILE):
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return f"{failure}: the limit is {limit} (ulimit -n); raise the hard limit, as root: ulimit -Hn"
        case _:
            return str(failure)
