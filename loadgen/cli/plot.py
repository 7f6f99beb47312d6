"""`churn plot`: a run's figures, from its records alone."""

from collections import defaultdict
from collections.abc import Mapping
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
    from plots.columns import Gathering
    from plots.figures import draw

    for name in names:
        directory = run_directory(name, runs)
        gatherings: defaultdict[str, Gathering] = defaultdict(Gathering)

        def look(variant: str, record: object, into: Mapping[str, Gathering] = gatherings) -> None:
            into[variant].add(record)

        try:
            summaries = reread(directory, look)
            asked = directory.info()["variants"]
            document = summary_document(directory.id, summaries, asked, whole=directory.whole())
            directory.write_summary(document)
            drawn = draw(directory, {variant: each.columns() for variant, each in gatherings.items()})
        except (RunError, OSError) as error:
            fail(Exit.USAGE, str(error))
        for path in drawn:
            echo(path)
