"""Writing a ladder under a run's figures, as SVG and as PNG."""

from collections.abc import Sequence
from pathlib import Path

from loadgen.analysis.packets.connection import Connection
from loadgen.analysis.packets.states import spans
from loadgen.analysis.packets.wording import heading
from loadgen.records.directory import RunDirectory
from plots.figures import FORMATS
from plots.ladder import ladder
from plots.page import save

NOTE = "states inferred from the packets (RFC 9293) · times since the first packet, not to scale"
BOUNDS = "≤ and ≥: an end is in no packet"


def draw_ladder(run: RunDirectory, variant: str, number: int, of: Sequence[Connection]) -> list[Path]:
    """Draw a variant's connection of this number, from 1 on. Returns the paths. Raises OSError."""
    subtitle = f"{variant}: connection {number} of {len(of)} captured"
    bounded = any(
        span.at_least or span.at_most for of_side in spans(of[number - 1]).values() for span in of_side
    )
    note = f"{NOTE} · {BOUNDS}" if bounded else NOTE
    figure = ladder(of[number - 1], heading(of[number - 1]), subtitle, f"run {run.id} · {note}")
    run.figures.mkdir(exist_ok=True)
    name = f"ladder-{variant}" + (f"-{number}" if number > 1 else "")
    paths = [run.figures / f"{name}.{suffix}" for suffix in FORMATS]
    for path in paths:
        # An existing path may be a FIFO, which would block, or a link to another file.
        path.unlink(missing_ok=True)
        save(figure, path)
    return paths
