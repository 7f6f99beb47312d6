"""The pace of a situation: connections per second, and in flight."""

import math
from dataclasses import dataclass

from loadgen.model.situation import Costs, Situation

SEARCHED, SEARCH_S, SEARCH_GROWTH = 14_116, 1.45e-3, 1.26
"""connect() takes `SEARCH_S` more if it examines `SEARCHED` used ports (K8), and 0.12 ms more for 2,000:
fewer sockets fit the processor's caches."""
SEARCH_WITHIN = 0.5
"""The search takes that much more or less on other processors and kernels: it is faster since Linux 6.15."""


def search_s(used: float) -> float:
    """How much longer connect() takes if it examines so many used ports."""
    return SEARCH_S * (used / SEARCHED) ** SEARCH_GROWTH


def _at_once(situation: Situation) -> int:
    """Connections in flight for the requests of a burst."""
    return min(situation.burst, situation.connections) if situation.burst > 1 else 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast connections are opened, per second, and how many of them are in flight.

    rate       in the long run, before the knee; `capacity` is the most that the generator can make
    opening    at the start, when a closed loop opens all of its connections
    slow       while each connect() searches, which takes `scan_s` of a core
    life_s     how long a connection keeps its port while it lives; `in_flight` the most at once
    batch      how many are opened before the first of them ends
    """

    rate: float
    capacity: float
    opening: float
    slow: float
    cost_s: float
    scan_s: float
    life_s: float
    in_flight: float
    batch: float

    @classmethod
    def of(cls, situation: Situation, costs: Costs) -> "Pace":
        workers, connections = situation.workers, situation.connections
        cost_s = costs.per_connection_s(situation.requests)
        scan_s = search_s(situation.half / situation.paths)
        offered = math.inf if situation.rate is None else situation.rate
        arriving = offered if situation.arriving is None else situation.arriving
        # In an open loop a connection's later requests come later, and do not delay the opening of others.
        first_s = cost_s if situation.rate is None else costs.per_connection_s(1)
        opening = min(arriving, workers / first_s)
        capacity = min(workers / cost_s, connections / (situation.pause_s + cost_s))
        rate = min(offered, capacity)
        life_s = connections / rate if situation.in_place else situation.pause_s + cost_s
        return cls(
            rate=rate,
            capacity=capacity,
            opening=opening,
            slow=min(opening, workers / (first_s + scan_s)),
            cost_s=cost_s,
            scan_s=scan_s,
            life_s=life_s,
            in_flight=max(rate * life_s, _at_once(situation)),
            batch=connections if situation.rate is None else rate * life_s,
        )

    def opened(self, time_s: float) -> float:
        """Connections opened until then: a batch at once, and as many again each time they end."""
        rounds, rest_s = divmod(time_s, self.life_s)
        return min(time_s * self.opening, (rounds + min(rest_s * self.opening / self.batch, 1)) * self.batch)

    def time_to_open_s(self, opened: float) -> float:
        """The time at which so many have been opened."""
        rounds, rest = divmod(opened, self.batch)
        return max(opened / self.opening, rounds * self.life_s + rest / self.opening)
