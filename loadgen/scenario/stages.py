"""`load.stages`: a rate, or a number in flight, that changes while the load lasts."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from loadgen.scenario import fields
from loadgen.scenario.model import Model
from loadgen.text.units import Duration, Rate

LEAST_RATE = Rate.parse("0.01/s")
"""The least rate of an open loop; that of a stage may also be 0."""
LONGEST = Duration.parse("1h")
"""The longest load."""
MOST_STAGES = 100
FEW = 5
"""So many stages are named one by one, at most."""


class Stage(Model):
    """A part of the load: how long it lasts, and the rate or the number of connections meanwhile."""

    # `for` is a word of Python, and no name of an attribute.
    model_config = ConfigDict(serialize_by_alias=True)

    lasts: Annotated[Duration, fields.duration("100ms", "1h"), Field(alias="for")]
    """How long it lasts."""
    rate: Annotated[Rate | None, fields.rate("0/s", "1000000/s")] = None
    """Offered requests, such as 100/s, in an open loop; 0/s for none."""
    connections: Annotated[int | None, fields.count(0, 60_000)] = None
    """Connections in flight, in a closed loop; 0 for none."""

    @property
    def level(self) -> float:
        """Its rate, or its number in flight."""
        return self.connections or 0 if self.rate is None else self.rate

    @property
    def words(self) -> str:
        """What it offers, in words."""
        return f"{self.connections or 0} in flight" if self.rate is None else str(self.rate)


Stages = tuple[Stage, ...]
_STAGES: TypeAdapter[Stages] = TypeAdapter(Stages)


def total_ns(stages: Sequence[Stage]) -> Duration:
    """How long all of them last together."""
    return Duration(sum(stage.lasts for stage in stages))


def highest(stages: Sequence[Stage]) -> float:
    """The highest rate, or the most in flight, of any of them."""
    return max((stage.level for stage in stages), default=0.0)


def in_words(stages: Sequence[Stage]) -> str:
    """What they offer, one after the other; of many only the least and the most."""
    if len(stages) > FEW:
        ordered = sorted(stages, key=lambda stage: stage.level)
        return f"{ordered[0].words} to {ordered[-1].words} in {len(stages)} stages"
    return ", ".join(stage.words for stage in stages)


def completed(load: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of a load, and those that its stages stand for: the duration, and the rate or the number in
    flight, which is the highest of any stage.

    A key that was written stays as it is. Stages that are wrong stand for nothing: validation reports them.
    """
    try:
        stages = _STAGES.validate_python(load.get("stages") or ())
    except ValidationError:
        return load
    if not stages:
        return load
    found = {"duration": min(total_ns(stages), LONGEST), **load}
    rates = all(stage.rate is not None for stage in stages)
    loop, other = ("open_loop", "closed_loop") if rates else ("closed_loop", "open_loop")
    if other not in load:
        found.setdefault(loop, {})
    written = found.get("open_loop")
    if isinstance(written, Mapping):
        rate = Rate(max(highest(stages), LEAST_RATE)) if rates else LEAST_RATE
        found["open_loop"] = {"rate": rate, **written}
    written = found.get("closed_loop")
    if isinstance(written, Mapping) and not rates:
        found["closed_loop"] = {"connections": max(int(highest(stages)), 1), **written}
    return found
