"""The prediction: ports, hold time, closer and rate give ceiling, knee, exhaustion and population.

Pure arithmetic on the kernel facts. A connection in flight holds its port, and so does a TIME-WAIT of the
client: connect() depends on the number of ports held by either. The scenario does not give the rate of a
closed loop, so it is assumed from rates measured on one machine; `assumptions` names what depends on it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from loadgen.model.pace import SEARCH_WITHIN, Pace
from loadgen.model.situation import TIME_WAIT_S, UNKNOWN_RATE, Situation, Walk
from loadgen.model.staged import over_stages, steady
from loadgen.model.tuples import standing
from loadgen.records.prediction import Prediction
from loadgen.tcp import Ending, How, Side

VISIBLE_FALL = 1.5
"""The rate falls visibly if it falls to two thirds or less."""
START_S = 0.1
"""A rate that ends so soon after the load begins is not seen: it is the time from one sample to the next."""
FEW_LIVES = 3
"""In fewer lives of a connection, the mean rate is above that in the long run: most are opened at first."""
STALL_S = 0.01
"""If the machine stalls so long, the arrivals of that time each need a connection of their own."""
MOST_BUSY = 0.5
"""A generator that uses more of its cores than this may be what limits a closed loop."""
GIVEN_WITHIN, ASSUMED_WITHIN = 0.05, 0.5
"""How far a time may be from the predicted one if the rate is the scenario's, and if it is assumed."""


def predict(situation: Situation) -> Prediction:
    """The prediction for one variant."""
    if situation.costs is None:
        return _without_rate(situation)
    if situation.stages:
        return over_stages(situation, situation.costs, predict(steady(situation)), VISIBLE_FALL)
    pace = Pace.of(situation, situation.costs)
    assumed = _assumed(situation, pace)
    why = "a closed loop's rate is not given" if situation.rate is None else "the generator cannot make more"
    opened = pace.opened(situation.duration_s)
    few = situation.duration_s < FEW_LIVES * pace.life_s
    rate = min(opened, _openable(situation, pace)) / situation.duration_s if few else pace.rate
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
        assumptions=(
            *((f"{rate:,.0f} connections/s while connect() is fast: {why}",) if assumed else ()),
            *_queue(situation),
        ),
        time_wait_at_end=_closed_at_end(situation, pace),
        rate_is_mean=few and situation.at_end is not None,
        in_flight=round(min(max(pace.in_flight, 1), situation.ports)),
        times_within=ASSUMED_WITHIN if assumed else GIVEN_WITHIN,
        past_knee_within=SEARCH_WITHIN,
        time_wait_within=_within(situation, pace, assumed),
    )
    if situation.ending is Ending.CLIENT_FIN:
        held = _client_holds(situation, pace, nothing_held)
        if situation.crosses:
            held = replace(held, time_wait_server=held.time_wait_client)
        return _seen(held, pace)
    return _seen(_given_back(situation, pace, nothing_held), pace)


def _seen(prediction: Prediction, pace: Pace) -> Prediction:
    """The prediction, with what a slow connect() shows: a rate that falls, or that is low from the start."""
    to_knee_s, past, rate = prediction.time_to_knee_s, prediction.past_knee_per_s, prediction.rate_per_s
    if to_knee_s is None or past is None or rate is None:
        return prediction
    if prediction.rate_is_mean:
        # Until the connections that are kept are open, they are opened as fast as requests arrive.
        past = min(pace.opening, pace.slow)
        falls = past * VISIBLE_FALL <= pace.opening
        return replace(prediction, past_knee_per_s=past, rate_falls=falls, search_s=pace.scan_s)
    from_start = prediction.past_from_start or to_knee_s <= START_S
    return replace(
        prediction,
        rate_per_s=past if from_start else rate,
        rate_assumed=prediction.rate_assumed or (from_start and past < rate),
        rate_falls=not from_start and past * VISIBLE_FALL <= rate,
        past_from_start=from_start,
        search_s=pace.scan_s,
    )


def _assumed(situation: Situation, pace: Pace) -> bool:
    """Whether the rate is that of the generator, which is assumed, and not that of the scenario.

    A closed loop's is the scenario's if its connections rest for most of the time.
    """
    if situation.rate is not None:
        return situation.rate > situation.workers / pace.cost_s
    return pace.rate * pace.cost_s > MOST_BUSY * situation.workers


def _openable(situation: Situation, pace: Pace) -> float:
    """How many connections a client can open if none gives its port back while the load lasts."""
    held_s = pace.life_s
    if situation.ending is Ending.CLIENT_FIN and situation.tw_buckets >= situation.ports:
        held_s += situation.hold_s
    return situation.ports if held_s >= situation.duration_s else math.inf


def _within(situation: Situation, pace: Pace, assumed: bool) -> float | None:
    """How far the number of connections may be from that predicted, if the time is of few of their lives.

    Arrivals that a stall delays open connections that are kept. A closed loop's may all be opened once more.
    """
    if situation.at_end is None:
        return None
    opened = max(pace.opened(situation.duration_s), 1)
    more = situation.connections if situation.arriving is None else 1 + situation.arriving * STALL_S
    return max(more / opened, ASSUMED_WITHIN if assumed else 0)


def _queue(situation: Situation) -> Iterator[str]:
    """A closed loop opens all of its connections at once, and the accept queue takes fewer."""
    if situation.rate is None and situation.queue is not None and situation.connections > situation.queue:
        yield (
            f"no connection finds the accept queue full, which takes {situation.queue:,} of"
            f" {situation.connections:,}: those that do wait for 1 s or more, and the rate is lower"
        )


