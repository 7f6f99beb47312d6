"""Which figures a run gets, and writing them: each as SVG, for documents, and as PNG, for chats."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.analysis.reread import asked_of
from loadgen.analysis.summary import VariantSummary
from loadgen.records.directory import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from plots.columns import Columns

OVERVIEW, REMEDIES = "variants", "remedies"
FORMATS = ("svg", "png")


def draw(
    run: RunDirectory,
    summaries: Sequence[VariantSummary],
    read: "Mapping[str, Columns] | None" = None,
    only: Collection[str] = (),
) -> list[Path]:
    """Write a run's figures, or those named in `only`, under `run.figures`. Returns their paths.

    `read`: the columns of variants whose records have already been read.

    Names are `variants`, `remedies` if the scenario has any, `timeline-<variant>` and, if ports ran short,
    `portrait-<variant>`. Raises RunError
    if the run cannot be read, and ValueError for a name that the run has no figure of.
    """
    # matplotlib takes most of a second to import: only drawing waits for it.
    from plots.children import in_children
    from plots.columns import columns_of
    from plots.facts import facts_of, run_of
    from plots.multiples import multiples
    from plots.portrait import portrait, ports_ran_short
    from plots.remedies import remedies
    from plots.timeline import timeline

    asked, summarised = asked_of(run), {summary.name: summary for summary in summaries}
    about = run_of(run.id, asked, summaries)
    recorded = frozenset(run.variants())
    read = read or {}
    variants = [
        (
            read[variant.name] if variant.name in read else columns_of(run.records(variant.name)),
            facts_of(about, variant, asked.predictions[variant.name], summarised.get(variant.name)),
        )
        for variant in asked.scenario.variants
        if variant.name in recorded
    ]
    figures: dict[str, Callable[[], Figure]] = {}
    if variants:
        figures[OVERVIEW] = partial(multiples, about, variants)
    if variants and asked.scenario.remedies is not None:
        figures[REMEDIES] = partial(remedies, about, asked.scenario, variants)
    for columns, facts in variants:
        figures[f"timeline-{facts.variant}"] = partial(timeline, columns, facts)
        if ports_ran_short(columns, facts):
            figures[f"portrait-{facts.variant}"] = partial(portrait, columns, facts)
    unknown = set(only) - figures.keys()
    if unknown:
        raise ValueError(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(figures)}")
    run.figures.mkdir(exist_ok=True)
    wanted = {name: make for name, make in figures.items() if not only or name in only}
    paths = {name: [run.figures / f"{name}.{suffix}" for suffix in FORMATS] for name in wanted}
    in_children({name: partial(_write, make, paths[name]) for name, make in wanted.items()})
    return [path for both in paths.values() for path in both]


def _write(make: "Callable[[], Figure]", paths: Sequence[Path]) -> None:
    from plots.page import save

    figure = make()
    for path in paths:
        # An existing path may be a FIFO, which would block, or a link to another file.
        path.unlink(missing_ok=True)
        save(figure, path)
