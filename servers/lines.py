"""The messages of a server process: one JSON object a line, its kind under `type`."""

from loadgen.wire.messages import Listening, Message
from loadgen.wire.served import Served


class AcceptError(Message, frozen=True):
    """A worker could not accept, for this errno name, and pauses (K30)."""

    pid: int
    error: str


class WorkerExited(Message, frozen=True):
    """A worker ended unasked, and its counts with it. `status` is an exit code, or minus a signal."""

    pid: int
    status: int


class Gap(Message, frozen=True):
    """A worker did not run, by its clock, from one instant of CLOCK_MONOTONIC to another."""

    pid: int
    start_ns: int
    end_ns: int


Line = Listening | AcceptError | WorkerExited | Gap | Served
