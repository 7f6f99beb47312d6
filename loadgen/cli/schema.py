"""`churn schema`: the JSON Schema of a scenario, or of summary.json."""

import json

import click


@click.command()
@click.option("--summary", is_flag=True, help="That of a run's summary.json.")
def schema(summary: bool) -> None:
    """Print the JSON Schema of scenario files, for editors."""
    if summary:
        from loadgen.analysis.summary_schema import summary_schema

        document = summary_schema()
    else:
        from loadgen.scenario.schema import json_schema

        document = json_schema()
    click.echo(json.dumps(document, indent=2))
