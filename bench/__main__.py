"""`python -m bench`: measure, and write a table, the numbers and the figures."""

import asyncio
import resource
import shutil
import sys
from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import uvloop

from bench import floor, holding, punctuality, sampling, scale, starting, tables
from bench.comparison import compare
from bench.load import Cores
from bench.machine import environment
from bench.measure import Kit
from bench.results import Results
from bench.scale import Scale
from bench.tools import TOOLS
from loadgen.lab.errors import LabUnavailable
from loadgen.programs.plan import find_program

RESULTS = Path(__file__).with_name("results")
LIMIT_S = 1800
"""The whole run is given up after that; it takes half as long."""
ENOUGH_FILES = 40_000
"""Descriptors for 10,000 connections and more; of the million that some allow, nginx would fill memory."""
TABLE = "results.md"
NEEDED = ("nginx", "taskset")
"""Programs without which there is no measurement: a server that is not churn's, and what binds to a core."""


class Section(StrEnum):
    """What `--only` can choose."""

    SHORT = "short"
    KEPT = "kept"
    SIZES = "sizes"
    SCALING = "scaling"
    PUNCTUALITY = "punctuality"
    SAMPLER = "sampler"
    STARTUP = "startup"
    HELD = "held"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def sections(_context: click.Context, _option: click.Parameter, text: str) -> frozenset[Section]:
    """A comma-separated list of sections."""
    names = [name.strip() for name in text.split(",")]
    try:
        return frozenset(Section(name) for name in names)
    except ValueError as error:
        known = ", ".join(Section)
        raise click.BadParameter(f"{error}; there are {known}") from None


@click.command()
@click.option(
    "-o", "directory", type=click.Path(path_type=Path), default=RESULTS, help="Where the results go."
)
@click.option("--only", default=",".join(Section), callback=sections, help="Sections, separated by commas.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Rounds of short and kept connections.")
@click.option("--quick", is_flag=True, help="A taste of everything, in two minutes; no figures to quote.")
def main(directory: Path, only: frozenset[Section], rounds: int | None, quick: bool) -> None:
    """Measure churn's drivers beside wrk, ab, h2load, hey, httperf and a C program on io_uring."""
    asked = scale.QUICK if quick else scale.FULL
    if rounds is not None:
        asked = replace(asked, rounds=rounds)
    if missing := [name for name in NEEDED if find_program(name) is None]:
        raise click.UsageError(
            f"{' and '.join(missing)} missing: `make peers` installs that, and the tools to compare with"
        )
    directory.mkdir(parents=True, exist_ok=True)
    cut_short = False
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
            if Section.STARTUP in only:
                starting.starting(asked, results, say)
            runner.run(asyncio.wait_for(run(kit, asked, only, results), LIMIT_S))
            results.complete = True
        except (KeyboardInterrupt, TimeoutError):
            cut_short = True
        finally:
            write(results, directory)
    click.echo(tables.markdown(results))
    if cut_short:
        say("cut short: what was measured is written")
        sys.exit(105)


def kit_here(work: Path) -> Kit:
    """What this machine has, with as many descriptors as it allows; the floor is built in `work`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        program = floor.build(work)
    except floor.NotBuiltError as error:
        say(f"without the floor: {error}")
        program = None
    found = tuple(tool for tool in TOOLS if shutil.which(tool.name))
    missing = [tool.name for tool in TOOLS if tool not in found]
    if missing:
        say(f"without {', '.join(missing)}: `make peers` installs them")
    return Kit(Cores.here(), program, found, files)


async def run(kit: Kit, asked: Scale, only: Collection[Section], results: Results) -> None:
    """The sections that are wanted and take a lab, the short ones first."""
    if Section.SAMPLER in only:
        await sampling.sampling(kit, asked, results, say)
    if Section.HELD in only:
        await holding.holding(kit, asked, results, say)
    cases = scale.short(asked) if Section.SHORT in only else []
    if Section.KEPT in only:
        cases += scale.kept(asked)
    if Section.SIZES in only:
        cases += scale.sizes(asked)
    await compare(kit, cases, asked.rounds, results, say)
    if Section.SCALING in only:
        await compare(kit, scale.scaling(asked), 1, results, say)
    if Section.PUNCTUALITY in only:
        await punctuality.punctuality(kit, asked, results, say)


def write(results: Results, directory: Path) -> None:
    """Numbers and table first: figures take seconds, and an impatient second Ctrl-C may come."""
    results.write(directory)
    (directory / TABLE).write_text(tables.markdown(results))
    # matplotlib takes most of a second to import: not before there is something to draw.
    from bench.figures import draw

    draw(results, directory)


if __name__ == "__main__":
    main()
