"""Which figures a run gets, and writing them: each as SVG, for documents, and as PNG, for chats."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.rundir import SUMMARY_FILE, RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERVIEW = "variants"
FORMATS = ("svg", "png")


def draw(run: RunDirectory, only: Collection[str] = ()) -> list[Path]:
    """Write a run's figures, or those named in `only`, under `run.figures`. Returns their paths.

    Names are `variants`, `timeline-<variant>` and, where ports ran short, `portrait-<variant>`. Without a
    summary the figures show what the records alone tell. Raises RunError where the run cannot be read, and
    ValueError for a name that the run has no figure of.
    """
    # matplotlib takes most of a second to import: only those who draw wait for it.
    from plots.columns import columns_of
    from plots.facts import facts_of, run_of
    from plots.multiples import multiples
    from plots.portrait import portrait, ports_ran_short
    from plots.timeline import timeline

    info = run.info()
    summary = run.summary() if (run.path / SUMMARY_FILE).exists() else {}
    about = run_of(run.id, info)
    variants = [
        (columns_of(run.records(name)), facts_of(about, name, info, summary)) for name in run.variants()
    ]
    figures: dict[str, Callable[[], Figure]] = {}
    if variants:
        figures[OVERVIEW] = partial(multiples, about, variants)
    for columns, facts in variants:
        figures[f"timeline-{facts.variant}"] = partial(timeline, columns, facts)
        if ports_ran_short(columns, facts):
            figures[f"portrait-{facts.variant}"] = partial(portrait, columns, facts)
    unknown = set(only) - figures.keys()
    if unknown:
        raise ValueError(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(figures)}")
    run.figures.mkdir(exist_ok=True)
    paths: list[Path] = []
    for name, make in figures.items():
        if not only or name in only:
            paths += _write(make(), run.figures / name)
    return paths


def _write(figure: "Figure", stem: Path) -> list[Path]:
    from plots.page import save

    paths = [stem.parent / f"{stem.name}.{suffix}" for suffix in FORMATS]
    for path in paths:
        # What stands there may be a FIFO, which would block, or a link to somewhere else.
        path.unlink(missing_ok=True)
        save(figure, path)
    return paths
