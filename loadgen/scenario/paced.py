"""Whether a scenario's load leaves the machine idle most of the time, so that others may run beside it."""

from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.traffic import OpenLoop

PACED_PER_S = 1000.0
"""Requests per second that take a small part of a core: a short connection takes each side some 50 us."""


def needs_machine(scenario: Scenario) -> bool:
    """Whether its numbers need a machine that does nothing else: as `alone` says, or by its loads."""
    if scenario.alone is not None:
        return scenario.alone
    return not all(map(_paced, scenario.variants))


def _paced(variant: Variant) -> bool:
    """Whether a rate or pauses limit the load. Of a command that is not known."""
    load = variant.load
    if load.program:
        return False
    if load.stages:
        return all(stage.rate is not None and stage.rate <= PACED_PER_S for stage in load.stages)
    if isinstance(load.loop, OpenLoop):
        return load.loop.rate <= PACED_PER_S
    # The pauses are between the requests of a connection: a single request has none.
    pauses = variant.connection.requests > 1
    return pauses and load.loop.connections * 1e9 <= PACED_PER_S * variant.connection.think
