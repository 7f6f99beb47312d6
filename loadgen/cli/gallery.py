"""`churn list`: the bundled scenarios, by theme."""

from collections import defaultdict
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import echo
from loadgen.cli.sources import bundled

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.scenario.document import Scenario

UNTHEMED = "other"
"""The theme of a scenario that cites no claim."""


@click.command(name="list")
def gallery() -> None:
    """List the bundled scenarios by theme, with their questions and how long each takes."""
    from loadgen.scenario.read import load_scenario

    for theme, paths in by_theme().items():
        echo(theme)
        for name, path in paths.items():
            scenario = load_scenario(path)
            quick = load_scenario(path, quick=True)
            echo(f"  {name}: {scenario.title}")
            echo(f"      {scenario.question}")
            claims = f"claims {' '.join(claim.id for claim in scenario.claims)}; " if scenario.claims else ""
            echo(f"      {claims}variants {', '.join(variant.name for variant in scenario.variants)}")
            echo(f"      {_length(scenario)} of load, {_length(quick)} with --quick")


def by_theme() -> "dict[str, dict[str, Path]]":
    """The files of the bundled scenarios by theme, which is that of the first claim, and by name."""
    from loadgen.scenario.catalogue import catalogue, themes
    from loadgen.scenario.read import load_scenario

    found: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for name, path in bundled().items():
        claims = load_scenario(path).claims
        found[catalogue()[claims[0].id].theme if claims else UNTHEMED][name] = path
    return {theme: found[theme] for theme in (*themes(), UNTHEMED) if theme in found}


def _length(scenario: "Scenario") -> str:
    """How long the loads of all variants take together."""
    seconds = round(sum(variant.load.duration for variant in scenario.variants) / 1e9)
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
