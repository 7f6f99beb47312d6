"""Rows prepared for drawing: broken at gaps, thinned to what a page can show, averaged if they flicker."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plots.columns import ROUNDING_S
from plots.sockets import Floats, gap_s

BUCKETS = 600
"""A page is some 600 points wide: finer detail cannot be seen, and an hour at 100 ms is 36,000 rows."""


def drawable(t_s: Floats, y: Floats, buckets: int = BUCKETS) -> tuple[Floats, Floats]:
    """A line's points: nan put into every gap, and the extremes kept of every bucket."""
    t_s, y = broken(t_s, y, gap_s(t_s))
    kept = thinned(y, buckets)
    return t_s[kept], y[kept]


def broken(t_s: Floats, y: Floats, longest_s: float) -> tuple[Floats, Floats]:
    """Put a nan into the middle of every step longer than `longest_s`, so that no line crosses it."""
    before = np.flatnonzero(np.diff(t_s) > longest_s) + 1
    middles = (t_s[before - 1] + t_s[before]) / 2
    return np.insert(t_s, before, middles), np.insert(y, before, np.nan)


def thinned(y: Floats, buckets: int = BUCKETS) -> NDArray[np.intp]:
    """The rows to draw: all if they are few, else each bucket's minimum, maximum and first nan.

    A spike one row wide survives, as no average would let it.
    """
    if y.size <= 2 * buckets:
        return np.arange(y.size)
    missing = np.isnan(y)
    low, high = np.where(missing, np.inf, y), np.where(missing, -np.inf, y)
    kept = {0, y.size - 1}
    edges: list[int] = np.linspace(0, y.size, buckets + 1).astype(int).tolist()
    for start, end in pairwise(edges):
        kept |= {start + int(low[start:end].argmin()), start + int(high[start:end].argmax())}
        if missing[start:end].any():
            kept.add(start + int(missing[start:end].argmax()))
    return np.array(sorted(kept), dtype=np.intp)


def crest(t_s: Floats, y: Floats, buckets: int) -> tuple[Floats, Floats]:
    """The largest value in each of so many equal stretches of time, at its middle: nan if it is empty.

    This is the upper outline of a flickering line.
    """
    edges = np.linspace(float(t_s[0]), float(t_s[-1]), buckets + 1)
    bucket = np.clip(np.searchsorted(edges, t_s, side="right") - 1, 0, buckets - 1)
    highest = np.full(buckets, -np.inf)
    np.maximum.at(highest, bucket, np.where(np.isnan(y), -np.inf, y))
    return (edges[:-1] + edges[1:]) / 2, np.where(np.isinf(highest), np.nan, highest)


def averaged(t_s: Floats, length_s: Floats, rate: Floats, over_s: float) -> tuple[Floats, Floats]:
    """The mean rate in each stretch of `over_s`, at its middle: nan if it is empty.

    `t_s` are the middles of intervals as long as `length_s`. The last stretch takes the rest.
    """
    begin_s, end_s = float(t_s[0] - length_s[0] / 2), float(t_s[-1] + length_s[-1] / 2)
    count = max(int((end_s - begin_s + ROUNDING_S) / over_s), 1)
    stretch = np.minimum(((t_s - begin_s) / over_s).astype(int), count - 1)
    lengths_s = np.bincount(stretch, length_s, count)
    sums = np.bincount(stretch, rate * length_s, count)
    means = np.divide(sums, lengths_s, out=np.full(count, np.nan), where=lengths_s > 0)
    edges = begin_s + over_s * np.arange(count + 1)
    edges[-1] = end_s
    return (edges[:-1] + edges[1:]) / 2, means


def lone(y: Floats) -> NDArray[np.bool_]:
    """The points whose neighbours are missing: no line reaches them, so they need a dot."""
    known = np.concatenate([[False], np.isfinite(y), [False]])
    return known[1:-1] & ~known[:-2] & ~known[2:]
