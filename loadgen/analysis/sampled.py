"""What the samples of a variant add up to, each taken in once: the most sockets and ports, costs. Pure."""

from collections import Counter
from collections.abc import Sequence

from loadgen.records.types import Sample
from loadgen.tcp import State, Tracked


class Sampled:
    """The samples so far.

    `ports_most` and `ports_last` are the ports held by viewpoint: of those that count them, if a sample has
    states of its own.
    """

    def __init__(self) -> None:
        self.count = 0
        self.late = 0
        self.missed = 0
        self.late_by_gaps = self.missed_by_gaps = 0
        """Of those, what the samples have that end a gap of the sampler."""
        self._gap_ends_ns: set[int] = set()
        self.cost_ns = 0
        self.ports_most: dict[str, int] = {}
        self.ports_last: dict[str, int] = {}
        self.unread_sockets: Counter[str] = Counter()
        self.unread_bytes: Counter[str] = Counter()
        """The most that a sample found in CLOSE-WAIT with bytes unread, and the most such bytes."""
        self.capacity: dict[str, int] = {}
        """How many connections the ports of a viewpoint allow, where they are counted."""
        self.ports_gone_ns: dict[str, int] = {}
        """The first sample that found a socket on every one of them."""
        self._most: Counter[tuple[str, State]] = Counter()
        self.tracked_most: dict[str, Counter[Tracked]] = {}
        """Of each NAT, the most conntrack entries that a sample found in a state."""
        self.entries_most: dict[str, int] = {}
        """Of each NAT, the most conntrack entries altogether."""

    def add(self, sample: Sample) -> None:
        self.count += 1
        self.late += sample.late
        self.missed += sample.missed
        if sample.t_ns in self._gap_ends_ns:
            self._end_gap(sample)
        self.cost_ns += sample.cost_ns
        for name, one in sample.viewpoints.items():
            for state, count in one.states.items():
                if count > self._most[name, state]:
                    self._most[name, state] = count
            self.unread_sockets[name] = max(one.unread_sockets, self.unread_sockets[name])
            self.unread_bytes[name] = max(one.unread_bytes, self.unread_bytes[name])
            if one.conntrack is not None:
                self.tracked_most[name] = self.tracked_most.get(name, Counter()) | Counter(
                    one.conntrack.entries
                )
                self.entries_most[name] = max(one.conntrack.count, self.entries_most.get(name, 0))
            # With states of an earlier sample, a connection that closed since would hold two.
            if one.ports_held is not None and not one.states_age_ns:
                self.ports_last[name] = one.ports_held
                if one.ports_held >= self.capacity.get(name, one.ports_held + 1):
                    self.ports_gone_ns.setdefault(name, sample.t_ns)
                self.ports_most[name] = max(one.ports_held, self.ports_most.get(name, 0))

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

    def most(self, viewpoint: str, state: State) -> int:
        """The largest count of sockets in a state."""
        return self._most[viewpoint, state]
