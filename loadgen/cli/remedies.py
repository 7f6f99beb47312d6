"""`churn remedies`: one workload beside what is done about its ports."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import echo
from loadgen.cli.run import Options, run_one
from loadgen.cli.sources import read_scenario, runs_option, scenario_arguments

if TYPE_CHECKING:
    from loadgen.scenario.document import Scenario, Variant


@click.command()
@scenario_arguments
@runs_option
@click.option("--list", "only_list", is_flag=True, help="List the remedies and what each sets; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json to stdout instead of the tables.")
@click.option("--no-figures", is_flag=True, help="Record and summarise only.")
def remedies(
    scenario: str,
    overrides: tuple[str, ...],
    variants: tuple[str, ...],
    quick: bool,
    runs: Path,
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
    churn remedies my.yaml --set load.duration=5s
    """
    from loadgen.engine.remedies import side_by_side

    if len(variants) > 1:
        raise click.UsageError("A workload is one variant: give --variant once.")
    path, found = read_scenario(scenario, overrides=overrides, variants=variants, quick=quick)
    base = _workload(found)
    others = [variant.name for variant in found.variants if variant is not base]
    choice = f"; --variant chooses {', '.join(others)}" if others else ""
    echo(f"workload: {base.name} of {path}{choice}", err=True)
    beside = side_by_side(found, base)
    _print(beside, err=not only_list)
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


def _print(beside: "Scenario", *, err: bool) -> None:
    from loadgen.scenario.differences import changed
    from loadgen.scenario.remedies import CATALOGUE, NOTHING

    remedies = beside.remedies
    assert remedies is not None  # it was made with them
    variants = {variant.name: variant for variant in beside.variants}
    base = variants[NOTHING]
    for remedy in CATALOGUE:
        if variant := variants.get(remedy.name):
            sets = ", ".join(f"{key} {value}" for key, value in changed(base, variant).items())
            echo(f"{remedy.name}: {remedy.sentence} [{sets}]", err=err)
        else:
            echo(f"{remedy.name}: left out: {remedies.left_out[remedy.name]}", err=err)
