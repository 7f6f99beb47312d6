"""`churn claims`: the verdicts of many runs in one table, from their records alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo
from loadgen.cli.sources import run_directory, runs_option

if TYPE_CHECKING:
    from loadgen.analysis.claims import RunClaims
    from loadgen.records.directory import RunDirectory


@click.command()
@click.argument("names", metavar="[RUN]...", nargs=-1)
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.option(
    "--gallery",
    "as_gallery",
    is_flag=True,
    help="Print docs/gallery.md: every claim, with what to do about it.",
)
def claims(names: tuple[str, ...], runs: Path, as_json: bool, as_markdown: bool, as_gallery: bool) -> None:
    """Print the verdicts on the claims of each RUN in one table: a path, an id, or `last`.

    Without a RUN: all claims that a scenario can cite, with the verdict that is expected.

    A verdict that differs from the expected one is marked. Of a damaged run, the readable part decides; the
    unreadable part is named on stderr, and the exit code is 2.
    """
    from loadgen.cli.columns import screen
    from loadgen.cli.gallery_page import Judged, page
    from loadgen.cli.verdicts import markdown, print_claims
    from loadgen.records.directory import RunError
    from loadgen.wire.codec import indented

    if as_json + as_markdown + as_gallery > 1:
        raise click.UsageError("--json, --markdown and --gallery exclude each other.")
    if not names:
        if as_json or as_markdown or as_gallery:
            raise click.UsageError("--json, --markdown and --gallery need a RUN.")
        print_catalogue()
        return
    found: list[RunClaims] = []
    judged_runs: list[Judged] = []
    whole = True
    for directory in [run_directory(name, runs) for name in names]:
        try:
            judged, undamaged = judged_run(directory)
        except (RunError, OSError) as error:
            click.echo(error, err=True)
            whole = False
        else:
            found.append(judged)
            judged_runs.append(Judged(directory.info(), judged))
            whole &= undamaged
    if as_json:
        echo(indented(found))
    elif as_markdown:
        echo("\n".join(markdown(found)))
    elif as_gallery:
        echo("\n".join(page(judged_runs)).rstrip())
    else:
        print_claims(screen(), found)
        for run in found:
            if not run.claims:
                echo(f"{run.run}: its scenario decides no claim", err=True)
    if not whole:
        raise SystemExit(int(Exit.USAGE))


def judged_run(directory: "RunDirectory") -> "tuple[RunClaims, bool]":
    """The claims of a run, and whether all of it could be read. Raises RunError and OSError."""
    from loadgen.analysis.claims import RunClaims, judge
    from loadgen.analysis.reread import reread

    found = reread(directory)
    for damage in found.damage:
        echo(damage, err=True)
    valid = directory.whole() and all(summary.valid for summary in found.summaries)
    judged = judge(found.claims, found.summaries)
    return RunClaims(run=directory.id, valid=valid, claims=judged), not found.damage


def print_catalogue() -> None:
    """All claims, by theme."""
    from loadgen.scenario.catalogue import catalogue, themes

    for theme in themes():
        echo(theme)
        for name, statement in catalogue().items():
            if statement.theme == theme:
                echo(f"    {name:<4} {statement.text} [{statement.expected}]")
