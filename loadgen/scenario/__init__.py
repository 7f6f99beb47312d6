"""A scenario: the question, the variants that answer it, and how both are read from a file.

models    what a resolved scenario is, frozen; each field with its default, bounds and description
fields    how a field reads what a person wrote
merge     defaults, variants, `quick` and `--set`, merged on nodes so that problems keep their place
matrix    variants from every combination of values
wording   pydantic's errors in a person's words
checks    settings that contradict each other
read      from a file to a `Scenario`
schema    the file as JSON Schema, and a scenario as plain data and back
"""

from loadgen.choices import Arrivals, Driver, Family, Topology
from loadgen.problem import Mark, Problem, ScenarioError
from loadgen.scenario.models import (
    ClosedLoop,
    Connection,
    Http,
    Lab,
    Load,
    OpenLoop,
    Sampling,
    Scenario,
    Server,
    ServerKind,
    Sysctls,
    Timeouts,
    Variant,
)
from loadgen.scenario.read import load_scenario
from loadgen.scenario.schema import json_schema, resolved, restore

__all__ = [
    "Arrivals",
    "ClosedLoop",
    "Connection",
    "Driver",
    "Family",
    "Http",
    "Lab",
    "Load",
    "Mark",
    "OpenLoop",
    "Problem",
    "Sampling",
    "Scenario",
    "ScenarioError",
    "Server",
    "ServerKind",
    "Sysctls",
    "Timeouts",
    "Topology",
    "Variant",
    "json_schema",
    "load_scenario",
    "resolved",
    "restore",
]
