"""What should happen: ports, hold time, closer and rate give ceiling, knee, exhaustion and population.

Pure arithmetic on the kernel facts. A closed loop's rate is not given by the scenario, so it is assumed
from rates seen on one machine; whatever follows from an assumed rate says so in `assumptions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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

    `ports` counts the client's ports over all its `paths`: range x sources x destinations (K7). A
    TIME-WAIT keeps its port from connect() for `hold_s`. `rate` is what is asked for, in connections per
    second; None in a closed loop. `connections` in flight that rest `pause_s` in each connection's
    life, and `costs` with a core for each of the `workers`, bound it in either. Of a command the costs
    are not known: None.
    """

    ports: int
    paths: int
    hold_s: float
    closer: Closer
    close: CloseMethod
    requests: int
    duration_s: float
    costs: Costs | None
    rate: float | None
    connections: int
    pause_s: float
    tw_buckets: int
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """What should happen. Rates are connections per second, times are seconds after the load begins.

    rate_assumed          whether `rate_per_s` is the generator's, seen on one machine, and not the scenario's
    past_knee_per_s       the rate once connect() is slow, None where the client's ports are not held
    ceiling_per_s         the rate that the client's ports can sustain, None where they never run out
    knee_ports            the population at which connect() becomes slow (K8); `time_to_knee_s` when
    time_to_exhaustion_s  when no port is left
    time_wait_client      and `time_wait_server`: the largest population on each side
    What does not happen within the run is None, and so is what rests on a rate that is not known.
    """

    ports: int
    rate_per_s: float | None
    rate_assumed: bool
    past_knee_per_s: float | None
    ceiling_per_s: float | None
    knee_ports: int | None
    time_to_knee_s: float | None
    time_to_exhaustion_s: float | None
    time_wait_client: int | None
    time_wait_server: int | None
    assumptions: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Prediction":
        parsed: dict[str, Any] = {**data}
        parsed["assumptions"] = tuple(parsed["assumptions"])
        return cls(**parsed)


def predict(situation: Situation) -> Prediction:
    """The prediction for one variant."""
    if situation.costs is None:
        return _without_rate(situation)
    capacity = _capacity(situation, situation.costs)
    assumed = situation.rate is None or situation.rate > capacity
    rate = capacity if situation.rate is None else min(situation.rate, capacity)
    why = "a closed loop's rate is not given" if situation.rate is None else "the generator makes no more"
    nothing_held = Prediction(
        ports=situation.ports,
        rate_per_s=rate,
        rate_assumed=assumed,
        past_knee_per_s=None,
        ceiling_per_s=None,
        knee_ports=None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=0,
        time_wait_server=0,
        assumptions=(f"{rate:,.0f} connections/s before the knee: {why}",) if assumed else (),
    )
    if situation.close is CloseMethod.RST:
        return nothing_held
    if situation.closer is Closer.SERVER:
        return replace(nothing_held, time_wait_server=_reopened(situation, rate))
    return _client_holds(situation, situation.costs, rate, nothing_held)


def distinct_ports(opened: float, ports: int) -> int:
    """How many different ports `opened` connections go through when each gives its port back at once.

    This bounds a server's TIME-WAITs, because a SYN reopens a tuple that the server still has in
    TIME-WAIT (K13). Ports of one parity are all that such a client ever takes (K8). Each walk
    over them takes every `PORT_STRIDE`th, at random, and none twice.
    """
    half = ports / 2
    walks, part = divmod(opened * PORT_STRIDE / half, 1)
    untouched = (1 - 1 / PORT_STRIDE) ** walks * (1 - part / PORT_STRIDE)
    return round(half * (1 - untouched))


def _reopened(situation: Situation, rate: float) -> int:
    """TIME-WAITs that stand where they keep no port from being taken again."""
    opened = rate * min(situation.duration_s, TIME_WAIT_S)
    return min(distinct_ports(opened, situation.ports), situation.tw_buckets)


def _without_rate(situation: Situation) -> Prediction:
    """What holds at any rate: who has no TIME-WAIT, where the knee is, what the ports can sustain."""
    fin = situation.close is CloseMethod.FIN
    holder = situation.closer if fin else None
    client = holder is Closer.CLIENT and situation.ports <= situation.tw_buckets
    return Prediction(
        ports=situation.ports,
        rate_per_s=None,
        rate_assumed=False,
        past_knee_per_s=None,
        ceiling_per_s=situation.ports / situation.hold_s if client else None,
        knee_ports=situation.ports // 2 if client else None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=None if holder is Closer.CLIENT else 0,
        time_wait_server=None if holder is Closer.SERVER else 0,
        assumptions=("the rate of a command is not known, nor what rests on it",),
    )


def _client_holds(situation: Situation, costs: Costs, rate: float, prediction: Prediction) -> Prediction:
    """The client closes first: each connection leaves it one port less for `hold_s`.

    Once the first ports come back they do so at the rate at which they went, so the population of
    that moment is the largest, and what has not happened by then never does.
    """
    ports = situation.ports
    half = ports // 2
    scan_s = half / situation.paths * PORT_SCAN_S
    cost_s = costs.per_connection_s(situation.requests)
    slow_rate = min(rate, situation.workers / (cost_s + scan_s))
    window_s = min(situation.duration_s, situation.hold_s)
    to_knee_s = half / rate
    to_end_s = to_knee_s + (ports - half) / slow_rate
    # Beyond the buckets a TIME-WAIT is destroyed at once, and its port is free (K14).
    knee = half < situation.tw_buckets and to_knee_s < window_s
    exhausted = ports <= situation.tw_buckets and to_end_s < window_s
    held = half + slow_rate * (window_s - to_knee_s) if knee else rate * window_s
    reuse = situation.hold_s < TIME_WAIT_S
    return replace(
        prediction,
        past_knee_per_s=slow_rate,
        ceiling_per_s=ports / situation.hold_s if ports <= situation.tw_buckets else None,
        knee_ports=half,
        time_to_knee_s=to_knee_s if knee else None,
        time_to_exhaustion_s=to_end_s if exhausted else None,
        # Where ports are taken over, TIME-WAITs that no longer hold one stand beside those that do.
        time_wait_client=max(
            min(round(held), ports, situation.tw_buckets), _reopened(situation, rate) if reuse else 0
        ),
        assumptions=(
            *prediction.assumptions,
            f"TIME-WAIT lasts {TIME_WAIT_S:g} s (K2)",
            f"past the knee connect() takes {scan_s * 1e3:.2f} ms (K8)",
            *((f"connect() takes a port over after {situation.hold_s:g} s (K12)",) if reuse else ()),
        ),
    )


def _capacity(situation: Situation, costs: Costs) -> float:
    """Connections per second that the generator can make while connect() is fast."""
    cost_s = costs.per_connection_s(situation.requests)
    return min(situation.workers / cost_s, situation.connections / (situation.pause_s + cost_s))
