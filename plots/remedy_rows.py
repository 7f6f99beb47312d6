"""What a remedy buys and what it costs, as numbers: the rows of the figure of remedies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loadgen.analysis.headline import time_waits
from loadgen.records.events import Interrupted
from loadgen.records.viewpoints import Scope
from loadgen.scenario.differences import changed
from loadgen.scenario.document import Scenario, Variant
from plots.columns import Columns
from plots.facts import Facts

LATE = 0.25
"""The last part of the load, whose rate shows if a remedy lasts."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a row; None if it was not measured, which is not 0. `word` stands beside it."""

    value: float | None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A remedy. Rates are per second, `connect_p99` is in seconds, the rest are counts.

    changes      the settings that differ from the workload's, in words
    finished     the load came to its end
    rate, late   what was done per second, under the whole load and in its last quarter: responses, or
                 connections if responses were not counted
    failed       attempts that failed
    held         the most TIME-WAITs on the side that opens connections, whose ports they hold
    moved        the most TIME-WAITs on another side, and which
    cut_short    TIME-WAITs that were destroyed, reset, or reused before their time
    lost         bytes that one program handed to its kernel and the other never read
    """

    name: str
    changes: str
    invalid: bool
    finished: bool
    rate: Cell
    late: Cell
    failed: Cell
    connect_p99: Cell
    held: Cell
    moved: Cell
    cut_short: Cell
    lost: Cell

    @property
    def comparable(self) -> bool:
        """Whether its counts are of a whole load, and valid."""
        return self.finished and not self.invalid

    @property
    def values(self) -> list[float | None]:
        cells = (self.rate, self.late, self.failed, self.connect_p99, self.held, self.moved)
        return [cell.value for cell in (*cells, self.cut_short, self.lost)]


def rows_of(scenario: Scenario, variants: Sequence[tuple[Columns, Facts]], names: Iterable[str]) -> list[Row]:
    """The rows of those of `names` that were recorded; the first of `names` is the workload itself."""
    first, *others = names
    by_name = {variant.name: variant for variant in scenario.variants}
    recorded = {facts.variant: (columns, facts) for columns, facts in variants}
    counted = responses([recorded[name] for name in (first, *others) if name in recorded])
    return [
        _row(*recorded[name], changes_in_words(by_name[first], by_name[name]), counted)
        for name in (first, *others)
        if name in recorded
    ]


def responses(variants: Sequence[tuple[Columns, Facts]]) -> bool:
    """Whether the responses of all variants were counted: a command does not report them."""
    return not any(columns.rates.from_samples for columns, _ in variants)


def changes_in_words(base: Variant, variant: Variant) -> str:
    """The settings of a variant that differ, without what all keys of that part have in common."""
    settings: list[str] = []
    sysctls: dict[str, list[str]] = {}
    for key, value in changed(base, variant).items():
        path, _, name = key.partition(".net.")
        if name:
            sysctls.setdefault(path.rpartition(".")[2], []).append(f"{name.rpartition('.')[2]} {value}")
        else:
            settings.append(f"{key.removeprefix('lab.').removeprefix('connection.')} {value}")
    return "; ".join([*settings, *(f"{side}: {', '.join(those)}" for side, those in sysctls.items())])


def _row(columns: Columns, facts: Facts, changes: str, counted: bool) -> Row:
    metrics, rates, end_s = facts.metrics, columns.rates, columns.end_s
    done = rates.exchanges if counted else rates.connected
    opener = columns.scope.legs[-1].opener
    waiting = time_waits(metrics)
    where, moved = max(
        ((name, number) for name, number in waiting.items() if name != opener),
        key=lambda each: each[1],
        default=("", None),
    )
    p99_ns = metrics.get("connect.p99_ns")
    return Row(
        name=facts.variant,
        changes=changes,
        invalid=bool(facts.invalid),
        finished=columns.load_end_s is not None and not _interrupted(columns),
        rate=Cell(rates.mean(done, 0.0, end_s)),
        late=Cell(rates.mean(done, (1 - LATE) * end_s, end_s) if columns.load_end_s else None),
        failed=Cell(metrics.get("errors.total")),
        connect_p99=Cell(None if p99_ns is None else p99_ns / 1e9),
        held=Cell(waiting.get(opener)),
        moved=Cell(moved, where if moved else ""),
        cut_short=_cut_short(metrics, columns.scope),
        lost=Cell(metrics.get("bytes.lost")),
    )


def _interrupted(columns: Columns) -> bool:
    """Whether a person ended the load early: its end is then recorded too."""
    return any(isinstance(event, Interrupted) for event in columns.events)


def _cut_short(metrics: Mapping[str, float], scope: Scope) -> Cell:
    """How many TIME-WAITs did not last, and what became of them; None if nothing that counts them was
    measured. Viewpoints of one namespace have the same counters: one of each counts."""
    kernels = [f"{names[0]}.kernel" for names in scope.by_node.values()]
    counting = {
        "destroyed": [f"{kernel}.TCPTimeWaitOverflow" for kernel in kernels],
        "reset": ["closes.client_rst", "closes.server_rst"],
        "reused": [f"{kernel}.TWRecycled" for kernel in kernels],
    }
    counts = {word: [metrics[name] for name in names if name in metrics] for word, names in counting.items()}
    if not any(counts.values()):
        return Cell(None)
    found = {word: sum(numbers) for word, numbers in counts.items() if sum(numbers)}
    return Cell(sum(found.values()), " + ".join(found))
