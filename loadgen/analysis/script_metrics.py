"""The metrics of the script: what its faults did that only the lab has counted. Pure."""

from collections.abc import Sequence

from loadgen.analysis.fold import Fold
from loadgen.analysis.metric import Metric, Unit, Values
from loadgen.records.events import SegmentsDropped


def _dropped(fold: Fold, _: Values) -> float | None:
    counts = [event.segments for event in fold.events if isinstance(event, SegmentsDropped)]
    return sum(counts) if counts else None


SCRIPT_METRICS: Sequence[Metric] = (
    Metric(
        "script.dropped",
        Unit.COUNT,
        "segments that the script's `drop` has dropped, all of its faults together",
        _dropped,
    ),
)
