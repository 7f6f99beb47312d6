"""The prediction: ports, hold time, closer and rate give ceiling, knee, exhaustion and population.

Pure arithmetic on the kernel facts. A connection in flight holds its port, and so does a TIME-WAIT of the
client: connect() depends on the number of ports held by either. The scenario does not give the rate of a
closed loop, so it is assumed from rates measured on one machine; `assumptions` names what depends on it.
"""

from dataclasses import replace

from loadgen.model.pace import Pace
from loadgen.model.situation import TIME_WAIT_S, Situation
from loadgen.records.prediction import Prediction
from loadgen.tcp import Ending, How, Side

PORT_STRIDE = 4.5
"""Ports of its parity that connect() moves on by from one connection to the next, on average: it adds
1 to 8 (`__inet_hash_connect()` in net/ipv4/inet_hashtables.c)."""


def predict(situation: Situation) -> Prediction:
    """The prediction for one variant."""
    if situation.costs is None:
        return _without_rate(situation)
    pace = Pace.of(situation, situation.costs)
    assumed = situation.rate is None or situation.rate > pace.capacity
    why = "a closed loop's rate is not given" if situation.rate is None else "the generator cannot make more"
    nothing_held = Prediction(
        ports=situation.ports,
        rate_per_s=pace.rate,
        rate_assumed=assumed,
        past_knee_per_s=None,
        ceiling_per_s=None,
        knee_ports=None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=0,
        time_wait_server=0,
        assumptions=(f"{pace.rate:,.0f} connections/s before the knee: {why}",) if assumed else (),
    )
    if situation.ending is Ending.CLIENT_FIN:
        return _client_holds(situation, pace, nothing_held)
    return _given_back(situation, pace, nothing_held)


def distinct_ports(opened: float, ports: int) -> int:
    """How many different ports `opened` connections go through when each gives its port back at once.

    This bounds a server's TIME-WAITs, because a SYN reopens a tuple that the server still has in
    TIME-WAIT (K13). Ports of one parity are all that such a client takes while one of them is free
    (K8). Each walk over them takes every `PORT_STRIDE`th, at random, and none twice.
    """
    half = ports / 2
    walks, part = divmod(opened * PORT_STRIDE / half, 1)
    untouched = (1 - 1 / PORT_STRIDE) ** walks * (1 - part / PORT_STRIDE)
    return round(half * (1 - untouched))


def _standing(situation: Situation, opened: float, held: float) -> int:
    """TIME-WAITs of a side whose ports can be used again at once. `held`: ports in use at once.

    Those held are ports of one parity before there is one of the other, and as many different tuples.
    """
    ports, half = situation.ports, situation.half
    if held <= half:
        found = max(distinct_ports(opened, ports), min(held, opened))
    else:
        found = half + max(distinct_ports(opened * (1 - half / held), ports), held - half)
    return min(round(found), ports, situation.tw_buckets)


def _without_rate(situation: Situation) -> Prediction:
    """What holds at any rate: the side without TIME-WAIT, the knee in ports, the ceiling."""
    fin = situation.ending.how is How.FIN
    holder = situation.ending.side if fin else None
    client = holder is Side.CLIENT and situation.ports <= situation.tw_buckets
    return Prediction(
        ports=situation.ports,
        rate_per_s=None,
        rate_assumed=False,
        past_knee_per_s=None,
        ceiling_per_s=_ceiling(situation) if client else None,
        knee_ports=situation.half if client else None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=None if holder is Side.CLIENT else 0,
        time_wait_server=None if holder is Side.SERVER else 0,
        assumptions=("the rate of a command is unknown, and so is what depends on it",),
    )


