"""Progress of scenarios side by side: a line for each on a terminal, plain lines elsewhere. On stderr."""

from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadgen.cli.columns import GAP, Screen
from loadgen.cli.exits import Exit, echo
from loadgen.cli.lanes import View

REFRESH_S = 0.2
KEPT_LINES = 10
"""What is shown of the end of stderr of one that failed."""


def view_for(names: Sequence[str], *, quiet: bool) -> View:
    """A live view if stderr is a terminal, else plain lines. `quiet`: no report is printed."""
    console = Screen(stderr=True, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveLanes(console, names, quiet) if live else PlainLanes(names, quiet)


class PlainLanes:
    """What each prints, behind its name; its report once it has ended."""

    def __init__(self, names: Sequence[str], quiet: bool) -> None:
        self._names = names
        self._quiet = quiet
        self._begun = 0

    def __enter__(self) -> "PlainLanes":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begins(self, name: str) -> None:
        self._begun += 1
        echo(f"{name}: scenario {self._begun} of {len(self._names)} that run beside each other", err=True)

    def says(self, name: str, line: str) -> None:
        echo(f"{name}: {line}", err=True)

    def ends(self, name: str, code: Exit, report: str) -> None:
        if not self._quiet:
            echo(report)
        if code is not Exit.FINE:
            echo(f"{name}: exit code {code:d}", err=True)


class LiveLanes:
    """A line for each that runs, redrawn in place, below the reports of those that have ended."""

    def __init__(self, console: Console, names: Sequence[str], quiet: bool) -> None:
        self._waiting = list(names)
        self._quiet = quiet
        self._running: dict[str, deque[str]] = {}
        self._console = console
        self._live = self._new()
        self._due = 0.0

    def __enter__(self) -> "LiveLanes":
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begins(self, name: str) -> None:
        self._waiting.remove(name)
        self._running[name] = deque(["starts"], maxlen=KEPT_LINES)
        self._draw()

    def says(self, name: str, line: str) -> None:
        self._running[name].append(line)
        if monotonic() >= self._due:
            self._draw()

    def ends(self, name: str, code: Exit, report: str) -> None:
        lines = self._running.pop(name)
        # Rich would print on stderr what is printed on stdout meanwhile.
        self._live.stop()
        if not self._quiet:
            echo(report)
        if code is not Exit.FINE:
            for line in lines:
                echo(f"{name}: {line}", err=True)
            echo(f"{name}: exit code {code:d}", err=True)
        self._live = self._new()
        self._live.start()
        self._draw()

    def _new(self) -> Live:
        return Live(console=self._console, auto_refresh=False, transient=True)

    def _draw(self) -> None:
        self._due = monotonic() + REFRESH_S
        self._live.update(picture(self._running, self._waiting), refresh=True)


def picture(running: Mapping[str, Sequence[str]], waiting: Sequence[str]) -> Group:
    """The last line of each that runs, and the names of those that follow."""
    table = Table.grid(padding=(0, GAP))
    table.add_column(no_wrap=True, min_width=max(map(len, running), default=0) + 2)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, lines in running.items():
        table.add_row(Text(f"▶ {name}", style="bold"), Text(lines[-1]))
    rest = [Text(f"  then {', '.join(waiting)}", style="dim")] if waiting else []
    return Group(table, *rest)
