"""How a count of sockets that stay rises: on a line, at moments, or to a level. Pure.

Every connection passes CLOSE-WAIT if the other side closes first, so a count of it is never still. What
stays is found by the suffix minimum: of the sockets counted at an instant, at least as many
stay to the end as the fewest that were counted from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

LASTING_NS = 1_000_000_000
"""Sockets stay if they are counted for so long: the last second of the counts shows only whether they do."""
ENOUGH = 8
"""Fewer counts show no form."""
LEAST = 8
"""Sockets: fewer are no finding."""
NOISE = 3
"""The rise has to be so many times what passes, or it may be chance."""
MOST = 0.9
"""The share of the rise that decides its form: a few stray ones at other times do not."""
FEW = 0.25
"""At moments: most of the rise is in fewer of the bins than this share of those that a line would use, or
within this share of the time."""
BINS = 400
"""Equal spans of time, at most, that a rise is divided into."""
APART = 2
"""So many bins lie between two moments, or they are one."""


class Form(StrEnum):
    LINE = "line"
    STAIRS = "stairs"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Rise:
    """`sockets` that stay: they came from `start_ns` to `end_ns`, at so many `moments` (a line: 1).
    `passing`: those beside them that went again, at the median.
    """

    form: Form
    sockets: int
    start_ns: int
    end_ns: int
    moments: int
    passing: float

    @property
    def per_s(self) -> float:
        """How many a second, while it rose."""
        return self.sockets * 1e9 / max(self.end_ns - self.start_ns, 1)


def rise(times_ns: Sequence[int], counts: Sequence[int]) -> Rise | None:
    """How what stays of these counts rises from the first on; None if nothing stays, or it may be chance."""
    if len(times_ns) < ENOUGH:
        return None
    times = np.asarray(times_ns, np.int64)
    seen = np.asarray(counts, np.int64)
    stays = np.minimum.accumulate(seen[::-1])[::-1]
    known = times <= times[-1] - LASTING_NS
    if not known.any():
        return None
    times, seen, stays = times[known], seen[known], stays[known]
    total, passing = int(stays[-1]), float(np.median(seen - stays))
    if total < LEAST or total < NOISE * passing:
        return None
    edges, gains = _gains(times, stays)
    biggest = np.argsort(-gains, kind="stable")
    few = int(np.searchsorted(np.cumsum(gains[biggest]), MOST * total)) + 1
    # A line rises in every bin from its first to the end of the counts, or once for each socket.
    from_first = len(gains) - int(np.flatnonzero(gains)[0])
    rising = np.sort(biggest[:few])
    if few > FEW * min(from_first, total) and int(rising[-1] - rising[0]) + 1 > FEW * from_first:
        return Rise(Form.LINE, total, *_spanned(times, stays, total), 1, passing)
    moments = _moments(rising, gains, passing)
    form = Form.STAIRS if len(moments) > 1 else Form.LEVEL
    start_ns, end_ns = int(edges[moments[0][0]]), int(edges[moments[-1][-1] + 1])
    return Rise(form, total, start_ns, end_ns, len(moments), passing)


def _spanned(times: NDArray[np.int64], stays: NDArray[np.int64], total: int) -> tuple[int, int]:
    """When a line rises from none to all: through its first and last tenth, where stray ones weigh little."""
    early, late = (int(times[np.searchsorted(stays, share * total)]) for share in (1 - MOST, MOST))
    beyond = round((late - early) * (1 - MOST) / (2 * MOST - 1))
    return max(early - beyond, int(times[0])), min(late + beyond, int(times[-1]))


def _moments(
    rising: NDArray[np.int64], gains: NDArray[np.int64], passing: float
) -> Sequence[NDArray[np.int64]]:
    """The bins that rise, in groups; those whose gain may be chance only if there are no others."""
    groups = np.split(rising, np.flatnonzero(np.diff(rising) > APART) + 1)
    return [group for group in groups if gains[group].sum() > NOISE * max(passing, 1)] or groups[:1]


def _gains(times: NDArray[np.int64], stays: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The edges of equal bins of time, and by how much the sockets that stay grew in each."""
    bins = min(len(times), BINS)
    edges: NDArray[np.int64] = np.linspace(int(times[0]), int(times[-1]), bins + 1, dtype=np.int64)
    at_edges = stays[np.searchsorted(times, edges[1:], side="right") - 1]
    return edges, np.diff(at_edges, prepend=0)
