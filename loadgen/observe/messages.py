"""The messages of the sampler and of the capture, and to them. A sample is sent as the record that it is."""

from collections.abc import Mapping

from loadgen.records.events import SampleCheck, Settled
from loadgen.records.types import Sample
from loadgen.wire.messages import Message, Ready, Unobserved


class Watch(Message, frozen=True):
    """To the sampler: the load begins at `origin_ns` of CLOCK_MONOTONIC; `pids` are the processes whose
    CPU time counts for a viewpoint."""

    origin_ns: int
    pids: Mapping[str, tuple[int, ...]]


class CaptureEnded(Message, frozen=True):
    """From the capture: no more packets are taken since `end_ns` of CLOCK_MONOTONIC. `cost_ns` is the CPU
    time that it took since it was ready. The rest is in the event `Captured`."""

    end_ns: int
    connections: int
    packets: int
    dropped: int
    full: bool
    error: str = ""
    cost_ns: int = 0


CaptureMessage = Ready | CaptureEnded
SamplerMessage = Ready | Sample | SampleCheck | Unobserved | Settled
