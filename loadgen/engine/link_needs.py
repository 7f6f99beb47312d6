"""What `closer: both` needs of this machine, found out before a run: a link that holds segments back."""

from loadgen.engine import plans
from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.lab import open_lab
from loadgen.scenario.choices import Topology
from loadgen.scenario.document import Scenario
from loadgen.tcp import Closer


def obstacle(scenario: Scenario) -> tuple[str, str] | None:
    """Why the first variant whose FINs are to cross cannot run here, and the remedy; None if all can."""
    for variant in scenario.variants:
        if variant.connection.closer is not Closer.BOTH:
            continue
        name = f"connection.closer of {variant.name} (both)"
        if variant.lab.topology is Topology.HOST:
            return f"{name} needs a lab, and no lab can be made here", "see `churn doctor`, or leave it out"
        try:
            with open_lab(plans.lab_spec(variant)):
                return None
        except LabUnavailable as unavailable:
            # What else a lab may lack is among the checks of the machine.
            return (
                (f"{name}: {unavailable.cause}", unavailable.remedy)
                if unavailable.part is Part.LINKS
                else None
            )
    return None
