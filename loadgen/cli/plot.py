"""`churn plot`: a run's figures, from its records alone."""

from pathlib import Path

import click

from loadgen.cli.exits import Exit, echo, fail
from loadgen.cli.sources import run_directory, runs_option


@click.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@runs_option
def plot(names: tuple[str, ...], runs: Path) -> None:
    """Draw the figures of each RUN anew: a path, an id, or `last`.

    The summary is made again from the records first, so a run that was killed can be drawn too.
    """
    from loadgen.reread import reread
    from loadgen.rundir import RunError
    from loadgen.summary import summary_document
    from plots.figures import draw

    for name in names:
        directory = run_directory(name, runs)
        try:
            summaries, asked = reread(directory), directory.info()["variants"]
            document = summary_document(directory.id, summaries, asked, whole=directory.whole())
            directory.write_summary(document)
            drawn = draw(directory)
        except (RunError, OSError) as error:
            fail(Exit.USAGE, str(error))
        for path in drawn:
            echo(path)
