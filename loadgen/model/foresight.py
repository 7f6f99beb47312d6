"""What the times and numbers of a scenario lead to together, in words: before the run. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.model.course import LOAD_SWEEP_S, Course, Decides, course, pause_s
from loadgen.model.nat_foresight import translated
from loadgen.model.pool_foresight import pooled
from loadgen.model.port_foresight import addressed
from loadgen.model.predict import START_S, predict
from loadgen.model.situation import SOMAXCONN, TIMESTAMPS, TW_REUSE, Situation, situation, sysctl
from loadgen.model.stage_foresight import staged
from loadgen.records.prediction import Prediction
from loadgen.scenario.choices import Driver, ServerKind
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import OpenLoop
from loadgen.tcp import Closer, How, Side
from loadgen.text.numbers import count, duration, percent

ABORT_ON_OVERFLOW = "net.ipv4.tcp_abort_on_overflow"
SYNCOOKIES = "net.ipv4.tcp_syncookies"
RETRANSMIT_NS = 1_000_000_000
"""An unanswered SYN is sent again after 1 s (RFC 6298)."""
MOST_OF = 0.1
"""What the load's end makes is worth a sentence from this part of all TIME-WAITs on."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What will happen, in a sentence, and the settings that it follows from."""

    sentence: str
    settings: tuple[str, ...]


def foresee(variant: Variant) -> tuple[Foreseen, ...]:
    """What a variant's settings lead to together. Nothing if each does what it says by itself."""
    found = course(variant)
    own_load = variant.load.driver is not Driver.COMMAND
    sentences = [*_without_effect(variant)]
    if own_load:
        state = situation(variant)
        prediction = predict(state)
        sentences += [
            *_times(variant, found),
            *_needs(variant, found, state, prediction),
            *_queued(variant, state),
            *_end(variant, prediction),
            *(Foreseen(*found) for found in staged(variant, prediction)),
            *(Foreseen(*found) for found in translated(variant, state)),
            *(Foreseen(*found) for found in pooled(variant)),
            *(Foreseen(*found) for found in addressed(variant, state)),
        ]
    return tuple(sentences)


def _times(variant: Variant, found: Course) -> Iterator[Foreseen]:
    """A time that another cuts short."""
    server, connection, load = variant.server, variant.connection, variant.load
    delay, limit, idle = _of(server.delay), _of(load.timeouts.response), _of(server.idle_timeout)
    match found.decides:
        case Decides.RESPONSE_TIMEOUT:
            settings = ("server.delay", "load.timeouts.response")
            if found.close_call:
                yield Foreseen(
                    f"most requests will time out, and some will not: server.delay is {delay} and"
                    f" load.timeouts.response {limit}",
                    settings,
                )
            else:
                yield Foreseen(
                    f"every request will time out: server.delay is {delay} and"
                    f" load.timeouts.response {limit}",
                    settings,
                )
            yield Foreseen(
                f"a connection holds its port for {limit}, and ends by the client's reset: neither side keeps"
                " a TIME-WAIT",
                (*settings, "connection.close"),
            )
        case Decides.IDLE_TIMEOUT:
            waits, pause = _pause(variant)
            most = "most of the connections" if found.close_call else "each connection"
            left = "and holds the TIME-WAITs"
            if connection.ending.how is How.RST:
                fails = ", so that the attempt fails" if connection.closer is Closer.CLIENT else ""
                left = f"by a reset{fails}"
            yield Foreseen(
                f"the server closes {most} first, after one request, {left}: server.idle_timeout is {idle}"
                f" and {waits}",
                ("server.idle_timeout", pause, "connection.requests", "connection.closer"),
            )
        case Decides.CONNECTION | Decides.POOL:
            yield from _near(variant)


