"""What no field can tell alone: settings that are each fine and cannot be run together."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.choices import Family, Topology
from loadgen.problem import Problem, ScenarioError
from loadgen.scenario.models import Settings
from loadgen.scenario.wording import validate
from loadgen.yaml import Mapping, find


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that contradict each other; `paths` are theirs, the one to look at first in front."""

    paths: tuple[str, ...]
    message: str
    hint: str


def check(tree: Mapping) -> Settings:
    """The settings that merged nodes describe. Raises ScenarioError where they are wrong or conflict."""
    settings = validate(Settings, tree)
    problems = [_problem(tree, conflict) for conflict in conflicts(settings)]
    if problems:
        raise ScenarioError(problems)
    return settings


def _problem(tree: Mapping, conflict: Conflict) -> Problem:
    """The conflict at the first of its settings that somebody wrote: a default has no place."""
    for path in conflict.paths:
        node = find(tree, path.split("."))
        if node is not None:
            return Problem(node.mark, path, conflict.message, conflict.hint)
    return Problem(tree.mark, conflict.paths[0], conflict.message, conflict.hint)


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction within a variant's settings."""
    yield from _host(settings)
    load, lab = settings.load, settings.lab
    capacity = lab.client.ports.count * lab.client.addresses * lab.server.addresses
    if load.closed_loop and load.closed_loop.connections > capacity:
        # A connection holds one port per source and destination address, the server's port being one (K7).
        yield Conflict(
            ("load.closed_loop.connections", "lab.client.ports"),
            f"{load.closed_loop.connections:,} connections in flight exceed the client's {capacity:,} ports",
            "widen lab.client.ports, or add lab.client.addresses",
        )
    if load.workers > load.loop.connections:
        loop = "open_loop" if load.open_loop else "closed_loop"
        yield Conflict(
            ("load.workers", f"load.{loop}.connections"),
            f"{load.workers} load workers need a connection each, and connections is {load.loop.connections}",
            f"use fewer workers, or raise load.{loop}.connections",
        )
    if load.open_loop and settings.connection.think:
        yield Conflict(
            ("connection.think", "load.open_loop"),
            "in an open loop requests come when they arrive, and no client thinks in between",
            "leave connection.think out, or use load.closed_loop",
        )
    if settings.sample.every > load.duration:
        yield Conflict(
            ("sample.every", "load.duration"),
            f"a sample every {settings.sample.every} does not fit into a load of {load.duration}",
            "sample more often, or load for longer",
        )


def _host(settings: Settings) -> Iterator[Conflict]:
    lab = settings.lab
    if lab.topology is not Topology.HOST:
        return
    for side in ("client", "server"):
        if getattr(lab.sysctl, side):
            message = "the host topology has no namespace of its own, and the host's sysctls are left alone"
            yield Conflict((f"lab.sysctl.{side}",), message, "use topology pair or loopback")
        if lab.family is Family.IPV6 and getattr(lab, side).addresses > 1:
            message = "the host's IPv6 loopback has one address, ::1"
            yield Conflict((f"lab.{side}.addresses",), message, "use family ipv4, or topology pair")
