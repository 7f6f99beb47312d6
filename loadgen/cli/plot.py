"""`churn plot`: a run's figures, from its records alone."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo
from loadgen.cli.sources import run_directory, runs_option

if TYPE_CHECKING:
    from loadgen.records.directory import RunDirectory


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@runs_option
def plot(names: tuple[str, ...], runs: Path) -> None:
    """Draw the figures of each RUN again: a path, an id, or `last`.

    The summary is made again from the records first, so a run that was killed can be drawn too. Of a damaged
    run, the readable part is drawn; the unreadable part is named on stderr, and the exit code is 2.
    """
    from loadgen.records.directory import RunError

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
    """Draw one run. Returns whether all of it could be read. Raises RunError and OSError."""
    from loadgen.analysis.reread import reread
    from loadgen.analysis.summary_document import summary_document
    from plots.columns import Gathering
    from plots.figures import draw

    gatherings: defaultdict[str, Gathering] = defaultdict(Gathering)
    found = reread(directory, lambda variant, record: gatherings[variant].add(record))
    for damage in found.damage:
        echo(damage, err=True)
    if found.summaries:
        asked = directory.info().variants
        whole = directory.whole()
        document = summary_document(directory.id, found.summaries, asked, whole=whole, claims=found.claims)
        directory.write_summary(document)
        columns = {variant: each.columns() for variant, each in gatherings.items()}
        for path in draw(directory, found.summaries, columns):
            echo(path)
    return not found.damage
