"""From the script of a variant to the plan of its fault injector."""

from loadgen.lab import faults
from loadgen.lab.lab import Lab
from loadgen.scenario.choices import Act, Family
from loadgen.scenario.document import Variant
from loadgen.scenario.script import Fault
from loadgen.scenario.script_checks import PROCESSES
from loadgen.tcp import Side


def injector_plan(variant: Variant, lab: Lab) -> faults.Plan:
    """The faults of the script that are of the lab itself."""
    steps = (
        faults.Step(number, _node(fault, lab), fault.at, fault.end, _deed(fault, variant, lab))
        for number, fault in enumerate(variant.script)
        if fault.do not in PROCESSES
    )
    return faults.Plan(tuple(steps), lab.user, lab.nodes)


def _node(fault: Fault, lab: Lab) -> str:
    """The node that it acts on: what is dropped, is dropped where it arrives."""
    side = fault.on.other if fault.do is Act.DROP else fault.on
    return lab.spec.sides[side].node


def _deed(fault: Fault, variant: Variant, lab: Lab) -> faults.Deed:
    ends = tuple(lab.spec.ends(lab.spec.sides[fault.on].node))
    interfaces = tuple(end.interface for end in ends)
    match fault.do:
        case Act.SYSCTL:
            return faults.Sysctl(fault.sysctl)
        case Act.CRASH:
            return faults.Crash(ends)
        case Act.DROP:
            assert fault.what is not None
            return faults.Drop(
                fault.what,
                variant.server.port,
                from_server=fault.on is Side.SERVER,
                ipv6=variant.lab.family is Family.IPV6,
            )
        case Act.DELAY:
            assert fault.by is not None
            return faults.Delay(interfaces, fault.by)
        case _:
            return faults.Cut(interfaces)
