"""What topology `nat` needs of this machine, found out before a run: a node that translates addresses."""

from loadgen.engine import nat_plans
from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.lab import open_lab
from loadgen.scenario.choices import Topology
from loadgen.scenario.document import Scenario


def obstacle(scenario: Scenario, *, no_lab: bool) -> tuple[str, str] | None:
    """Why the first variant with a NAT cannot run here, and the remedy; None if all can.

    `no_lab`: no lab at all can be made here, and the host's loopback has no place for a NAT.
    """
    for variant in scenario.variants:
        if variant.lab.topology is not Topology.NAT:
            continue
        name = f"lab.topology of {variant.name} (nat)"
        if no_lab:
            return f"{name} needs a lab, and no lab can be made here", "see `churn doctor`, or leave it out"
        try:
            with open_lab(nat_plans.lab_spec(variant)):
                return None
        except LabUnavailable as unavailable:
            # What else a lab may lack is among the checks of the machine.
            return (
                (f"{name}: {unavailable.cause}", unavailable.remedy)
                if unavailable.part is Part.LINKS
                else None
            )
    return None
