"""What the model predicts for a variant: run.json has it before the first packet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StagePrediction:
    """One stage of the load, which begins at `begin_s`: connections per second, TIME-WAITs at its end on the
    side that has them, and when in it no port is left, and when there are enough again; None if that does not
    happen in it.
    """

    number: int
    begin_s: float
    rate_per_s: float
    time_wait: int
    ports_gone_s: float | None
    ports_back_s: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What should happen. Rates are connections per second, times are seconds after the load begins.

    rate_assumed          whether `rate_per_s` is the generator's, seen on one machine, and not the scenario's
    past_knee_per_s       the rate once connect() is slow, None if it never is
    ceiling_per_s         the rate that the client's ports can sustain, None if they never run out
    knee_ports            the ports held at which connect() becomes slow (K8); `time_to_knee_s` when
    time_to_exhaustion_s  when no port is left
    time_wait_client      and `time_wait_server`: the largest population on each side
    time_wait_at_end      TIME-WAITs, included above, which the end of the load makes: it closes what is open
    in_flight             connections open at a time
    rate_is_mean          whether `rate_per_s` is the mean over the whole load: most connections are opened at
                          first, and kept, so that no rate lasts
    rate_falls            whether the rate should fall visibly when connect() becomes slow
    past_from_start       whether connect() is slow from the start, or from the first tenth of a second on:
                          then `rate_per_s` is the rate past the knee
    search_s              how much longer connect() takes once it is slow
    ports_within          how far measurements should be from the prediction, as a part of it: the ports held
                          when connect() becomes slow, `times_within` the times, `past_knee_within` what
                          depends on how fast this machine searches for ports, `time_wait_within` the
                          TIME-WAITs of connections that are few lives old when the load ends
    stages                those of the load; then `rate_per_s` is that of the fastest
    upstream              behind a proxy: the same of its connections to the server, `time_wait_client` being
                          the proxy's; of the client's connections, `time_wait_server` is then the proxy's
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
    time_wait_at_end: int | None = None
    in_flight: int | None = None
    rate_is_mean: bool = False
    rate_falls: bool = False
    past_from_start: bool = False
    search_s: float | None = None
    ports_within: float = 0.03
    times_within: float = 0.05
    past_knee_within: float = 0.5
    time_wait_within: float | None = None
    stages: tuple[StagePrediction, ...] = ()
    upstream: "Prediction | None" = None
