"""`churn schema`: the JSON Schema of a scenario."""

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from loadgen.scenario.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
