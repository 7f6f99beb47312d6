"""`churn ladder`: a captured connection, segment by segment, on the terminal and as a figure."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, echo, fail
from loadgen.cli.sources import run_directory, runs_option

if TYPE_CHECKING:
    from rich.table import Table

    from loadgen.analysis.packets.connection import Connection
    from loadgen.records.directory import RunDirectory

LEAST_WIDTH = 160
"""Characters that a row takes: a narrower terminal breaks its lines, and nothing is cut off."""


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--variant", metavar="NAME", help="Of this variant; without it, one of each that has a capture."
)
@click.option("--connection", "number", type=click.IntRange(1), default=1, help="Which one; 1 is the first.")
@runs_option
def ladder(name: str, variant: str | None, number: int, runs: Path) -> None:
    """Draw a captured connection of RUN: every segment, and the states of both sides.

    Needs a scenario with `capture: {connections: 3}`. States are inferred from the packets by the rules of
    RFC 9293. The same is printed as text.
    """
    from rich.console import Console

    from loadgen.records.directory import RunError
    from plots.ladders import draw_ladder

    run, console = run_directory(name, runs), Console(highlight=False)
    console.width = max(console.width, LEAST_WIDTH)
    try:
        captured = {chosen: _captured(run, chosen) for chosen in _variants(run, variant)}
        lacking = [name for name, found in captured.items() if number > len(found)]
        for chosen in lacking:
            said = f"--connection {number}: {chosen} has {len(captured[chosen])} captured connections"
            if len(lacking) == len(captured):
                fail(Exit.USAGE, said)
            echo(said, err=True)
        for chosen, found in captured.items():
            if chosen in lacking:
                continue
            echo(f"{chosen}: connection {number} of {len(found)}")
            console.print(table(found[number - 1]))
            for path in draw_ladder(run, chosen, number, found):
                echo(path)
    except (RunError, OSError) as error:
        fail(Exit.USAGE, str(error))


def _variants(run: "RunDirectory", variant: str | None) -> list[str]:
    recorded = run.variants()
    if variant is not None and variant not in recorded:
        fail(Exit.USAGE, f"--variant {variant}: there is no such variant (there are {', '.join(recorded)})")
    chosen = [one for one in recorded if run.capture(one).is_file() and variant in (None, one)]
    if not chosen:
        what = f"{run.id}: {variant}" if variant else run.id
        fail(Exit.USAGE, f"{what} has no capture; write capture: {{connections: 3}} into the scenario")
    return chosen


def _captured(run: "RunDirectory", variant: str) -> "list[Connection]":
    from loadgen.analysis.packets.beside import beside
    from loadgen.analysis.packets.connection import connections
    from loadgen.records.pcapng import CaptureError, read_capture

    try:
        return connections(read_capture(run.capture(variant)), beside(run.records(variant)))
    except CaptureError as error:
        fail(Exit.USAGE, str(error))


def table(connection: "Connection") -> "Table":
    """One connection as text: a row for each segment, with the states that follow it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from loadgen.analysis.packets.connection import Transit
    from loadgen.analysis.packets.states import shown, spans
    from loadgen.analysis.packets.wording import flags_of, heading, instant, lasted, numbers_of, remark
    from loadgen.tcp import Side

    states = spans(connection)

    def entered(side: Side, one: Transit) -> str:
        """The states that a side enters by a segment."""
        at_ns = one.sent_ns if one.by is side else one.received_ns
        return "\n".join(
            f"{span.state} {lasted(span)}{', restarted' if span.restarted else ''}"
            for span in states[side]
            if span.start_ns == at_ns
        )

    made = Table(title=heading(connection), box=SIMPLE_HEAD, title_justify="left")
    for column in ("time", "client", "", "segment", "server"):
        made.add_column(column, justify="right" if column == "time" else "left", no_wrap=True)
    script = shown(connection)

    def happenings(until_ns: int | None) -> None:
        while script and (until_ns is None or script[0].t_ns <= until_ns):
            one = script.pop(0)
            ends = (one.words, "") if one.side is Side.CLIENT else ("", one.words)
            made.add_row(instant(one.t_ns), ends[0], "", "", ends[1])

    for one in connection.transits:
        happenings(one.at_ns)
        arrow = "──▶" if one.by is Side.CLIENT else "◀──"
        if one.lost:
            arrow = "──✗" if one.by is Side.CLIENT else "✗──"
        words = "  ".join(part for part in (flags_of(one), numbers_of(one), remark(one)) if part)
        first = "  closes first" if one is connection.closer else ""
        made.add_row(
            instant(one.at_ns), entered(Side.CLIENT, one), arrow, words + first, entered(Side.SERVER, one)
        )
    happenings(None)
    return made
