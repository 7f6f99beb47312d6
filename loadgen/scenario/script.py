"""`script:`, what happens to the lab at a time: each fault acts at its instant and is undone after `for`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from loadgen.scenario import fields
from loadgen.scenario.choices import Act, Lost, Signal
from loadgen.scenario.model import Model
from loadgen.tcp import Side
from loadgen.text.units import Duration


class Fault(Model):
    """One fault: when it begins, for how long it lasts, what it does, and on which side."""

    # `for` is a word of Python, and no name of an attribute.
    model_config = ConfigDict(serialize_by_alias=True)

    at: Annotated[Duration, fields.duration("0", "1h")]
    """When it begins, from the begin of the load."""
    lasts: Annotated[Duration | None, fields.duration("1ms", "1h"), Field(alias="for")] = None
    """How long it lasts; of cut, crash, sysctl, drop and delay, the rest of the run if it is left out."""
    do: Act
    """What it does."""
    on: Side
    """The side that it acts on; of drop and delay, the side that sends what is dropped or delayed."""
    signal: Signal | None = None
    """The signal of kill (KILL if it is left out) and restart (TERM)."""
    sysctl: Mapping[Annotated[str, fields.sysctl_key()], Annotated[str, fields.sysctl_value()]] = Field(
        default_factory=dict[str, str]
    )
    """The values of sysctl, such as net.ipv4.tcp_max_tw_buckets: 0."""

    what: Lost | None = None
    """Which segments drop drops."""
    by: Annotated[Duration | None, fields.duration("1ms", "10s")] = None
    """How long delay keeps back what the side sends."""

    @property
    def end(self) -> int | None:
        """The end of it, from the begin of the load; None if it lasts."""
        return None if self.lasts is None else self.at + self.lasts

    @property
    def sent(self) -> Signal:
        """The signal that kill or restart sends."""
        return self.signal or (Signal.TERM if self.do is Act.RESTART else Signal.KILL)

    @property
    def detail(self) -> str:
        """What it does more exactly, in a word or two; empty if there is no more to say."""
        match self.do:
            case Act.KILL | Act.RESTART:
                return f"SIG{self.sent}"
            case Act.SYSCTL:
                return ", ".join(f"{key} = {value}" for key, value in self.sysctl.items())
            case Act.DROP:
                return str(self.what)
            case Act.DELAY:
                return f"by {self.by}"
            case _:
                return ""


Script = tuple[Fault, ...]