def _closed_at_end(situation: Situation, pace: Pace) -> int:
    """TIME-WAITs of the connections that are open when the load ends, and are closed then."""
    if situation.at_end is None or situation.at_end.how is not How.FIN:
        return 0
    # A closed loop's are open at any time, if nothing slows the opening down.
    is_open = pace.in_flight if situation.rate is not None else situation.connections
    found = min(is_open, pace.opened(situation.duration_s), situation.ports, situation.tw_buckets)
    return round(found)


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
        knee_ports=situation.half if client and situation.searches else None,
        time_to_knee_s=None,
        time_to_exhaustion_s=None,
        time_wait_client=None if holder is Side.CLIENT else 0,
        time_wait_server=None if holder is Side.SERVER else 0,
        assumptions=(UNKNOWN_RATE,),
    )


def _given_back(situation: Situation, pace: Pace, prediction: Prediction) -> Prediction:
    """The server closes first, or a reset ends it: only connections in flight hold the client's ports.

    If they are more than half of the ports, those beyond have ports of the second parity, and the connections
    that replace them search for their port.
    """
    ports, half, duration_s = situation.ports, situation.half, situation.duration_s
    window_s = min(duration_s, TIME_WAIT_S)
    leaves = situation.ending.how is How.FIN
    # The client's own closes at the end, of connections that the server would have closed.
    of_client = situation.at_end is Ending.CLIENT_FIN
    prediction = replace(prediction, time_wait_client=(prediction.time_wait_at_end or 0) if of_client else 0)
    if pace.in_flight <= half:
        closed = max(pace.opened(window_s) - (prediction.time_wait_client or 0), 0)
        standing_most = standing(situation, closed, min(pace.in_flight, closed))
        waits = situation.rate is None and situation.connections > half
        doubt = (
            f"at least {pace.in_flight:,.0f} of {situation.connections:,} connections hold a port, the others"
            f" wait to be opened; with more than {half:,} open at once, connect() would be slow (K8)"
        )
        return replace(
            prediction,
            time_wait_server=standing_most if leaves else 0,
            assumptions=(*prediction.assumptions, doubt) if waits else prediction.assumptions,
        )
    rate = min(pace.rate, _replacing_rate(situation, pace))
    wanted = situation.connections if situation.in_place else rate * pace.life_s
    in_flight = min(wanted, ports)
    to_knee_s = half / pace.opening
    to_end_s = to_knee_s + (ports - half) / pace.slow
    if not situation.in_place:
        rate = min(rate, ports / pace.life_s)
    reached = min(in_flight, half + max(duration_s - to_knee_s, 0) * pace.slow, duration_s * pace.opening)
    return replace(
        prediction,
        past_knee_per_s=rate,
        in_flight=round(in_flight),
        knee_ports=half,
        time_to_knee_s=to_knee_s if to_knee_s < duration_s else None,
        past_from_start=situation.rate is None and to_knee_s < duration_s,
        time_to_exhaustion_s=to_end_s if wanted > ports and to_end_s < duration_s else None,
        time_wait_server=standing(situation, max(rate * window_s, reached), reached) if leaves else 0,
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
    ports, half = situation.ports, situation.half
    kept = pace.in_flight + situation.tw_buckets
    window_s = min(situation.duration_s, situation.hold_s + pace.life_s)
    to_knee_s = pace.time_to_open_s(half)
    to_end_s = max(to_knee_s + (ports - half) / pace.slow, pace.time_to_open_s(ports))
    # Beyond the buckets a TIME-WAIT is destroyed at once, and its port is free (K14).
    knee = situation.searches and half < kept and to_knee_s < window_s
    exhausted = ports <= kept and to_end_s < window_s
    held = pace.opened(window_s)
    if knee:
        held = min(held, half + pace.slow * (window_s - to_knee_s))
    reuse = situation.hold_s < TIME_WAIT_S
    opened = max(held, (pace.slow if knee else pace.rate) * min(situation.duration_s, TIME_WAIT_S))
    return replace(
        prediction,
        past_knee_per_s=min(pace.rate, pace.slow) if situation.searches else None,
        ceiling_per_s=_ceiling(situation) if ports <= situation.tw_buckets else None,
        knee_ports=half if situation.searches else None,
        time_to_knee_s=to_knee_s if knee else None,
        time_to_exhaustion_s=to_end_s if exhausted else None,
        # If ports are reused, there are TIME-WAITs that no longer hold one beside those that do.
        time_wait_client=max(
            min(round(held), ports, situation.tw_buckets),
            standing(situation, opened, min(held, ports)) if reuse else 0,
        ),
        assumptions=(
            *prediction.assumptions,
            f"TIME-WAIT lasts {TIME_WAIT_S:g} s (K2)",
            *((f"past the knee {_call(situation)} takes {pace.scan_s * 1e3:.2f} ms (K8)",) if knee else ()),
            *((f"connect() reuses a port in TIME-WAIT after {situation.hold_s:g} s (K12)",) if reuse else ()),
        ),
    )


def _ceiling(situation: Situation) -> float:
    """Connections per second that give back as many ports as they take (K7)."""
    return situation.ports / (situation.hold_s + situation.pause_s)


def _call(situation: Situation) -> str:
    """The call in which the kernel looks for a port."""
    return "bind()" if situation.walk is Walk.RANDOM else "connect()"
