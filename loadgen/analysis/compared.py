"""The prediction beside the measurement, quantity by quantity. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.analysis.knee import LEAST_FALL
from loadgen.model.predict import Prediction


@dataclass(frozen=True, slots=True)
class Compared:
    """A predicted quantity beside the measured one. None means: not expected, or not seen.

    `assumed` tells that it rests on an assumed rate, so that its error judges the assumption.
    """

    name: str
    unit: str
    predicted: float | None
    measured: float | None
    assumed: bool

    @property
    def error(self) -> float | None:
        """Relative error of the prediction; None where one of the two is missing, or one alone is 0."""
        if self.predicted is None or self.measured is None:
            return None
        if self.predicted == self.measured:
            return 0.0
        return self.predicted / self.measured - 1 if self.predicted and self.measured else None


def compare(prediction: Prediction, metrics: Mapping[str, float]) -> list[Compared]:
    """The model's numbers beside the run's; knee and exhaustion where expected or seen.

    What rests on a rate is left out where the rate of a command is not known.
    """
    assumed = prediction.rate_assumed
    client, server = metrics.get("client.time_wait.max"), metrics.get("server.time_wait.max")
    seen = "knee.ports" in metrics
    name = "rate before the knee" if seen or prediction.knee_ports is not None else "rate"
    rows = [
        Compared(name, "/s", prediction.rate_per_s, _rate(prediction, metrics), assumed),
        Compared("TIME-WAIT, client", "", prediction.time_wait_client, client, assumed),
        Compared("TIME-WAIT, server", "", prediction.time_wait_server, server, assumed),
    ]
    if prediction.rate_per_s is None:
        knee = Compared("knee", "ports", prediction.knee_ports, metrics.get("knee.ports"), False)
        return [*(row for row in rows if row.predicted is not None), *([knee] if seen else [])]
    if seen or _falls(prediction):
        to_knee_s = prediction.time_to_knee_s
        ports = None if to_knee_s is None else prediction.knee_ports
        past = None if to_knee_s is None else prediction.past_knee_per_s
        rows += [
            Compared("knee", "ports", ports, metrics.get("knee.ports"), False),
            Compared("time to the knee", "s", to_knee_s, _seconds(metrics, "knee.time_ns"), assumed),
            Compared("rate past the knee", "/s", past, metrics.get("knee.rate_after"), True),
        ]
    to_end_s = prediction.time_to_exhaustion_s
    if to_end_s is not None or "exhaustion.time_ns" in metrics:
        seen_s = _seconds(metrics, "exhaustion.time_ns")
        rows.append(Compared("time to exhaustion", "s", to_end_s, seen_s, assumed))
    return rows


def _falls(prediction: Prediction) -> bool:
    """Whether the knee should show: connect() is slow from there on, but a rate that is low need not fall."""
    past = prediction.past_knee_per_s
    return (
        past is not None
        and prediction.rate_per_s is not None
        and prediction.time_to_knee_s is not None
        and past * LEAST_FALL <= prediction.rate_per_s
    )


def _rate(prediction: Prediction, metrics: Mapping[str, float]) -> float | None:
    """The rate before the knee, or the mean where there was none.

    Unknown where the mean is of two rates: ports ran out, or the knee is expected and too shallow to find.
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
