"""`churn doctor`: what this machine allows."""

from pathlib import Path

import click

from loadgen.cli.exits import Exit
from loadgen.cli.sources import runs_option

DESCRIPTORS = 1024
"""Enough for most scenarios; `churn run` checks the number that the scenario needs."""


@click.command()
@runs_option
def doctor(runs: Path) -> None:
    """Show what this machine allows, and how to allow more."""
    from rich.table import Table
    from rich.text import Text

    from loadgen.cli.columns import screen
    from loadgen.engine.machine import Verdict, checks

    styles = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
    found = checks(descriptors_needed=DESCRIPTORS, directory=runs)
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "", "found"):
        table.add_column(heading, overflow="fold")
    for check in found:
        table.add_row(check.name, Text(check.verdict, style=styles[check.verdict]), Text(check.found))
    console = screen()
    console.print(table)
    for check in found:
        if check.remedy:
            # A line of its own, however long: a command in it can be copied.
            console.print(Text(f"{check.name}: {check.remedy}"), soft_wrap=True)
    if any(check.verdict is Verdict.FAIL for check in found):
        raise SystemExit(int(Exit.INVALID))
