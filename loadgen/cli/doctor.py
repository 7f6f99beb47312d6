"""`churn doctor`: what this machine allows."""

from pathlib import Path

import click

from loadgen.cli.exits import Exit
from loadgen.cli.sources import runs_option

DESCRIPTORS = 1024
"""Enough for most scenarios; `churn run` asks for what the scenario needs."""


@click.command()
@runs_option
def doctor(runs: Path) -> None:
    """Show what this machine allows, and how to allow more."""
    from rich.console import Console
    from rich.table import Table

    from loadgen.preflight import Verdict, checks

    styles = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
    found = checks(descriptors_needed=DESCRIPTORS, directory=runs)
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "", "found", "remedy"):
        table.add_column(heading, overflow="fold")
    for check in found:
        table.add_row(check.name, f"[{styles[check.verdict]}]{check.verdict}[/]", check.found, check.remedy)
    Console(highlight=False).print(table)
    if any(check.verdict is Verdict.FAIL for check in found):
        raise SystemExit(int(Exit.INVALID))
