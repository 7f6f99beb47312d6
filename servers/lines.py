"""The messages of a server worker: one JSON object a line, its kind under `type`.

> plan                        one JSON line (`Plan`)
< Bound                       the first of several: the others may share its port from now on
< Listening
< AcceptError, Unobserved     as they occur
< Served                      after a stop signal: all is counted
"""

from loadgen.wire.lines import Lines
from loadgen.wire.messages import Listening, Message, Unobserved
from loadgen.wire.served import Served


class Bound(Message, frozen=True):
    """`port` is bound by this worker alone, and is shared from now on."""

    port: int


class AcceptError(Message, frozen=True):
    """The worker could not accept, for this errno name, and pauses (K30)."""

    error: str


Line = Bound | Listening | AcceptError | Unobserved | Served


def say(lines: Lines, line: Line) -> None:
    """Write a line; if the reader is too far behind, leave out what the totals count as well."""
    if not (lines.full and isinstance(line, AcceptError)):
        lines.say(line)
