"""run.json: what was asked, what was predicted, on what machine, and how the run ended."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from loadgen.records.prediction import Prediction
from loadgen.records.types import SCHEMA_VERSION


class Status(StrEnum):
    """How a run stands. A run that is still `running` without its process was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


WHOLE = frozenset({Status.FINISHED, Status.INTERRUPTED})
"""How a run stands that ended in order, of itself or by Ctrl-C."""


class Environment(Struct, frozen=True):
    """The machine and the programs that a result depends on.

    `cpus` are those that churn may use, `descriptors` its limits (soft and hard).
    """

    churn: str
    kernel: str
    machine: str
    python: str
    cpus: int
    uid: int
    descriptors: tuple[int, int]
    libraries: Mapping[str, str]


class Asked(Struct, frozen=True):
    """What run.json has of a variant beside the scenario."""

    prediction: Prediction


class Info(Struct, frozen=True, kw_only=True):
    """run.json. `scenario` is what `scenario.schema.resolved` gives and `scenario.schema.restore` reads.

    `variants` has all variants of the scenario, in their order, whether they have begun or not.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    status: Status
    started_at: str
    quick: bool
    scenario: dict[str, Any]
    environment: Environment
    variants: Mapping[str, Asked]
