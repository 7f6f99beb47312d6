"""`churn endings`: the ledger of endings, and what this kernel counts for each."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, fail

if TYPE_CHECKING:
    from loadgen.engine.endings import Compared

_INTRODUCTION = """\
# How connections end, and what each kernel counts

`churn endings --markdown` makes each of these happen in a lab and writes this page. {kernel}

A row is one connection, or one attempt to open one. Each counter is followed by how much it grew on that
side; those that did not move are left out. TW stands for TW + TWKilled + TCPTimeWaitOverflow: the entries
into TIME-WAIT, or into FIN-WAIT-2 without a program (see [facts.md](facts.md#k18)). churn's audit finds the
rows that add up to what the kernels counted. Ordinary ones need no explanation.
"""


@click.command()
@click.option("--markdown", is_flag=True, help="Write the page docs/endings.md.")
def endings(*, markdown: bool) -> None:
    """Make every way in which a connection can end happen, and show what this kernel counts.

    Takes about half a minute. Exits with 106 if a counter differs from the ledger that the audit uses.
    """
    import uvloop

    from loadgen.engine.child import ChildDiedError
    from loadgen.engine.endings import compare_endings
    from loadgen.lab.errors import LabUnavailable

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(compare_endings())
    except (LabUnavailable, ChildDiedError) as error:
        fail(Exit.INVALID, str(error))
    if markdown:
        click.echo("\n".join(page(found)))
    else:
        for one in found:
            click.echo(f"{one.entry.name}: {one.entry.story}")
            for side, grown in one.grown.items():
                click.echo(f"    {side}: {_moved(grown)}")
    differing = [
        f"{one.entry.name}: {side} {row} grew by {seen:g}, the ledger says {said}"
        for one in found
        for side, row, said, seen in one.differences
    ]
    if differing:
        fail(Exit.INVALID, "this kernel counts otherwise than the ledger: " + "; ".join(differing))


def page(found: "list[Compared]") -> Iterator[str]:
    """The lines of docs/endings.md."""
    import platform

    from loadgen.ledger.entry import Kind

    yield _INTRODUCTION.format(
        kernel=f"These are the counts of Linux {platform.release().partition('-')[0]}."
    )
    yield "| entry | what happens | first to end it | client | server |"
    yield "| --- | --- | --- | --- | --- |"
    for one in found:
        entry = one.entry
        first = f"{entry.first.closer}, {entry.first.how.upper()}" if entry.first else ""
        name = f"`{entry.name}`" + (" (ordinary)" if entry.kind is Kind.ORDINARY else "")
        yield f"| {name} | {entry.story} | {first} | " + " | ".join(map(_moved, one.grown.values())) + " |"


def _moved(grown: Mapping[str, float]) -> str:
    from loadgen.ledger.entry import FIN, FINS

    moved = {FINS[0] if row == FIN else row: count for row, count in grown.items() if count}
    return ", ".join(f"{name} {count:g}" for name, count in moved.items()) or "nothing"
