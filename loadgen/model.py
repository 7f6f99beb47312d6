"""What should happen: ports, hold time, closer and rate give ceiling, knee, exhaustion and population.

Pure arithmetic on the kernel facts. A closed loop's rate is not given by the scenario, so it is assumed
from rates seen on one machine; whatever follows from an assumed rate says so in `assumptions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.tcp import CloseMethod, Closer

TIME_WAIT_S = 61.0
"""How long Linux keeps TIME-WAIT: 60 s, and the steps of its timer wheel (K2)."""

PORT_STRIDE = 4.5
"""Ports of its parity that connect() moves on by from one connection to the next, on average: it adds
1 to 8 (`__inet_hash_connect()` in net/ipv4/inet_hashtables.c)."""

PORT_SCAN_S = 1.45e-3 / 14_116
"""What connect() pays for each used port it looks at once half of the range is gone (K8)."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a connection costs the client's core, in seconds: opening and closing it with one exchange
    on it, and each exchange after the first."""

    connection_s: float
    exchange_s: float

    def per_connection_s(self, requests: int) -> float:
        return self.connection_s + (requests - 1) * self.exchange_s


@dataclass(frozen=True, slots=True)
class Situation:
    """What a prediction starts from.

    `ports` counts the client's ports over all its paths: range x sources x destinations (K7). `rate`
    is what is asked for, in connections per second; None in a closed loop, where `connections` in flight
    that rest `pause_s` in each connection's life, and `costs`, bound it.
    """

    ports: int
    closer: Closer
    close: CloseMethod
    requests: int
    duration_s: float
    costs: Costs
    rate: float | None
    connections: int
    pause_s: float
    tw_buckets: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What should happen. Rates are connections per second, times are seconds after the load begins.

    ceiling_per_s         the rate that the client's ports can sustain, None where nothing holds them
    knee_ports            the population at which connect() becomes slow (K8); `time_to_knee_s` when
    time_to_exhaustion_s  when no port is left
    time_wait_client      and `time_wait_server`: the largest population on each side
    What does not happen within the run is None.
    """

    ports: int
    rate_per_s: float
    ceiling_per_s: float | None
    knee_ports: int | None
    time_to_knee_s: float | None
    time_to_exhaustion_s: float | None
    time_wait_client: int
    time_wait_server: int
    assumptions: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Prediction":
        parsed: dict[str, Any] = {**data}
        parsed["assumptions"] = tuple(parsed["assumptions"])
        return cls(**parsed)


def predict(situation: Situation) -> Prediction:
    """The prediction for one variant."""
    rate, assumptions = _rate_before_knee(situation)
    client_holds = situation.closer is Closer.CLIENT and situation.close is CloseMethod.FIN
    server_holds = situation.closer is Closer.SERVER and situation.close is CloseMethod.FIN
    if not client_holds:
        opened = rate * min(situation.duration_s, TIME_WAIT_S)
        server = min(distinct_ports(opened, situation.ports), situation.tw_buckets) if server_holds else 0
        return Prediction(
            ports=situation.ports,
            rate_per_s=rate,
            ceiling_per_s=None,
            knee_ports=None,
            time_to_knee_s=None,
            time_to_exhaustion_s=None,
            time_wait_client=0,
            time_wait_server=server,
            assumptions=assumptions,
        )
    return _client_holds(situation, rate, assumptions)


def distinct_ports(opened: float, ports: int) -> int:
    """How many different ports `opened` connections go through when each gives its port back at once.

    This bounds a server's TIME-WAITs, because a SYN reopens a tuple that the server still has in
    TIME-WAIT (K13). Ports of one parity are all that such a client ever takes (K8). Each walk
    over them takes every `PORT_STRIDE`th, at random.
    """
    half = ports / 2
    walks = opened * PORT_STRIDE / half
    return round(half * (1 - (1 - 1 / PORT_STRIDE) ** walks))


def _client_holds(situation: Situation, rate: float, assumptions: tuple[str, ...]) -> Prediction:
    """The client closes first: each connection leaves it one port less for `TIME_WAIT_S`."""
    usable = min(situation.ports, situation.tw_buckets)
    half = situation.ports // 2
    window_s = min(situation.duration_s, TIME_WAIT_S)
    to_knee_s = half / rate
    cost_s = situation.costs.per_connection_s(situation.requests)
    slow_rate = min(rate, 1 / (cost_s + half * PORT_SCAN_S))
    to_end_s = to_knee_s + (situation.ports - half) / slow_rate
    knee = half < usable and to_knee_s < window_s
    exhausted = situation.ports <= usable and to_end_s < window_s
    held = rate * window_s if not knee else half + slow_rate * (window_s - to_knee_s)
    return Prediction(
        ports=situation.ports,
        rate_per_s=rate,
        ceiling_per_s=situation.ports / TIME_WAIT_S,
        knee_ports=half,
        time_to_knee_s=to_knee_s if knee else None,
        time_to_exhaustion_s=to_end_s if exhausted else None,
        time_wait_client=min(round(held), usable),
        time_wait_server=0,
        assumptions=(
            *assumptions,
            f"TIME-WAIT lasts {TIME_WAIT_S:g} s (K2)",
            f"past the knee connect() takes {half * PORT_SCAN_S * 1e3:.2f} ms (K8)",
        ),
    )


def _rate_before_knee(situation: Situation) -> tuple[float, tuple[str, ...]]:
    capacity = 1 / situation.costs.per_connection_s(situation.requests)
    if situation.rate is not None:
        return min(situation.rate, capacity), ()
    if situation.pause_s:
        capacity = min(capacity, situation.connections / situation.pause_s)
    return capacity, (f"{capacity:,.0f} connections/s before the knee: a closed loop's rate is not given",)
