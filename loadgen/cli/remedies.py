"""`churn remedies`: one workload beside what is done about its ports."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import echo
from loadgen.cli.run import Options, run_one
from loadgen.cli.sources import read_scenario, runs_option, scenario_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.scenario.document import Scenario, Variant


@click.command()
@scenario_arguments
@runs_option
@click.option("--only", "names", metavar="REMEDY", multiple=True, help="Only this remedy; repeatable.")
@click.option("--list", "only_list", is_flag=True, help="List the remedies and what each sets; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json to stdout instead of the tables.")
@click.option("--no-figures", is_flag=True, help="Record and summarise only.")
def remedies(
    scenario: str,
    overrides: tuple[str, ...],
    variants: tuple[str, ...],
    quick: bool,
    runs: Path,
    names: tuple[str, ...],
    only_list: bool,
    as_json: bool,
    no_figures: bool,
) -> None:
    """Run one variant of SCENARIO as it is, and again with each remedy for ports that run out.

    The workload is the variant that --variant names, or the first that is predicted to run out of ports.
    The figure `remedies` shows what each remedy buys and what it costs. A remedy that cannot be applied to
    the workload, or that this kernel lacks, is left out, and the reason is shown.

    \b
    churn remedies http10 --quick               the client of http10 that closes first
    churn remedies my.yaml --list               what would be run, and what would not
    churn remedies my.yaml --only tw-reuse --only kept
    """
    from loadgen.engine.remedies import side_by_side
    from loadgen.scenario.remedies import CATALOGUE

    known = [remedy.name for remedy in CATALOGUE]
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"There is no remedy {unknown[0]!r}; there are {', '.join(known)}.")
    if len(variants) > 1:
        raise click.UsageError("A workload is one variant: give --variant once.")
    path, found = read_scenario(scenario, overrides=overrides, variants=variants, quick=quick)
    base = _workload(found)
    others = [variant.name for variant in found.variants if variant is not base]
    choice = f"; --variant chooses {', '.join(others)}" if others else ""
    echo(f"workload: {base.name} of {path}{choice}", err=True)
    beside = side_by_side(found, base, names)
    for line in _lines(beside):
        echo(line, err=not only_list)
    if not only_list:
        code, _ = run_one(path, beside, Options(runs, quick, as_json, no_figures, quiet=as_json))
        raise SystemExit(int(code))


def _workload(scenario: "Scenario") -> "Variant":
    """The first variant that is predicted to run out of ports; the first of all if none is."""
    from loadgen.model.upstream import predict_legs

    for variant in scenario.variants:
        prediction = predict_legs(variant)
        legs = [leg for leg in (prediction, prediction.upstream) if leg is not None]
        if any(leg.time_to_exhaustion_s is not None for leg in legs):
            return variant
    return scenario.variants[0]


def _lines(beside: "Scenario") -> "Iterator[str]":
    """What each remedy sets, or why it is left out, in the order of the catalogue."""
    from loadgen.scenario.differences import changed
    from loadgen.scenario.remedies import CATALOGUE, NOTHING

    assert beside.remedies is not None  # it was made with them
    variants, left_out = {variant.name: variant for variant in beside.variants}, beside.remedies.left_out
    for remedy in CATALOGUE:
        if variant := variants.get(remedy.name):
            settings = (f"{key} {value}" for key, value in changed(variants[NOTHING], variant).items())
            yield f"{remedy.name}: {remedy.sentence} [{', '.join(settings)}]"
        elif remedy.name in left_out:
            yield f"{remedy.name}: left out: {left_out[remedy.name]}"
