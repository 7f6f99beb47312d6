"""Events: what happened once in a variant, one frozen type for each kind.

Times are nanoseconds since the variant's origin. In a file, and between processes, the kind is under `type`.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from loadgen.records.types import Count, Time
from loadgen.tcp import Side
from loadgen.wire.messages import Message


class _Event(Message, frozen=True):
    t_ns: Time


class LoadEnds(_Event, frozen=True):
    """Nothing more is begun."""


class Settled(_Event, frozen=True):
    """The last sample was taken: the records are complete."""


class BothWays(Struct, frozen=True, forbid_unknown_fields=True):
    """How many sockets are in TIME-WAIT by sockstat, and by a dump: equal if the shortcut holds.

    If sockstat differed before and after the dump, the dump may be of any instant between: `sockstat` is
    then what is nearest to it between the two readings.
    """

    sockstat: Count
    dump: Count


class SampleCheck(_Event, frozen=True):
    """The sampler's shortcut to TIME-WAIT beside a full dump, of each side."""

    sides: Mapping[Side, BothWays]


class CommandEnded(_Event, frozen=True):
    """The load's command ended: with this exit status, or by minus this signal; `asked`: churn ended it.

    `stderr` is the last that it wrote there.
    """

    code: Annotated[int, Meta(ge=-64, le=255)]
    asked: bool
    stderr: str
