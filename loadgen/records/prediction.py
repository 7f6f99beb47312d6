"""What the model predicts for a variant: run.json has it before the first packet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prediction:
    """What should happen. Rates are connections per second, times are seconds after the load begins.

    rate_assumed          whether `rate_per_s` is the generator's, seen on one machine, and not the scenario's
    past_knee_per_s       the rate once connect() is slow, None if it never is
    ceiling_per_s         the rate that the client's ports can sustain, None if they never run out
    knee_ports            the ports held at which connect() becomes slow (K8); `time_to_knee_s` when
    time_to_exhaustion_s  when no port is left
    time_wait_client      and `time_wait_server`: the largest population on each side
    What does not happen within the run is None, and so is what depends on an unknown rate.
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
