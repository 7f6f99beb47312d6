"""The messages of a load worker."""

from loadgen.records.events import LoadEnds
from loadgen.records.latency import Counts
from loadgen.records.types import Interval
from loadgen.wire.messages import Message, Over, Ready, Unobserved


class Quiet(Message, frozen=True):
    """No exchange is under way. Idle connections wait for the server to close them."""


class StageEntered(Message, frozen=True):
    """Stage `number` of the load, from 1 on, has begun, so long after the load."""

    number: int
    t_ns: int


WorkerMessage = Ready | Interval | Counts | Unobserved | StageEntered | LoadEnds | Quiet | Over
