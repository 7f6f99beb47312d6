"""`python -m bench`: measure, and write a table, the numbers and the figures."""

import asyncio
import resource
import sys
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import uvloop

from bench import tables
from bench.capture import capture_all
from bench.costs import hold_all, sample_all, start_all
from bench.machine import environment
from bench.measure import Kit, compare
from bench.results import Results
from bench.studies import STUDIES, Section
from bench.tools import TOOLS, NotBuiltError, build_floor
from loadgen.lab.errors import LabUnavailable
from loadgen.programs.plan import find_program

RESULTS = Path(__file__).with_name("results")
LIMIT_S = 1800
"""The whole run is given up after that; it takes half as long."""
ENOUGH_FILES = 40_000
"""Descriptors for 10,000 connections and more, aiohttp's two for each among them."""
TABLE = "results.md"
NEEDED = ("nginx", "taskset")
"""Programs without which there is no measurement: a server that is not churn's, and what binds to a core."""
ONE_ROUND = frozenset({Section.SCALING, Section.PUNCTUALITY})


def sections(_context: click.Context, _option: click.Parameter, text: str) -> frozenset[Section]:
    """A comma-separated list of sections."""
    try:
        return frozenset(Section(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{error}; there are {', '.join(Section)}") from None


@click.command()
@click.option("-o", "directory", type=click.Path(path_type=Path), default=RESULTS, help="For the results.")
@click.option("--only", default=",".join(Section), callback=sections, help="Sections, separated by commas.")
@click.option(
    "--rounds", type=click.IntRange(1, 100), help="Rounds of the sections short, kept, sizes and capture."
)
@click.option("--quick", is_flag=True, help="A little of everything, in two minutes; no figures to quote.")
def main(directory: Path, only: frozenset[Section], rounds: int | None, quick: bool) -> None:
    """Measure churn's drivers beside wrk, ab, h2load, hey, httperf and a C program on io_uring."""
    if missing := [name for name in NEEDED if find_program(name) is None]:
        needed = f"{' and '.join(missing)} missing"
        raise click.UsageError(f"{needed}: `make peers` installs that, and the tools to compare with")
    directory.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="churn-bench-") as work,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        kit = kit_here(Path(work))
        try:
            results = Results(runner.run(environment(kit.tools)))
        except LabUnavailable as unavailable:
            raise click.ClickException(str(unavailable)) from None
        try:
            wanted = run(kit, only, rounds or (1 if quick else 3), quick, results)
            runner.run(asyncio.wait_for(wanted, LIMIT_S))
            results.complete = True
        except (KeyboardInterrupt, TimeoutError):
            click.echo("cut short: what was measured is written", err=True)
        finally:
            # Numbers and table first: figures take seconds, and a second Ctrl-C may come.
            results.write(directory)
            (directory / TABLE).write_text(tables.markdown(results))
            # matplotlib takes most of a second to import: not before there is something to draw.
            from bench.figures import draw

            draw(results, directory)
    click.echo(tables.markdown(results))
    if not results.complete:
        sys.exit(105)


def kit_here(work: Path) -> Kit:
    """What this machine has, with as many descriptors as it allows; the floor is built in `work`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    found = [tool for tool in TOOLS if find_program(tool.name)]
    if missing := [tool.name for tool in TOOLS if tool not in found]:
        click.echo(f"without {', '.join(missing)}: `make peers` installs them", err=True)
    try:
        found.insert(0, build_floor(work))
    except NotBuiltError as error:
        click.echo(f"without the floor: {error}", err=True)
    return Kit(found, files)


async def run(kit: Kit, only: Collection[Section], rounds: int, quick: bool, results: Results) -> None:
    """The sections that are wanted. Those that take rounds take them together."""
    if Section.STARTUP in only:
        start_all(3 if quick else 20, results)
    if Section.SAMPLER in only:
        await sample_all(quick, results)
    if Section.HELD in only:
        await hold_all(kit, 1_000 if quick else 10_000, results)
    if Section.CAPTURE in only:
        await capture_all(quick, rounds, results)
    cases = [case for study in STUDIES if study.section in only for case in study.cases(quick)]
    await compare(kit, [case for case in cases if case.section not in ONE_ROUND], rounds, results)
    await compare(kit, [case for case in cases if case.section in ONE_ROUND], 1, results)


if __name__ == "__main__":
    main()
