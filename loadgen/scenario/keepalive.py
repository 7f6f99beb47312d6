"""`connection.keepalive`: probes that the kernel sends on a silent connection."""

from enum import StrEnum
from typing import Annotated

from loadgen.scenario import fields
from loadgen.scenario.model import Model
from loadgen.tcp import Side
from loadgen.text.units import Duration

LONGEST = "32767s"
MOST_PROBES = 127
"""The most that the kernel takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPCNT in include/net/tcp.h)."""


class On(StrEnum):
    """The side, or the sides, whose sockets probe."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"

    @property
    def sides(self) -> tuple[Side, ...]:
        return tuple(Side) if self is On.BOTH else (Side(self.value),)


class Keepalive(Model):
    """TCP keepalive (SO_KEEPALIVE): the kernel probes a silent peer, and gives it up if it stays silent."""

    idle: Annotated[Duration, fields.whole_seconds(LONGEST)]
    """Silence before the first probe (TCP_KEEPIDLE)."""
    interval: Annotated[Duration, fields.whole_seconds(LONGEST)] = Duration.parse("1s")
    """Time from one unanswered probe to the next (TCP_KEEPINTVL)."""
    probes: Annotated[int, fields.count(1, MOST_PROBES)] = 3
    """Unanswered probes after which the kernel gives the connection up (TCP_KEEPCNT)."""
    on: On = On.BOTH
    """The side whose sockets probe: client, server or both."""
