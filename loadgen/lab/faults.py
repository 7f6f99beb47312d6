"""Faults of the lab itself, as a plan and as messages: what the injector is to do, and what it has done."""

from collections.abc import Mapping

from msgspec import Struct

from loadgen.lab.spec import End
from loadgen.scenario.choices import Lost
from loadgen.wire.messages import Message, Over, Ready


class Cut(Struct, frozen=True, tag=True):
    """Take these interfaces down."""

    interfaces: tuple[str, ...]


class Crash(Struct, frozen=True, tag=True):
    """Take these ends of links off the network, and destroy the node's connections."""

    ends: tuple[End, ...]


class Sysctl(Struct, frozen=True, tag=True):
    """Set these sysctls."""

    values: Mapping[str, str]


class Drop(Struct, frozen=True, tag=True):
    """Drop segments of one side as they arrive at the other: those of the server's port, from it or to it."""

    what: Lost
    port: int
    from_server: bool
    ipv6: bool


class Delay(Struct, frozen=True, tag=True):
    """Keep back by `delay_ns` what leaves by these interfaces."""

    interfaces: tuple[str, ...]
    delay_ns: int


Deed = Cut | Crash | Sysctl | Drop | Delay


class Step(Struct, frozen=True):
    """One fault: it acts on `node` from `at_ns` to `end_ns`, since the origin; for good if that is None."""

    number: int
    node: str
    at_ns: int
    end_ns: int | None
    does: Deed


class Plan(Struct, frozen=True):
    """The steps. `user` and `networks`, by node, are descriptors of namespaces."""

    steps: tuple[Step, ...]
    user: int
    networks: Mapping[str, int]


class Acted(Message, frozen=True):
    """The step acts since `t_ns` of CLOCK_MONOTONIC."""

    number: int
    t_ns: int


class Undone(Message, frozen=True):
    """The step is undone since `t_ns` of CLOCK_MONOTONIC."""

    number: int
    t_ns: int


class Dropped(Message, frozen=True):
    """So many segments did the step drop, from its begin to `t_ns` of CLOCK_MONOTONIC."""

    number: int
    t_ns: int
    segments: int


class Refused(Message, frozen=True):
    """The kernel refused the step, or to undo it; `why` in words."""

    number: int
    t_ns: int
    why: str


class Unable(Message, frozen=True):
    """The step cannot act on this machine: the cause, and the remedy."""

    number: int
    cause: str
    remedy: str


InjectorMessage = Ready | Acted | Undone | Dropped | Refused | Over
