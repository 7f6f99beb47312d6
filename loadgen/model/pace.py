"""The pace of a situation: connections per second, and in flight."""

import math
from dataclasses import dataclass

from loadgen.model.situation import Costs, Situation

PORT_SCAN_S = 1.45e-3 / 14_116
"""Time of connect() for each used port that it examines, once half of the range is used (K8)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast connections are opened, per second, and how many of them are in flight.

    rate       in the long run, before the knee; `capacity` is the most that the generator can make
    opening    at the start, when a closed loop opens all of its connections
    slow       while each connect() searches, which takes `scan_s` of a core
    life_s     how long a connection keeps its port while it lives; `in_flight` the most at once
    """

    rate: float
    capacity: float
    opening: float
    slow: float
    cost_s: float
    scan_s: float
    life_s: float
    in_flight: float

    @classmethod
    def of(cls, situation: Situation, costs: Costs) -> "Pace":
        workers, connections = situation.workers, situation.connections
        cost_s = costs.per_connection_s(situation.requests)
        scan_s = situation.half / situation.paths * PORT_SCAN_S
        offered = math.inf if situation.rate is None else situation.rate
        opening = min(offered, workers / cost_s)
        capacity = min(workers / cost_s, connections / (situation.pause_s + cost_s))
        rate = min(offered, capacity)
        life_s = connections / rate if situation.in_place else situation.pause_s + cost_s
        return cls(
            rate=rate,
            capacity=capacity,
            opening=opening,
            slow=min(opening, workers / (cost_s + scan_s)),
            cost_s=cost_s,
            scan_s=scan_s,
            life_s=life_s,
            in_flight=rate * life_s,
        )

    def opened(self, time_s: float, connections: int) -> float:
        """Connections opened until then: `connections` at once, and as many again each time they end."""
        rounds, rest_s = divmod(time_s, self.life_s)
        return min(
            time_s * self.opening, (rounds + min(rest_s * self.opening / connections, 1)) * connections
        )

    def time_to_open_s(self, opened: float, connections: int) -> float:
        """The time at which so many have been opened."""
        rounds, rest = divmod(opened, connections)
        return max(opened / self.opening, rounds * self.life_s + rest / self.opening)