def _given_back(situation: Situation, pace: Pace, prediction: Prediction) -> Prediction:
    """The server closes first, or a reset ends it: only connections in flight hold the client's ports.

    If they are more than half of the ports, those beyond have ports of the second parity, and the connections
    that replace them search for their port.
    """
    ports, half, duration_s = situation.ports, situation.half, situation.duration_s
    window_s = min(duration_s, TIME_WAIT_S)
    leaves = situation.ending.how is How.FIN
    if pace.in_flight <= half:
        standing = _standing(situation, pace.opened(window_s, situation.connections), pace.in_flight)
        waits = situation.rate is None and situation.connections > half
        doubt = (
            f"at least {pace.in_flight:,.0f} of {situation.connections:,} connections hold a port, the others"
            f" wait to be opened; with more than {half:,} open at once, connect() would be slow (K8)"
        )
        return replace(
            prediction,
            time_wait_server=standing if leaves else 0,
            assumptions=(*prediction.assumptions, doubt) if waits else prediction.assumptions,
        )
    rate = min(pace.rate, _replacing_rate(situation, pace))
    wanted = situation.connections if situation.in_place else rate * pace.life_s
    in_flight = min(wanted, ports)
    to_knee_s = half / pace.opening
    to_end_s = to_knee_s + (ports - half) / pace.slow
    reached = min(in_flight, half + max(duration_s - to_knee_s, 0) * pace.slow, duration_s * pace.opening)
    return replace(
        prediction,
        past_knee_per_s=rate,
        knee_ports=half,
        time_to_knee_s=to_knee_s if to_knee_s < duration_s else None,
        time_to_exhaustion_s=to_end_s if wanted > ports and to_end_s < duration_s else None,
        time_wait_server=_standing(situation, max(rate * window_s, reached), reached) if leaves else 0,
        assumptions=(
            *prediction.assumptions,
            f"{in_flight:,.0f} connections in flight hold as many ports: {1 - half / in_flight:.0%} of those"
            f" that replace them search for a port, {pace.scan_s * 1e3:.2f} ms each (K8)",
        ),
    )


def _replacing_rate(situation: Situation, pace: Pace) -> float:
    """Connections per second that replace those in flight, if only those beyond half of the ports search.

    In place, as many stay in flight, and so does the share of those that search. Otherwise the ports of
    the first parity come back once a life, whatever the rate: the rest of the time is spent on searches.
    """
    half = situation.half
    if situation.in_place:
        share = 1 - half / min(situation.connections, situation.ports)
        return situation.workers / (pace.cost_s + share * pace.scan_s)
    return (situation.workers + pace.scan_s * half / pace.life_s) / (pace.cost_s + pace.scan_s)


def _client_holds(situation: Situation, pace: Pace, prediction: Prediction) -> Prediction:
    """The client closes first: each connection keeps its port while it lives, and `hold_s` more.

    Once the first ports come back they do so at the rate at which they went, so the number held at
    that moment is the largest, and what has not happened by then never does. Those in flight when the
    load ends are closed, too: all that are held become TIME-WAITs.
    """
    ports, half, connections = situation.ports, situation.half, situation.connections
    kept = pace.in_flight + situation.tw_buckets
    window_s = min(situation.duration_s, situation.hold_s + pace.life_s)
    to_knee_s = pace.time_to_open_s(half, connections)
    to_end_s = max(to_knee_s + (ports - half) / pace.slow, pace.time_to_open_s(ports, connections))
    # Beyond the buckets a TIME-WAIT is destroyed at once, and its port is free (K14).
    knee = half < kept and to_knee_s < window_s
    exhausted = ports <= kept and to_end_s < window_s
    held = pace.opened(window_s, connections)
    if knee:
        held = min(held, half + pace.slow * (window_s - to_knee_s))
    reuse = situation.hold_s < TIME_WAIT_S
    opened = max(held, (pace.slow if knee else pace.rate) * min(situation.duration_s, TIME_WAIT_S))
    return replace(
        prediction,
        past_knee_per_s=min(pace.rate, pace.slow),
        ceiling_per_s=_ceiling(situation) if ports <= situation.tw_buckets else None,
        knee_ports=half,
        time_to_knee_s=to_knee_s if knee else None,
        time_to_exhaustion_s=to_end_s if exhausted else None,
        # If ports are reused, there are TIME-WAITs that no longer hold one beside those that do.
        time_wait_client=max(
            min(round(held), ports, situation.tw_buckets),
            _standing(situation, opened, min(held, ports)) if reuse else 0,
        ),
        assumptions=(
            *prediction.assumptions,
            f"TIME-WAIT lasts {TIME_WAIT_S:g} s (K2)",
            f"past the knee connect() takes {pace.scan_s * 1e3:.2f} ms (K8)",
            *((f"connect() reuses a port in TIME-WAIT after {situation.hold_s:g} s (K12)",) if reuse else ()),
        ),
    )


def _ceiling(situation: Situation) -> float:
    """Connections per second that give back as many ports as they take (K7)."""
    return situation.ports / (situation.hold_s + situation.pause_s)
