"""What a variant's lab needs of this machine beyond any lab, found out before a run: each is made once."""

from collections.abc import Callable, Iterator, Mapping

from loadgen.engine import plans
from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.lab import open_lab
from loadgen.scenario.choices import Topology
from loadgen.scenario.document import Scenario, Variant
from loadgen.tcp import Closer

NEEDS: Mapping[str, Callable[[Variant], bool]] = {
    "lab.topology of {} (nat)": lambda variant: variant.lab.topology is Topology.NAT,
    "connection.closer of {} (both)": lambda variant: variant.connection.closer is Closer.BOTH,
}
"""Labs with a node that translates addresses, and with a link that holds segments back."""


def obstacles(scenario: Scenario, *, no_lab: bool) -> Iterator[tuple[str, str]]:
    """Why such labs cannot be made here, and the remedies. `no_lab`: none at all can be made."""
    for place, needed in NEEDS.items():
        variant = next(filter(needed, scenario.variants), None)
        if variant is None:
            continue
        name = place.format(variant.name)
        if no_lab:
            yield f"{name} needs a lab, and no lab can be made here", "see `churn doctor`, or leave it out"
            continue
        try:
            with open_lab(plans.lab_spec(variant)):
                pass
        except LabUnavailable as unavailable:
            # What else a lab may lack is among the checks of the machine.
            if unavailable.part is Part.LINKS:
                yield f"{name}: {unavailable.cause}", unavailable.remedy
