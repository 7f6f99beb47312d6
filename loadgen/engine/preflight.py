"""What a scenario needs of this machine, checked before a run: what is refused, and what runs differently.

Nothing is printed here: a `Preflight` holds the findings, and the command shows them.
"""

from dataclasses import dataclass
from pathlib import Path

from loadgen.engine import commands, installed, lab_needs, machine, plans, script_needs
from loadgen.engine.machine import Check, Verdict
from loadgen.lab.errors import Part
from loadgen.scenario.choices import Bind, Driver, Family, Topology
from loadgen.scenario.document import Scenario
from loadgen.scenario.lab import Lab
from loadgen.tcp import Side

LAB_CHECKS = frozenset(Part)
"""The checks without which there is no lab."""

SPARE_DESCRIPTORS = 64
"""What a process needs besides its connections: pipes, event loop, libraries."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason not to begin the run, and what to do about it."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """The findings before a run.

    scenario    as this machine can run it
    warnings    checks of the machine that are not fine
    fallback    whether it runs on the host's loopback because no lab can be made
    refusals    why it cannot run; empty if it can
    """

    scenario: Scenario
    warnings: tuple[Check, ...] = ()
    fallback: bool = False
    refusals: tuple[Refusal, ...] = ()


def preflight(scenario: Scenario, runs: Path) -> Preflight:
    """Check what the scenario needs, with records below `runs`. Raises this process's limit on descriptors;
    changes nothing else."""
    if refusals := missing_programs(scenario) or refused_uring(scenario) or refused_range(scenario):
        return Preflight(scenario, refusals=refusals)
    machine.raise_descriptor_limit()
    found = machine.checks(
        descriptors_needed=max(plans.descriptors(each) for each in scenario.variants) + SPARE_DESCRIPTORS,
        directory=runs,
        workers=max(each.load.workers + each.server.workers for each in scenario.variants),
    )
    no_lab = any(check.verdict is Verdict.FAIL and check.name in LAB_CHECKS for check in found)
    fallback = no_lab and any(each.lab.topology is not Topology.HOST for each in scenario.variants)
    runnable = on_host(scenario) if fallback else scenario
    return Preflight(
        scenario=runnable,
        warnings=tuple(check for check in found if check.verdict is not Verdict.OK),
        fallback=fallback,
        refusals=(
            *(refused_proxies(scenario) if no_lab else ()),
            *refused_labs(scenario, no_lab=no_lab),
            *refused_commands(runnable),
            *refused_faults(runnable),
        ),
    )


def refused_proxies(scenario: Scenario) -> tuple[Refusal, ...]:
    """Variants with a proxy, which the host's loopback has no node for."""
    names = [each.name for each in scenario.variants if each.lab.topology is Topology.PROXY]
    if not names:
        return ()
    reason = f"no lab can be made here, and topology proxy of {', '.join(names)} needs one"
    return (Refusal(reason, "`churn doctor` shows what a lab takes"),)


def missing_programs(scenario: Scenario) -> tuple[Refusal, ...]:
    """Programs of commands, and modules that they import, that are not installed."""
    places: dict[str, list[str]] = {}
    for variant in scenario.variants:
        needed = [(program, key) for key, program in commands.programs(variant).items()]
        for key, needs in (("server.needs", variant.server.needs), ("load.needs", variant.load.needs)):
            needed += [(name, key) for name in needs or ()]
        for name, key in needed:
            places.setdefault(name, []).append(f"{key} of {variant.name}")
    found = [installed.check(name, ", ".join(keys)) for name, keys in places.items()]
    return tuple(
        Refusal(f"{check.name} {check.found}", check.remedy)
        for check in found
        if check.verdict is Verdict.FAIL
    )


def refused_uring(scenario: Scenario) -> tuple[Refusal, ...]:
    """The first variant that names the uring driver, if this kernel cannot run it."""
    for variant in scenario.variants:
        check = machine.uring_check(binds=variant.lab.client.binds is not Bind.NONE)
        if variant.load.driver is Driver.URING and check.verdict is not Verdict.OK:
            return (Refusal(f"load.driver of {variant.name}: {check.found}", check.remedy),)
    return ()


def refused_range(scenario: Scenario) -> tuple[Refusal, ...]:
    """The first variant whose sockets have a port range of their own, if this kernel has no such option."""
    for variant in scenario.variants:
        if variant.lab.client.local_port_range is not None and (why := machine.no_port_range()):
            remedy = "use Linux 6.3 or later, or narrow lab.client.ports in its place"
            return (Refusal(f"lab.client.local_port_range of {variant.name}: {why}", remedy),)
    return ()


def refused_commands(scenario: Scenario) -> tuple[Refusal, ...]:
    """Commands on the host, if this user may not make a PID namespace there; in a lab any user may."""
    places = [
        f"{key} of {variant.name}"
        for variant in scenario.variants
        if variant.lab.topology is Topology.HOST
        for key in commands.programs(variant)
    ]
    if not places:
        return ()
    check = machine.command_check(", ".join(places))
    return () if check.verdict is Verdict.OK else (Refusal(check.found, check.remedy),)


def refused_faults(scenario: Scenario) -> tuple[Refusal, ...]:
    """Faults of the script that cannot act on this machine."""
    return tuple(Refusal(need.reason, need.alternative) for need in script_needs.unmet(scenario))


def refused_labs(scenario: Scenario, *, no_lab: bool) -> tuple[Refusal, ...]:
    """Labs with a part that this machine cannot make."""
    return tuple(Refusal(*found) for found in lab_needs.obstacles(scenario, no_lab=no_lab))


def on_host(scenario: Scenario) -> Scenario:
    """The scenario on the host's own loopback, for a machine that allows no namespaces (K12)."""
    variants = [
        variant.model_copy(update={"lab": _lab_on_host(variant.lab)}) for variant in scenario.variants
    ]
    return scenario.model_copy(update={"variants": tuple(variants)})


def _lab_on_host(lab: Lab) -> Lab:
    alone = lab.model_copy(update={"topology": Topology.HOST, "sysctl": type(lab.sysctl)()})
    if lab.family is not Family.IPV6:
        return alone
    # ::1 is its only address.
    one = {side.value: getattr(lab, side).model_copy(update={"addresses": 1}) for side in Side}
    return alone.model_copy(update=one)
