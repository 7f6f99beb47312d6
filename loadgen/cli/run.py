"""`churn run`: the main job."""

import asyncio
import errno
import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo, fail
from loadgen.cli.signals import stop_handler
from loadgen.cli.sources import read_scenario, runs_option, scenario_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.analysis.summary import VariantSummary
    from loadgen.engine.experiment import Outcome, Watcher
    from loadgen.records.directory import RunDirectory
    from loadgen.scenario.models import Scenario

LAB_CHECKS = frozenset({"namespaces", "sysctls", "links"})
"""The checks that a lab of its own stands on."""

SPARE_DESCRIPTORS = 64
"""What a process needs besides its connections: pipes, event loop, libraries."""


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

    Ctrl-C ends the running variant and keeps and summarises what there is; a second one stops at once.

    \b
    Exit: 0 fine, 99 an expectation failed, 104 bad scenario, 105 interrupted,
    106 the measurement is invalid (the caveats say why), 2 usage or an output
    that cannot be written, 1 a bug.
    """
    from loadgen.analysis.summary_document import summary_document
    from loadgen.cli.screen import watcher_for
    from loadgen.cli.tables import print_figures, print_report
    from loadgen.engine.experiment import create_directory
    from loadgen.engine.preflight import raise_descriptor_limit
    from loadgen.lab.errors import BuilderKilledError, LabUnavailable, SysctlRefused
    from loadgen.records.types import SCHEMA_VERSION

    path, asked = read_scenario(scenario, overrides=overrides, variants=variants, quick=quick)
    need_programs(asked)
    need_uring(asked)
    raise_descriptor_limit()
    asked = prepared(asked, runs)
    need_commands(asked)
    try:
        directory = create_directory(runs, path)
    except OSError as error:
        fail(Exit.USAGE, f"no run directory can be made: {error}; choose another place: -o DIR")
    kept = f"What was recorded until then is kept in {directory.path}."
    try:
        outcome = conduct(asked, directory, watcher_for(asked, directory, quick), quick)
    except asyncio.CancelledError:
        fail(Exit.INTERRUPTED, f"Stopped at once. {kept}")
    summaries, failure = outcome.summaries, outcome.failure
    whole = failure is None
    if as_json and (summaries or whole):
        names = [variant.name for variant in asked.variants]
        document = summary_document(directory.id, summaries, names, whole=whole)
        echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=2))
    elif summaries or whole:
        print_report(asked, summaries, directory, quick=quick, whole=whole)
    if summaries and whole and not no_figures:
        try:
            figures = draw_figures(directory, summaries)
        except OSError as error:
            fail(
                exit_code(outcome) or Exit.USAGE,
                f"no figures: {error}; once that is mended: churn plot {directory.path}",
            )
        except KeyboardInterrupt:
            fail(Exit.INTERRUPTED, f"The figures were cut short; to draw them: churn plot {directory.path}")
        else:
            if not as_json:
                print_figures(figures)
    match failure:
        case None:
            raise SystemExit(int(exit_code(outcome)))
        case SysctlRefused():
            fail(Exit.BAD_SCENARIO, f"{path}: {failure}")
        case LabUnavailable() | BuilderKilledError() | OSError():
            fail(Exit.INVALID, f"{explained(failure)}\n{kept}")
        case _:
            raise failure


def need_commands(scenario: "Scenario") -> None:
    """See that commands can be kept where they are to run; in a lab of its own a user may do so."""
    from loadgen.engine import plans
    from loadgen.engine.preflight import Verdict, command_check
    from loadgen.scenario.choices import Topology

    places = [
        f"{key} of {variant.name}"
        for variant in scenario.variants
        if variant.lab.topology is Topology.HOST
        for key in plans.programs(variant)
    ]
    if places and (check := command_check(", ".join(places))).verdict is not Verdict.OK:
        fail(Exit.INVALID, f"{check.found}; {check.remedy}")


def need_programs(scenario: "Scenario") -> None:
    """See that the programs of all commands are installed; nothing is begun where one is not."""
    from loadgen.engine import plans
    from loadgen.engine.preflight import Verdict, program_check

    asked: dict[str, list[str]] = {}
    for variant in scenario.variants:
        for key, program in plans.programs(variant).items():
            asked.setdefault(program, []).append(f"{key} of {variant.name}")
    found = [program_check(program, ", ".join(places)) for program, places in asked.items()]
    missing = [
        f"{check.name} {check.found}; {check.remedy}" for check in found if check.verdict is Verdict.FAIL
    ]
    if missing:
        fail(Exit.INVALID, "\n".join(missing))


def need_uring(scenario: "Scenario") -> None:
    """See that io_uring can be had where it is asked for by name."""
    from loadgen.engine.preflight import Verdict, uring_check
    from loadgen.scenario.choices import Driver

    for variant in scenario.variants:
        check = uring_check(variant.lab.client.addresses)
        if variant.load.driver is Driver.URING and check.verdict is not Verdict.OK:
            fail(Exit.INVALID, f"load.driver of {variant.name}: {check.found}; {check.remedy}")


def prepared(scenario: "Scenario", runs: Path) -> "Scenario":
    """The scenario as this machine can run it, after a look at what it allows; doubts go to stderr."""
    from loadgen.engine import plans
    from loadgen.engine.experiment import on_host
    from loadgen.engine.preflight import Verdict, checks
    from loadgen.scenario.choices import Topology

    needed = max(plans.descriptors(variant) for variant in scenario.variants) + SPARE_DESCRIPTORS
    workers = max(variant.load.workers + variant.server.workers for variant in scenario.variants)
    found = checks(descriptors_needed=needed, directory=runs, workers=workers)
    for check in found:
        if check.verdict is not Verdict.OK:
            echo(f"{check.verdict}: {check.name}: {check.found}; {check.remedy}", err=True)
    no_lab = any(check.verdict is Verdict.FAIL and check.name in LAB_CHECKS for check in found)
    if no_lab and any(variant.lab.topology is not Topology.HOST for variant in scenario.variants):
        echo("No lab can be had: running on plain loopback, where the answer differs (K12).", err=True)
        return on_host(scenario)
    return scenario


def conduct(scenario: "Scenario", directory: "RunDirectory", watcher: "Watcher", quick: bool) -> "Outcome":
    """Run all variants under a loop of our own, with Ctrl-C in our hands."""
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


def explained(failure: Exception) -> str:
    """What went wrong and what to do, in a sentence."""
    from loadgen.lab.errors import LabUnavailable

    match failure:
        case LabUnavailable():
            return f"{failure}; {failure.remedy}"
        case OSError(errno=errno.EMFILE):
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return f"{failure}: the limit is {limit} (ulimit -n); raise the hard one, as root: ulimit -Hn"
        case _:
            return str(failure)


def exit_code(outcome: "Outcome") -> Exit:
    """The gravest thing that can be said of the run."""
    if outcome.interrupted:
        return Exit.INTERRUPTED
    if not all(summary.valid for summary in outcome.summaries):
        return Exit.INVALID
    if not all(summary.passed for summary in outcome.summaries):
        return Exit.EXPECTATION_FAILED
    return Exit.FINE
