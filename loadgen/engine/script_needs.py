"""What a script needs of this machine, found out before a run."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from loadgen.engine import plans, script_plan
from loadgen.kernel import sock_destroy
from loadgen.lab import namespaces
from loadgen.lab.errors import LabUnavailable, SysctlRefused
from loadgen.lab.faults import Unable
from loadgen.lab.lab import open_lab
from loadgen.lab.spec import LabSpec
from loadgen.scenario.choices import Act, Topology
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.script import Fault
from loadgen.scenario.script_checks import PROCESSES
from loadgen.wire.codec import decode, encode

TRIED = frozenset({Act.DROP, Act.DELAY})
"""Faults that need parts of the kernel which may be missing (K27)."""
_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Need:
    """A fault that cannot act on this machine: the reason, and the alternative."""

    reason: str
    alternative: str


def unmet(scenario: Scenario) -> Iterator[Need]:
    """The faults of all variants that cannot act here."""
    for variant in scenario.variants:
        unable = {one.number: one for one in _unable(variant)}
        for place, fault in enumerate(variant.script):
            name = f"script.{place} of {variant.name} ({fault.do})"
            if fault.do in PROCESSES:
                continue
            if variant.lab.topology is Topology.HOST:
                yield Need(
                    f"{name} needs a lab, and no lab can be made here: the host is left alone",
                    "see `churn doctor`, or leave it out",
                )
            elif fault.do is Act.CRASH and not sock_destroy.available():
                yield Need(
                    f"{name}: this kernel cannot destroy connections (CONFIG_INET_DIAG_DESTROY)",
                    "use cut: the side is gone then, and keeps its connections",
                )
            elif fault.do is Act.SYSCTL and (answer := _refused(variant, fault)):
                yield Need(f"{name}: {answer}", "choose another sysctl or value")
            elif (answer := unable.get(place)) is not None:
                yield Need(f"{name}: {answer.cause}", answer.remedy)


def _unable(variant: Variant) -> list[Unable]:
    """The drops and delays that fail in a lab made for the purpose, in which each is tried."""
    if variant.lab.topology is Topology.HOST or not any(fault.do in TRIED for fault in variant.script):
        return []
    try:
        with open_lab(plans.lab_spec(variant)) as lab:
            whole = script_plan.injector_plan(variant, lab)
            steps = tuple(step for step in whole.steps if variant.script[step.number].do in TRIED)
            done = subprocess.run(
                [sys.executable, "-P", "-m", "loadgen.lab.trial"],
                input=encode(structs.replace(whole, steps=steps)),
                stdout=subprocess.PIPE,
                pass_fds=lab.descriptors,
                # Before numpy is imported: a process of several threads cannot enter a user namespace.
                preexec_fn=partial(namespaces.enter_user, lab.user),
                timeout=_LIMIT_S,
                check=True,
            )
    except (LabUnavailable, SysctlRefused):
        return []  # reported by the checks of the machine
    return [decode(line, Unable) for line in done.stdout.splitlines()]


def _refused(variant: Variant, fault: Fault) -> str:
    """The kernel's answer to the sysctls of a fault, in a lab made for the purpose; empty if it sets them."""
    try:
        with open_lab(_with_sysctls(plans.lab_spec(variant), fault)):
            return ""
    except SysctlRefused as refusal:
        return str(refusal)
    except LabUnavailable:
        return ""  # reported by the checks of the machine


def _with_sysctls(spec: LabSpec, fault: Fault) -> LabSpec:
    on = spec.sides[fault.on].node
    nodes = tuple(
        replace(node, sysctls={**node.sysctls, **fault.sysctl}) if node.name == on else node
        for node in spec.nodes
    )
    return replace(spec, nodes=nodes)
