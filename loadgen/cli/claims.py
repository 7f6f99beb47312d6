"""`churn claims`: the verdicts of many runs in one table, from their records alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo, fail
from loadgen.cli.sources import run_directory, runs_option

if TYPE_CHECKING:
    from loadgen.analysis.claims import RunClaims
    from loadgen.cli.gallery_page import Judged
    from loadgen.records.directory import RunDirectory


@click.command()
@click.argument("names", metavar="[RUN]...", nargs=-1)
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table in Markdown.")
@click.option(
    "--gallery",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="Write DIR/gallery.md: every claim, with its figure and what to do about it.",
)
def claims(
    names: tuple[str, ...], runs: Path, as_json: bool, as_markdown: bool, gallery: Path | None
) -> None:
    """Print the verdicts on the claims of each RUN in one table: a path, an id, or `last`.

    Without a RUN: all claims that a scenario can cite, with the verdict that is expected.

    A verdict that differs from the expected one is marked. Of a damaged run, the readable part decides; the
    unreadable part is named on stderr, and the exit code is 2.
    """
    from loadgen.cli.columns import screen
    from loadgen.cli.gallery_page import Judged
    from loadgen.cli.verdicts import markdown, print_claims
    from loadgen.records.directory import RunError
    from loadgen.wire.codec import indented

    if as_json + as_markdown + (gallery is not None) > 1:
        raise click.UsageError("--json, --markdown and --gallery exclude each other.")
    if not names:
        if as_json or as_markdown or gallery is not None:
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
            judged_runs.append(Judged(directory.info(), judged, directory.figures))
            whole &= undamaged
    if as_json:
        echo(indented(found))
    elif as_markdown:
        echo("\n".join(markdown(found)))
    elif gallery is not None:
        write_gallery(judged_runs, gallery)
    else:
        print_claims(screen(), found)
        for run in found:
            if not run.claims:
                echo(f"{run.run}: its scenario decides no claim", err=True)
    if not whole:
        raise SystemExit(int(Exit.USAGE))


def write_gallery(runs: "Sequence[Judged]", folder: Path) -> None:
    """Write the page, and small copies of the figures that it shows. Exits with USAGE if it cannot."""
    from loadgen.cli.gallery_page import page, pictures
    from plots.small import write_small

    try:
        for name, source in pictures(runs).items():
            write_small(source, folder / name)
        (folder / "gallery.md").write_text("\n".join(page(runs)).rstrip() + "\n", encoding="utf-8")
    except OSError as error:
        fail(Exit.USAGE, f"cannot write the gallery: {error}")
    echo(folder / "gallery.md")


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