def _near(variant: Variant) -> Iterator[Foreseen]:
    """Times that come near to cutting another short, and what a load is too short for."""
    server, connection, load = variant.server, variant.connection, variant.load
    if server.kind is ServerKind.COMMAND:
        return
    margin_s = (load.timeouts.response - server.delay) / 1e9
    if server.delay and margin_s < LOAD_SWEEP_S:
        yield Foreseen(
            f"server.delay is {_of(server.delay)} and load.timeouts.response {_of(load.timeouts.response)}:"
            " requests that take a little longer time out",
            ("server.delay", "load.timeouts.response"),
        )
    if connection.requests > 1 and connection.think == server.idle_timeout:
        yield Foreseen(
            f"server.idle_timeout and connection.think are both {_of(connection.think)}: a request can meet"
            " the server's close",
            ("server.idle_timeout", "connection.think"),
        )
    if server.delay >= load.duration:
        yield Foreseen(
            f"no response comes before the load ends: server.delay is {_of(server.delay)} and load.duration"
            f" {_of(load.duration)}",
            ("server.delay", "load.duration"),
        )
    elif connection.requests > 1 and not load.open_loop:
        life_ns = connection.requests * server.delay + (connection.requests - 1) * connection.think
        if life_ns >= load.duration:
            yield Foreseen(
                f"no connection makes its {count(connection.requests)} requests while the load lasts: they"
                f" take {_of(life_ns)}, and load.duration is {_of(load.duration)}",
                ("connection.requests", "server.delay", "connection.think", "load.duration"),
            )


def _needs(variant: Variant, found: Course, state: Situation, prediction: Prediction) -> Iterator[Foreseen]:
    """The connections that a rate and a response time need, beside those allowed and the ports."""
    loop, ports = variant.load.loop, state.ports
    if not isinstance(loop, OpenLoop):
        if loop.connections > state.half:
            yield Foreseen(
                f"{count(loop.connections)} connections at a time are more than half of the {count(ports)}"
                f" ports: {_slow(prediction)}{_gone(prediction)}",
                ("load.closed_loop.connections", "lab.client.ports"),
            )
        return
    if variant.connection.closer is Closer.NOBODY:
        why = "connection.closer"
        per_s = loop.rate / variant.connection.requests
        needed = per_s * variant.load.duration / 1e9
        need = f"{per_s:,.10g} connections/s that nobody closes are {count(needed)} when the load ends"
    else:
        each_s, why = _held(variant, found)
        needed = loop.rate * each_s
        requests = f"{loop.rate:,.10g} requests/s of {duration(each_s)} each ({why})"
        need = f"{requests} need {count(needed)} connections at a time"
        kept = variant.connection.requests > 1 and found.decides is Decides.CONNECTION
        need += ", however many requests each carries" if kept else ""
        if loop.burst and needed < loop.burst:
            needed, why = loop.burst, "load.open_loop.burst"
            need = f"the {count(needed)} requests of a burst need {count(needed)} connections at a time"
        if loop.burst and needed <= loop.connections and needed <= state.half:
            return  # whatever is to be said of a burst beside its connections is said of the pool
    if needed < 1:
        return
    settings = ("load.open_loop.rate", why, "load.open_loop.connections", "lab.client.ports")
    if needed > loop.connections and loop.connections <= ports:
        share = percent(1 - loop.connections / needed)
        yield Foreseen(
            f"{need}: load.open_loop.connections allows {count(loop.connections)}, and about {share} of the"
            " requests are dropped",
            settings,
        )
    elif needed > ports:
        yield Foreseen(f"{need}, and the client has {count(ports)} ports" + _gone(prediction), settings)
    elif needed > state.half:
        yield Foreseen(
            f"{need}, which is more than half of the client's {count(ports)} ports: {_slow(prediction)}",
            settings,
        )
    else:
        yield Foreseen(need, settings)


def _held(variant: Variant, found: Course) -> tuple[float, str]:
    """How long a request of an open loop takes up a connection, and the settings that say so.

    What a response takes beside the server's delay is not foreseen.
    """
    match found.decides:
        case Decides.RESPONSE_TIMEOUT:
            return variant.load.timeouts.response / 1e9, "load.timeouts.response"
        case Decides.IDLE_TIMEOUT:
            held_ns = variant.server.delay + variant.server.idle_timeout
            return held_ns / 1e9, "server.delay and server.idle_timeout"
        case Decides.CONNECTION | Decides.POOL:
            return variant.server.delay / 1e9, "server.delay"


def _slow(prediction: Prediction) -> str:
    """When connect() becomes slow, if it is known to."""
    if prediction.time_to_knee_s is None:
        return "while so many are open, connect() is slow"
    if prediction.time_to_knee_s <= START_S:
        return "connect() is slow from the start"
    return f"connect() is slow from {prediction.time_to_knee_s:.1f} s on"


