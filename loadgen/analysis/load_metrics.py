"""The metrics of a load: its rates, where connect() became slow and the rate fell, and when no port was left.

Pure.
"""

from collections.abc import Callable, Sequence

from loadgen.analysis.fold import Fold
from loadgen.analysis.load import UnderLoad
from loadgen.analysis.metric import Metric, Unit, Values
from loadgen.analysis.turn import Turn

COUNT, PORTS, _, NS, PER_S, SHARE = Unit


def _of_load(take: Callable[[UnderLoad], float | None]) -> Callable[[Fold, Values], float | None]:
    """Taken off the load, if there was any."""
    return lambda fold, _: take(fold.under_load()) if fold.intervals else None


def _of_rates(take: Callable[[UnderLoad], float | None]) -> Callable[[Fold, Values], float | None]:
    """Taken off the part of the load that no gap hides, if there is any."""
    return _of_load(lambda load: take(load) if load.observed_ns > 0 else None)


def _of_one_rate(take: Callable[[UnderLoad], float | None]) -> Callable[[Fold, Values], float | None]:
    """The same, of a load without stages: a mean over them would be a rate that never was."""
    return _of_rates(lambda load: None if load.staged else take(load))


def _of_turn(take: Callable[[Turn], float]) -> Callable[[Fold, Values], float | None]:
    return _of_load(lambda load: take(load.turn) if load.turn else None)


LOAD_METRICS: Sequence[Metric] = (
    Metric(
        "load.time_ns",
        NS,
        "how long the load lasted: the time that the mean rates are of",
        _of_load(lambda load: load.length_ns),
    ),
    Metric(
        "rate.mean",
        PER_S,
        "connections established per second under load; gaps are left out; absent with stages, which have"
        " rates of their own",
        _of_one_rate(lambda load: load.rate),
    ),
    Metric(
        "rate.requests",
        PER_S,
        "responses per second under load; gaps are left out; absent with stages",
        _of_one_rate(lambda load: load.requests_per_s),
    ),
    Metric(
        "rate.max",
        PER_S,
        "connections per second in the interval that had most",
        _of_rates(lambda load: load.rates()[0]),
    ),
    Metric(
        "rate.end",
        PER_S,
        "connections per second in the last interval under load",
        _of_rates(lambda load: load.rates()[1]),
    ),
    Metric(
        "connect.share",
        SHARE,
        "the part of the load workers' time that they spent in connect(), and in bind() if that takes the"
        " port; calls that failed included",
        _of_rates(lambda load: load.connect_share),
    ),
    Metric(
        "rate.past_half",
        PER_S,
        "the mean rate if the client held more than half of its ports from the start on, so that there is no"
        " rate before",
        _of_one_rate(lambda load: load.rate if load.past_half else None),
    ),
    Metric(
        "rate.levels",
        COUNT,
        "how many levels the rate had: stretches over which it differed by chance alone",
        _of_rates(lambda load: len(load.levels)),
    ),
    Metric(
        "knee.ports",
        PORTS,
        "ports that the client held at the knee: where connect() becomes two and a half times as slow or"
        " more, half of the ports being held",
        _of_turn(lambda turn: turn.ports),
    ),
    Metric("knee.time_ns", NS, "the instant of the knee", _of_turn(lambda turn: turn.time_ns)),
    Metric(
        "knee.rate_falls",
        COUNT,
        "1 if the rate falls at the knee, to two thirds or less; 0 if connect() alone shows it, as in an open"
        " loop that is slower than the search for a port",
        _of_turn(lambda turn: int(turn.fell)),
    ),
    Metric(
        "knee.rate_before",
        PER_S,
        "connections per second before the knee",
        _of_turn(lambda turn: turn.rate_before),
    ),
    Metric(
        "knee.rate_after",
        PER_S,
        "connections per second after the knee, until no port is left",
        _of_turn(lambda turn: turn.rate_after),
    ),
    Metric(
        "connect.before_ns",
        NS,
        "how long connect() took before the knee: the median; of a command, the CPU time in the kernel for"
        " each connection",
        _of_turn(lambda turn: turn.connect_before_ns),
    ),
    Metric("connect.after_ns", NS, "the same after the knee", _of_turn(lambda turn: turn.connect_after_ns)),
    Metric(
        "exhaustion.time_ns",
        NS,
        "the instant of the first attempt that failed because no port was free; of a command, of the first"
        " sample that found none free",
        _of_load(lambda load: load.shortage.first_ns if load.shortage else None),
    ),
)
