"""The table of claims, of one run or of many: for a terminal, and as Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.analysis.claims import JudgedClaim, RunClaims
from loadgen.cli.columns import GAP


def print_claims(console: Console, runs: Sequence[RunClaims]) -> None:
    """The claims of these runs under a title, each with the numbers that decided it.

    Nothing if there are none. A row names its run only if there are several, or if it is invalid.
    """
    table = Table.grid(padding=(0, GAP))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for run, claim in _rows(runs):
        below = [*claim.lines, *([f"in {_run(run)}"] if len(runs) > 1 or not run.valid else [])]
        shown = Text.assemble(claim.text, "\n", ("\n".join(below), "dim"))
        table.add_row(_mark(claim), claim.claim, _verdict(claim), shown)
    if table.row_count:
        console.print(Text("claims, and what decides them", style="bold"))
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def markdown(runs: Sequence[RunClaims]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield "| claim | | verdict | expected | decided by | run |"
    yield "|---|---|---|---|---|---|"
    for run, claim in _rows(runs):
        cells = (claim.claim, claim.text, claim.verdict, claim.expected, claim.reason, _run(run))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rows(runs: Iterable[RunClaims]) -> list[tuple[RunClaims, JudgedClaim]]:
    """Each claim of each run, in the order of the claims' numbers; of one claim, in the order of the runs."""
    rows = [(run, claim) for run in runs for claim in run.claims]
    return sorted(rows, key=lambda row: int(row[1].claim[1:]))


def _run(run: RunClaims) -> str:
    return run.run if run.valid else f"{run.run}, INVALID"


def _mark(claim: JudgedClaim) -> Text:
    if not claim.decided:
        return Text("✘", style="red")
    return Text("✔", style="green") if claim.as_expected else Text("≠", style="yellow")


def _verdict(claim: JudgedClaim) -> Text:
    expected = "" if claim.as_expected else f"\nexpected: {claim.expected}"
    return Text.assemble((claim.verdict, "bold"), (expected, "yellow"))