def _gone(prediction: Prediction) -> str:
    if prediction.time_to_exhaustion_s is None:
        return ""
    return f", and none is left from {prediction.time_to_exhaustion_s:.1f} s on"


def _queued(variant: Variant, state: Situation) -> Iterator[Foreseen]:
    """Connections that are opened at once, beside the accept queue."""
    server, loop = variant.server, variant.load.loop
    if isinstance(loop, OpenLoop) or state.queue is None or loop.connections <= state.queue:
        return
    limit = f"server.backlog is {server.backlog}"
    if (most := sysctl(variant, Side.SERVER, SOMAXCONN, server.backlog)) < server.backlog:
        limit = f"{SOMAXCONN} is {most}"
    settings = ("server.backlog", f"lab.sysctl.server.{SOMAXCONN}", "load.closed_loop.connections")
    yield Foreseen(
        f"{count(loop.connections)} connections are opened at once and the accept queue takes"
        f" {count(state.queue)} ({limit}): while it is full, SYNs and last ACKs are dropped, and sent again"
        " after 1 s",
        settings,
    )
    if sysctl(variant, Side.SERVER, ABORT_ON_OVERFLOW, 0):
        yield Foreseen(
            f"{ABORT_ON_OVERFLOW} is 1: a last ACK that finds the accept queue full is answered by a reset,"
            " and the client's attempt fails with ECONNRESET",
            (*settings, f"lab.sysctl.server.{ABORT_ON_OVERFLOW}"),
        )
    if not sysctl(variant, Side.SERVER, SYNCOOKIES, 1):
        yield Foreseen(
            f"{SYNCOOKIES} is 0: the SYN queue is as short as the accept queue, and most SYNs are dropped"
            " there",
            (*settings, f"lab.sysctl.server.{SYNCOOKIES}"),
        )
    if variant.load.timeouts.connect <= RETRANSMIT_NS:
        yield Foreseen(
            f"load.timeouts.connect is {_of(variant.load.timeouts.connect)}: an attempt whose SYN is dropped"
            " fails before the SYN is sent again",
            (*settings, "load.timeouts.connect"),
        )


def _end(variant: Variant, prediction: Prediction) -> Iterator[Foreseen]:
    """TIME-WAITs that the load's end makes, and not the load."""
    made, closer = prediction.time_wait_at_end or 0, variant.connection.closer
    side = Side.SERVER if closer is Closer.SERVER else Side.CLIENT
    client, server = prediction.time_wait_client or 0, prediction.time_wait_server or 0
    total = client if side is Side.CLIENT else server
    if made > 1 and made >= MOST_OF * (client + server):
        part = "all of its" if total == made else f"{count(made)} of its {count(total)}"
        yield Foreseen(
            f"when the load ends, the {side} closes the {count(made)} connections that are open: {part}"
            " TIME-WAITs come from the end, and were ESTABLISHED until then",
            ("connection.requests", "connection.closer", "load.duration"),
        )


def _without_effect(variant: Variant) -> Iterator[Foreseen]:
    """Settings that another one makes void."""
    if variant.connection.think and variant.connection.requests == 1:
        yield Foreseen(
            "connection.think has no effect: a connection makes one request", ("connection.think",)
        )
    asked = variant.lab.sysctl.client
    if asked.get(TW_REUSE) == "1":
        for side in Side:
            if not sysctl(variant, side, TIMESTAMPS):
                yield Foreseen(
                    f"{TW_REUSE} has no effect: {TIMESTAMPS} is 0 at the {side}, and without timestamps no"
                    " port in TIME-WAIT is used again",
                    (f"lab.sysctl.client.{TW_REUSE}", f"lab.sysctl.{side}.{TIMESTAMPS}"),
                )
                return


def _pause(variant: Variant) -> tuple[str, str]:
    """How long a connection is idle between two requests, and the setting that says so."""
    if variant.load.open_loop:
        return f"the next request comes {duration(pause_s(variant))} later", "load.open_loop.rate"
    return f"connection.think {_of(variant.connection.think)}", "connection.think"


def _of(time_ns: int) -> str:
    return duration(time_ns / 1e9)
