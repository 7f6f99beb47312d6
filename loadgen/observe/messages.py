"""The messages of the sampler, and to it. A sample is sent as the record that it is."""

from collections.abc import Mapping

from loadgen.records.events import SampleCheck, Settled
from loadgen.records.types import Sample
from loadgen.wire.messages import Message, Ready, Unobserved


class Watch(Message, frozen=True):
    """To the sampler: the load begins at `origin_ns` of CLOCK_MONOTONIC; `pids` are the processes whose
    CPU time counts for a viewpoint."""

    origin_ns: int
    pids: Mapping[str, tuple[int, ...]]


SamplerMessage = Ready | Sample | SampleCheck | Unobserved | Settled
