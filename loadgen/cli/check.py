"""`churn check`: validate a scenario, and print the prediction."""

import click

from loadgen.cli.sources import read_scenario, scenario_arguments


@click.command()
@scenario_arguments
def check(scenario: str, overrides: tuple[str, ...], variants: tuple[str, ...], quick: bool) -> None:
    """Validate SCENARIO and print the prediction; run nothing.

    What its times and numbers lead to together stands first, a sentence a line: a timeout that is
    shorter than the time it limits, or more connections than ports.
    """
    from loadgen.cli.tables import print_predictions
    from loadgen.model.upstream import predict_legs

    path, found = read_scenario(scenario, overrides=overrides, variants=variants, quick=quick)
    predictions = [(variant, predict_legs(variant)) for variant in found.variants]
    print_predictions(found, predictions, path)
