"""`remedies:`, which variants are remedies for what another one shows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.model import Model
from loadgen.text.problem import did_you_mean

Name = Annotated[str, fields.prose(1, 80)]


class Remedies(Model):
    """Variants that are remedies: the figure `remedies` compares them with the workload without any."""

    baseline: Name
    """The variant without a remedy."""
    variants: tuple[Name, ...] = ()
    """Those with one, in this order; all others if none is named."""
    left_out: Mapping[Name, Annotated[str, fields.prose(1, 500)]] = Field(default_factory=dict[str, str])
    """Remedies that cannot be applied here, by name, each with the reason; shown below the figure."""

    def compared(self, names: Sequence[str]) -> tuple[str, ...]:
        """The variants of the figure, the baseline first; `names` are all of the scenario."""
        others = self.variants or [name for name in names if name != self.baseline]
        return (self.baseline, *others)

    def among(self, names: Collection[str]) -> "Remedies | None":
        """What is left of it in a scenario with the variants `names`; None without the baseline."""
        kept = tuple(name for name in self.variants if name in names)
        if self.baseline not in names or (self.variants and not kept):
            return None
        return self.model_copy(update={"variants": kept})

    def unknown(self, names: Collection[str]) -> Iterator[tuple[str, str, str]]:
        """What is wrong with its names: the path of each, the message, and the hint."""
        missing, known = "there is no such variant", f"there are {', '.join(list(names)[:10])}"
        if self.baseline not in names:
            yield "remedies.baseline", missing, did_you_mean(self.baseline, names) or known
        for place, name in enumerate(self.variants):
            path = f"remedies.variants.{place}"
            if name == self.baseline:
                yield path, "is the baseline itself", "leave it out"
            elif name not in names:
                yield path, missing, did_you_mean(name, names) or known
            elif name in self.variants[:place]:
                yield path, "is named twice", "leave it out"
