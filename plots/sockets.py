"""The samples as columns: sockets by viewpoint and state, and the ports that the client holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.tcp import State

Floats = NDArray[np.float64]

GAP_STEPS = 5
"""So many typical steps without a row are a gap: late rows stay joined, lost ones do not."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """The samples, shape (n,) each: sockets by viewpoint and state, for every state that occurs.

    TIME-WAIT is there for every viewpoint that was sampled, so that its absence shows as a zero. `ports_held`
    is that of the viewpoint that opens the connections. `oldest_s` is the age of the oldest states that a
    sample of the viewpoint repeats; 0 if each has its own.
    """

    t_s: Floats
    counts: Mapping[str, Mapping[State, Floats]]
    ports_held: Floats
    oldest_s: Mapping[str, float]

    def peak(self, viewpoint: str, state: State) -> float:
        """The largest count; 0 if the state never occurs."""
        column = self.counts.get(viewpoint, {}).get(state)
        return 0.0 if column is None else float(np.nanmax(column))

    @property
    def most_ports(self) -> float:
        """The most ports that the client held; 0 if that was never sampled."""
        return float(np.max(self.ports_held, initial=0.0, where=np.isfinite(self.ports_held)))

    def ports_at(self, t_s: Floats) -> Floats:
        """Ports held at other instants, between the samples around each; nan outside and in gaps.

        Ports fill at up to thousands a sample: the nearest sample would be off by half of that.
        """
        known = np.isfinite(self.ports_held)
        at_s, held = self.t_s[known], self.ports_held[known]
        if not at_s.size:
            return np.full(t_s.shape, np.nan)
        ports = np.interp(t_s, at_s, held, left=np.nan, right=np.nan)
        after = np.clip(np.searchsorted(at_s, t_s), 1, max(at_s.size - 1, 1))
        if at_s.size > 1:
            ports[at_s[after] - at_s[after - 1] > gap_s(at_s)] = np.nan
        return ports


def gap_s(t_s: Floats) -> float:
    """The longest step between two rows that still joins them."""
    return GAP_STEPS * float(np.median(np.diff(t_s))) if t_s.size > 1 else 0.0
