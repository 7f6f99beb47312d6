"""The conntrack entries of a NAT as columns, at the instants of the samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadgen.records.conntrack import Conntrack
from loadgen.records.types import ViewpointSample
from loadgen.records.viewpoints import Scope
from loadgen.tcp import Tracked
from plots.sockets import Floats


@dataclass(frozen=True, slots=True)
class TrackedEntries:
    """Entries by state, shape (n,) each, at the instants of the samples; `ports` are the NAT's."""

    counts: Mapping[Tracked, Floats]
    ports: int
    oldest_s: float


def tracked_of(
    rows: Sequence[Mapping[str, ViewpointSample] | None], scope: Scope
) -> dict[str, TrackedEntries]:
    """The entries of each NAT; a row of None is a gap."""
    found: dict[str, TrackedEntries] = {}
    for viewpoint in scope.viewpoints:
        samples = [row.get(viewpoint.name) if row else None for row in rows]
        entries = [one.conntrack if one else None for one in samples]
        known = [one for one in entries if one is not None]
        if viewpoint.pool is not None and known:
            seen = {state for one in known for state in one.entries}
            counts = {state: _column(entries, state) for state in Tracked if state in seen}
            oldest_s = max(one.age_ns for one in known) / 1e9
            found[viewpoint.name] = TrackedEntries(counts, viewpoint.pool.size, oldest_s)
    return found


def _column(entries: Sequence[Conntrack | None], state: Tracked) -> Floats:
    return np.array([np.nan if one is None else one.entries.get(state, 0) for one in entries], np.float64)
