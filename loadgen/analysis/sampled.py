"""What the samples of a variant add up to, each taken in once: the most sockets and ports, costs. Pure."""

from collections import Counter
from collections.abc import Sequence

from loadgen.records.types import Sample
from loadgen.tcp import Side, State


class Sampled:
    """The samples so far. `full` tells that TIME-WAIT was counted socket by socket in any of them.

    Of the client's ports held, `ports_most` and `ports_last` are None where no sample has states of its own.
    """

    def __init__(self) -> None:
        self.count = 0
        self.late = 0
        self.missed = 0
        self.late_by_gaps = self.missed_by_gaps = 0
        """Of those, what the samples have that end a gap of the sampler."""
        self._gap_ends_ns: set[int] = set()
        self.cost_ns = 0
        self.full = False
        self.ports_most: int | None = None
        self.ports_last: int | None = None
        self._most: Counter[tuple[Side, State]] = Counter()

    def add(self, sample: Sample) -> None:
        self.count += 1
        self.late += sample.late
        self.missed += sample.missed
        if sample.t_ns in self._gap_ends_ns:
            self._end_gap(sample)
        self.cost_ns += sample.cost_ns
        self.full = self.full or sample.full
        for side, told in sample.sides.items():
            for state, count in told.states.items():
                if count > self._most[side, state]:
                    self._most[side, state] = count
        client = sample.sides[Side.CLIENT]
        # With states of an earlier sample, a connection that closed since would hold two.
        if not client.states_age_ns:
            self.ports_last = client.ports_held
            self.ports_most = max(client.ports_held, self.ports_most or 0)

    def end_gap(self, end_ns: int, samples: Sequence[Sample]) -> None:
        """A gap of the sampler ended then: with one of these samples, or with one that is still to come."""
        for sample in samples:
            if sample.t_ns == end_ns:
                self._end_gap(sample)
                return
        self._gap_ends_ns.add(end_ns)

    def _end_gap(self, sample: Sample) -> None:
        self._gap_ends_ns.discard(sample.t_ns)
        self.late_by_gaps += sample.late
        self.missed_by_gaps += sample.missed

    def most(self, side: Side, state: State) -> int:
        """The largest count of sockets in a state."""
        return self._most[side, state]
