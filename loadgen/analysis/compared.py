"""The prediction beside the measurement, quantity by quantity. Pure."""

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import force_setattr

from loadgen.records.prediction import Prediction


class Compared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A predicted quantity beside the measured one. None: not expected, or not measured.

    `assumed`: it rests on an assumed rate, so that its error judges the assumption. `error` is the relative
    error of the prediction; None if one of the two is missing, or if only one is 0. `within` is how far the
    measured value should be from the predicted one at most, as a part of it; None if that was not predicted.
    """

    name: str
    unit: str
    predicted: float | None = None
    measured: float | None = None
    assumed: bool
    error: float | None = None
    within: float | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "error", _error(self.predicted, self.measured))


def _error(predicted: float | None, measured: float | None) -> float | None:
    if predicted is None or measured is None:
        return None
    if predicted == measured:
        return 0.0
    return predicted / measured - 1 if predicted and measured else None


def compare(prediction: Prediction, metrics: Mapping[str, float]) -> list[Compared]:
    """The model's numbers beside the measured ones. A knee, a rate that falls there and ports that are gone
    have rows if they were expected or measured.

    If the rate of a command is not known, everything that depends on it is left out.
    """
    if prediction.upstream is not None:
        near = _leg(prediction, metrics, "client", "proxy.downstream")
        return [*near, *_behind(prediction.upstream, metrics)]
    return _leg(prediction, metrics, "client", "server")


def _leg(prediction: Prediction, metrics: Mapping[str, float], opener: str, accepter: str) -> list[Compared]:
    """The rows of the driver's connections, which are between these viewpoints."""
    waits = _both(prediction, metrics, opener, accepter)
    if prediction.rate_per_s is None:
        knee = _row("knee", "ports", prediction.knee_ports, metrics.get("knee.ports"), False)
        return [*(one for one in waits if one.predicted is not None), *([knee] if _seen(metrics) else [])]
    return [
        *(_stages(prediction, metrics) if prediction.stages else [_rate(prediction, metrics)]),
        *waits,
        *_knee(prediction, metrics),
        *_exhaustion(prediction, metrics),
    ]


def _behind(prediction: Prediction, metrics: Mapping[str, float]) -> Iterator[Compared]:
    """The rows of a proxy's connections to the server: of those, no driver reports a rate."""
    for row in _both(prediction, metrics, "proxy.upstream", "server"):
        if row.predicted is not None:
            yield row
    to_end_s, seen_s = prediction.time_to_exhaustion_s, _seconds(metrics, "proxy.upstream.ports_gone.time_ns")
    if to_end_s is not None or (seen_s is not None and prediction.rate_per_s is not None):
        name, within = "proxy's ports gone", prediction.times_within
        yield _row(name, "s", to_end_s, seen_s, prediction.rate_assumed, within)


def _both(prediction: Prediction, metrics: Mapping[str, float], opener: str, accepter: str) -> list[Compared]:
    """The TIME-WAITs at both ends of a leg."""
    predicted = (prediction.time_wait_client, prediction.time_wait_server)
    return [
        _waits(name, number, metrics.get(f"{name}.time_wait.max"), prediction)
        for name, number in zip((opener, accepter), predicted, strict=True)
    ]


def _waits(side: str, predicted: float | None, measured: float | None, prediction: Prediction) -> Compared:
    """The most TIME-WAITs in the whole run: those that the load's end makes are among them."""
    within = prediction.time_wait_within if predicted else None
    return _row(f"TIME-WAIT, {side}", "", predicted, measured, prediction.rate_assumed, within)


def _seen(metrics: Mapping[str, float]) -> bool:
    return "knee.ports" in metrics


def _rate(prediction: Prediction, metrics: Mapping[str, float]) -> Compared:
    """The rate before it falls; the mean if it neither falls nor should.

    Unknown if the mean is of two rates: ports ran out, or the rate is lower from some time on, but not by so
    much that the instant is found.
    """
    past, assumed = prediction.past_knee_per_s, prediction.rate_assumed
    predicted = prediction.rate_per_s
    if prediction.rate_is_mean:
        return _row("rate", "/s", predicted, metrics.get("rate.mean"), assumed, prediction.time_wait_within)
    if prediction.past_from_start:
        measured = metrics.get("rate.past_half", metrics.get("knee.rate_after", metrics.get("rate.mean")))
        return _row("rate past the knee", "/s", predicted, measured, True, prediction.past_knee_within)
    shallow = prediction.time_to_knee_s is not None and past != predicted and not prediction.rate_falls
    falls = bool(metrics.get("knee.rate_falls")) or prediction.rate_falls
    two = "exhaustion.time_ns" in metrics or "rate.past_half" in metrics or shallow
    measured = metrics.get("knee.rate_before", None if two else metrics.get("rate.mean"))
    name = "rate before the knee" if falls or two else "rate"
    return _row(name, "/s", predicted, measured, assumed)


def _stages(prediction: Prediction, metrics: Mapping[str, float]) -> Iterator[Compared]:
    """Each stage's rate: a mean over them would be a rate that never was."""
    for stage in prediction.stages:
        measured = metrics.get(f"stage.{stage.number}.rate")
        yield _row(f"rate, stage {stage.number}", "/s", stage.rate_per_s, measured, prediction.rate_assumed)


def _knee(prediction: Prediction, metrics: Mapping[str, float]) -> Iterator[Compared]:
    """connect() is slow from half of the ports held on. A rate that is high enough to show it falls there."""
    to_knee_s, falls = prediction.time_to_knee_s, prediction.rate_falls
    if to_knee_s is not None or _seen(metrics):
        ports = None if to_knee_s is None else prediction.knee_ports
        yield _row("knee", "ports", ports, metrics.get("knee.ports"), False, prediction.ports_within)
        within, assumed = prediction.times_within, prediction.rate_assumed
        yield _row("time to the knee", "s", to_knee_s, _seconds(metrics, "knee.time_ns"), assumed, within)
        before_ns, after_ns = metrics.get("connect.before_ns"), metrics.get("connect.after_ns")
        slower_us = None if before_ns is None or after_ns is None else (after_ns - before_ns) / 1e3
        by_us = None if prediction.search_s is None else prediction.search_s * 1e6
        yield _row("connect() slower by", "µs", by_us, slower_us, True, prediction.past_knee_within)
    after = metrics.get("knee.rate_after") if metrics.get("knee.rate_falls") else None
    after = metrics.get("rate.past_half", after)
    if not prediction.past_from_start and (falls or after is not None):
        past = prediction.past_knee_per_s if falls else None
        yield _row("rate past the knee", "/s", past, after, True, prediction.past_knee_within)


def _exhaustion(prediction: Prediction, metrics: Mapping[str, float]) -> Iterator[Compared]:
    to_end_s = prediction.time_to_exhaustion_s
    if to_end_s is not None or "exhaustion.time_ns" in metrics:
        seen_s, assumed = _seconds(metrics, "exhaustion.time_ns"), prediction.rate_assumed
        within = prediction.past_knee_within if prediction.rate_falls else prediction.times_within
        yield _row("time to exhaustion", "s", to_end_s, seen_s, assumed, within)


def _row(
    name: str,
    unit: str,
    predicted: float | None,
    measured: float | None,
    assumed: bool,
    within: float | None = None,
) -> Compared:
    return Compared(
        name=name,
        unit=unit,
        predicted=predicted,
        measured=measured,
        assumed=assumed,
        within=None if predicted is None else within,
    )


def _seconds(metrics: Mapping[str, float], name: str) -> float | None:
    return metrics[name] / 1e9 if name in metrics else None
