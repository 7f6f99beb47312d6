"""`churn list`: the bundled scenarios."""

import click

from loadgen.cli.exits import echo
from loadgen.cli.sources import bundled


@click.command(name="list")
def gallery() -> None:
    """List the bundled scenarios, with their questions."""
    from loadgen.scenario.read import load_scenario

    for name, path in bundled().items():
        scenario = load_scenario(path)
        echo(f"{name}: {scenario.title}")
        echo(f"    {scenario.question}")
        echo(
            f"    claims {' '.join(scenario.claims)}; variants {', '.join(v.name for v in scenario.variants)}"
        )
