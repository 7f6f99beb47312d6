"""`churn plot`: a run's figures, from its records alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit
from loadgen.cli.sources import run_directory, runs_option

if TYPE_CHECKING:
    from loadgen.rundir import RunDirectory


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@runs_option
def plot(names: tuple[str, ...], runs: Path) -> None:
    """Draw the figures of each RUN anew: a path, an id, or `last`.

    The summary is made again from the records first, so a run that was killed can be drawn too. Of a damaged
    run what can be read is drawn. What cannot be read is named on stderr, and the exit code is 2.
    """
    from loadgen.rundir import RunError

    whole = True
    for directory in [run_directory(name, runs) for name in names]:
        try:
            whole &= plotted(directory)
        except (RunError, OSError) as error:
            click.echo(error, err=True)
            whole = False
    if not whole:
        raise SystemExit(int(Exit.USAGE))


def plotted(directory: "RunDirectory") -> bool:
    """Draw one run; whether all of it could be read. Raises RunError and OSError."""
    from loadgen.reread import reread
    from loadgen.summary import summary_document
    from plots.figures import draw

    found, asked = reread(directory), directory.info()["variants"]
    for damage in found.damage:
        click.echo(damage, err=True)
    if found.summaries:
        document = summary_document(directory.id, found.summaries, asked, whole=directory.whole())
        directory.write_summary(document)
        for path in draw(directory):
            click.echo(path)
    return not found.damage
