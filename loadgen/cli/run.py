"""`churn run`: the main job."""

import asyncio
import errno
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo, exit_code, fail, worst
from loadgen.cli.signals import interruptible, stop_handler
from loadgen.cli.sources import read_scenario, runs_option, scenario_options
from loadgen.wire.codec import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadgen.analysis.claims import RunClaims
    from loadgen.analysis.summary import VariantSummary
    from loadgen.engine.experiment import Outcome, Watcher
    from loadgen.records.directory import RunDirectory
    from loadgen.scenario.document import Scenario

FALLBACK = (
    "Cannot create network namespaces. Running on plain loopback, where Linux reuses TIME-WAIT ports"
    " after 1 s, so the result will differ (see docs/facts.md#k12)."
)


@click.command()
@click.argument("scenario", required=False)
@scenario_options
@click.option("--all", "everything", is_flag=True, help="Run all bundled scenarios.")
@click.option("--theme", metavar="THEME", help="Run the bundled scenarios of a theme (`churn list`).")
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print summary.json to stdout instead of the tables.")
@click.option("--no-figures", is_flag=True, help="Record and summarise only.")
@click.option("--verdicts", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
def run(
    scenario: str | None,
    overrides: tuple[str, ...],
    variants: tuple[str, ...],
    quick: bool,
    everything: bool,
    theme: str | None,
    runs: Path,
    as_json: bool,
    no_figures: bool,
    verdicts: Path | None,
) -> None:
    """Run SCENARIO: a file, or the name of a bundled one (`churn list`).

    With --all or --theme, run the bundled ones: those that leave the machine idle most of the time beside
    each other, then each other by itself. End with the table of their claims (as JSON: --json) and
    with the most serious of their exit codes.

    Ctrl-C ends the running variant, keeps its records and summarises them; a second one stops at once.

    \b
    Exit: 0 fine, 99 an expectation failed or a claim is undecided, 104 bad
    scenario, 105 interrupted, 106 the measurement is invalid (the caveats say
    why), 2 usage or an output that cannot be written, 1 a bug.
    """
    names = _names(scenario, theme, everything=everything)
    if scenario is None and variants:
        raise click.UsageError("--variant needs a SCENARIO.")
    # All are read before the first runs, so that a mistake in the last is reported at once.
    read = [read_scenario(name, overrides=overrides, variants=variants, quick=quick) for name in names]
    options = Options(runs, quick, as_json and scenario is not None, no_figures, quiet=as_json)
    if scenario is not None:
        code, judged = run_one(*read[0], options)
        if verdicts is not None:
            verdicts.write_bytes(encode(judged))
        raise SystemExit(int(code))
    raise SystemExit(int(run_all(read, options, overrides)))


def _names(scenario: str | None, theme: str | None, *, everything: bool) -> list[str]:
    """The scenarios to run, by path or name. Raises UsageError."""
    from loadgen.cli.gallery import by_theme

    if (scenario is not None) + (theme is not None) + everything != 1:
        raise click.UsageError("Name a SCENARIO, or a theme by --theme, or give --all.")
    if scenario is not None:
        return [scenario]
    themes = by_theme()
    if theme is not None and theme not in themes:
        raise click.UsageError(f"There is no theme {theme!r}; there are {', '.join(themes)}.")
    # By path: a file here that is named like a bundled one is another scenario.
    return [str(path) for each, paths in themes.items() if theme in (None, each) for path in paths.values()]


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: into which folder, how long, and what is printed and drawn.

    `as_json`: print summary.json. `quiet`: print no tables.
    """

    runs: Path
    quick: bool
    as_json: bool
    no_figures: bool
    quiet: bool


def run_all(
    scenarios: "Sequence[tuple[Path, Scenario]]", options: Options, overrides: "Sequence[str]"
) -> Exit:
    """Run scenarios, and print the table of their claims. The most serious of their exit codes.

    Those that leave the machine idle run first, beside each other. The longest begins first, because
    last it would end long after the others. A scenario that cannot run does not keep the others from it;
    Ctrl-C ends them all.
    """
    from loadgen.cli.columns import screen
    from loadgen.cli.lanes import run_in_lanes
    from loadgen.cli.lanes_view import view_for
    from loadgen.cli.verdicts import print_claims
    from loadgen.scenario.paced import needs_machine
    from loadgen.wire.codec import indented

    codes: list[Exit] = []
    claims: dict[str, RunClaims] = {}
    paced = [(path, scenario) for path, scenario in scenarios if not needs_machine(scenario)]
    if len(paced) > 1:
        paced.sort(key=lambda one: -sum(variant.load.duration for variant in one[1].variants))
        paths = [path for path, _ in paced]
        view = view_for([path.stem for path in paths], quiet=options.quiet)
        all_ended, stopped = run_in_lanes(paths, _as_options(options, overrides), view)
        for ended in all_ended:
            codes.append(ended.code)
            if ended.claims is not None:
                claims[ended.name] = ended.claims
        if stopped:
            codes.append(Exit.INTERRUPTED)
    else:
        paced = []
    for path, scenario in scenarios:
        if (path, scenario) in paced:
            continue
        if Exit.INTERRUPTED in codes:
            break
        echo(f"{path.stem}: scenario {len(codes) + 1} of {len(scenarios)}", err=True)
        try:
            code, judged = run_one(path, scenario, options)
        except SystemExit as stop:  # by `fail`, which has reported why
            code = Exit(stop.code)
        else:
            claims[path.stem] = judged
        codes.append(code)
        if code is not Exit.FINE:
            echo(f"{path.stem}: exit code {code:d}", err=True)
    judgements = [claims[path.stem] for path, _ in scenarios if path.stem in claims]
    if options.quiet:
        echo(indented(judgements))
    else:
        print_claims(screen(), judgements)
    return worst(codes)


def _as_options(options: Options, overrides: "Sequence[str]") -> list[str]:
    """The same options on a command line."""
    given = [f"--output={options.runs}", *(f"--set={override}" for override in overrides)]
    if options.quick:
        given.append("--quick")
    if options.no_figures:
        given.append("--no-figures")
    return given


def run_one(path: Path, asked: "Scenario", options: Options) -> "tuple[Exit, RunClaims]":
    """Run a scenario, print its report, draw its figures. Its exit code, and the verdicts on its claims."""
    from loadgen.analysis.claims import RunClaims
    from loadgen.analysis.summary_document import summary_document
    from loadgen.cli.screen import watcher_for
    from loadgen.cli.tables import foreseen_lines, print_figures, print_report
    from loadgen.engine.experiment import create_directory
    from loadgen.lab.errors import BuilderKilledError, LabUnavailable, SysctlRefused
    from loadgen.wire.codec import indented

    quick = options.quick
    asked = ready(asked, options.runs)
    for line in foreseen_lines(asked.variants):
        echo(f"foreseen: {line}", err=True)
    try:
        directory = create_directory(options.runs, path)
    except OSError as error:
        fail(Exit.USAGE, f"cannot create a run directory: {error}; choose another place: -o DIR")
    kept = f"The records until then are in {directory.path}."
    try:
        outcome = run_variants(asked, directory, watcher_for(asked, directory, quick), quick)
    except asyncio.CancelledError:
        fail(Exit.INTERRUPTED, f"Stopped at once. {kept}")
    summaries, failure = outcome.summaries, outcome.failure
    whole = failure is None
    if options.as_json and (summaries or whole):
        names = [variant.name for variant in asked.variants]
        summary = summary_document(directory.id, summaries, names, whole=whole, claims=asked.claims)
        echo(indented(summary))
    elif not options.quiet and (summaries or whole):
        print_report(asked, summaries, outcome.claims, directory, quick=quick, whole=whole)
    if summaries and whole and not options.no_figures:
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
            if not options.quiet:
                print_figures(figures)
    match failure:
        case None:
            pass
        case SysctlRefused():
            fail(Exit.BAD_SCENARIO, f"{path}: {failure}")
        case LabUnavailable() | BuilderKilledError() | OSError():
            fail(Exit.INVALID, f"{explanation(failure)}\n{kept}")
        case _:
            raise failure
    valid = all(summary.valid for summary in summaries)
    return exit_code(outcome), RunClaims(run=directory.id, valid=valid, claims=outcome.claims)


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

    with interruptible():
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
