"""The prediction beside the measurement, quantity by quantity. Pure."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import force_setattr

from loadgen.analysis.turn import LEAST_FALL
from loadgen.records.prediction import Prediction


class Compared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A predicted quantity beside the measured one. None: not expected, or not measured.

    `assumed`: it rests on an assumed rate, so that its error judges the assumption. `error` is the relative
    error of the prediction; None if one of the two is missing, or if only one is 0.
    """

    name: str
    unit: str
    predicted: float | None = None
    measured: float | None = None
    assumed: bool
    error: float | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "error", _error(self.predicted, self.measured))


def _error(predicted: float | None, measured: float | None) -> float | None:
    if predicted is None or measured is None:
        return None
    if predicted == measured:
        return 0.0
    return predicted / measured - 1 if predicted and measured else None


def compare(prediction: Prediction, metrics: Mapping[str, float]) -> list[Compared]:
    """The model's numbers beside the measured ones; knee and exhaustion if they were expected or measured.

    If the rate of a command is not known, everything that depends on it is left out.
    """
    assumed = prediction.rate_assumed
    client, server = metrics.get("client.time_wait.max"), metrics.get("server.time_wait.max")
    seen = "knee.ports" in metrics
    name = "rate before the knee" if seen or prediction.knee_ports is not None else "rate"
    rows = [
        _row(name, "/s", prediction.rate_per_s, _rate(prediction, metrics), assumed),
        _row("TIME-WAIT, client", "", prediction.time_wait_client, client, assumed),
        _row("TIME-WAIT, server", "", prediction.time_wait_server, server, assumed),
    ]
    if prediction.rate_per_s is None:
        knee = _row("knee", "ports", prediction.knee_ports, metrics.get("knee.ports"), False)
        return [*(one for one in rows if one.predicted is not None), *([knee] if seen else [])]
    if seen or _falls(prediction):
        to_knee_s = prediction.time_to_knee_s
        ports = None if to_knee_s is None else prediction.knee_ports
        past = None if to_knee_s is None else prediction.past_knee_per_s
        rows += [
            _row("knee", "ports", ports, metrics.get("knee.ports"), False),
            _row("time to the knee", "s", to_knee_s, _seconds(metrics, "knee.time_ns"), assumed),
            _row("rate past the knee", "/s", past, metrics.get("knee.rate_after"), True),
        ]
    to_end_s = prediction.time_to_exhaustion_s
    if to_end_s is not None or "exhaustion.time_ns" in metrics:
        seen_s = _seconds(metrics, "exhaustion.time_ns")
        rows.append(_row("time to exhaustion", "s", to_end_s, seen_s, assumed))
    return rows


def _row(name: str, unit: str, predicted: float | None, measured: float | None, assumed: bool) -> Compared:
    return Compared(name=name, unit=unit, predicted=predicted, measured=measured, assumed=assumed)


def _falls(prediction: Prediction) -> bool:
    """Whether the rate should fall at the knee: connect() is slow from there on, but a low rate may stay."""
    past = prediction.past_knee_per_s
    return (
        past is not None
        and prediction.rate_per_s is not None
        and prediction.time_to_knee_s is not None
        and past * LEAST_FALL <= prediction.rate_per_s
    )


def _rate(prediction: Prediction, metrics: Mapping[str, float]) -> float | None:
    """The rate before the knee, or the mean if there was none.

    Unknown if the mean is of two rates: ports ran out, or a knee is expected that is too shallow to be found.
    """
    shallow = (
        prediction.time_to_knee_s is not None
        and prediction.past_knee_per_s != prediction.rate_per_s
        and not _falls(prediction)
    )
    if "knee.rate_before" in metrics or "exhaustion.time_ns" in metrics or shallow:
        return metrics.get("knee.rate_before")
    return metrics.get("rate.mean")


def _seconds(metrics: Mapping[str, float], name: str) -> float | None:
    return metrics[name] / 1e9 if name in metrics else None
