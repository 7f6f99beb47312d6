"""A whole run: every variant of a scenario in turn, kept in a run directory as it happens."""

import asyncio
import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from loadgen.analysis.claims import JudgedClaim, judge
from loadgen.analysis.fold import Fold
from loadgen.analysis.summary import VariantSummary, summarise
from loadgen.analysis.summary_document import summary_document
from loadgen.engine.variant import run_variant
from loadgen.model.situation import ports
from loadgen.model.upstream import predict_legs
from loadgen.records.directory import RunDirectory
from loadgen.records.info import WHOLE, Asked, Environment, Info, Status
from loadgen.records.latency import Latency
from loadgen.records.prediction import Prediction
from loadgen.records.types import Record
from loadgen.scenario.document import Scenario, Variant
from loadgen.scenario.schema import resolved


class Watcher(Protocol):
    """Someone who looks on while a run goes: the live view, or plain lines; entered for that long."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def variant_begins(self, variant: Variant, prediction: Prediction, fold: Fold) -> None: ...

    def record(self, record: Record | Latency) -> None: ...

    def variant_ends(self, summary: VariantSummary) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run as it ended: `summaries` are of all that was recorded."""

    directory: RunDirectory
    summaries: Sequence[VariantSummary]
    claims: Sequence[JudgedClaim]
    interrupted: bool
    failure: Exception | None
    """What ended it before its time, and was no variant's own outcome."""


def create_directory(parent: Path, source: Path) -> RunDirectory:
    """A new run directory, named by the instant and the scenario. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(100):
        path = parent / (f"{stamp}-{source.stem}" + (f"-{number + 1}" if number else ""))
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return RunDirectory(path)
    raise FileExistsError(f"{parent}: too many runs of {source.stem} in one second")


async def run_scenario(
    scenario: Scenario, directory: RunDirectory, watcher: Watcher, stop: asyncio.Event, *, quick: bool
) -> Outcome:
    """Run every variant. What was recorded is on disk at any time; run.json says how it ended.

    A process of a variant that dies is that variant's outcome, and the next one follows. What would befall
    every variant (LabUnavailable, SysctlRefused, OSError, a bug) ends the run: the outcome's `failure`.
    """
    predictions = {variant.name: predict_legs(variant) for variant in scenario.variants}
    info = _info(scenario, directory, predictions, quick)
    summaries: list[VariantSummary] = []
    status, failure = Status.FAILED, None
    try:
        directory.write_info(info)
        for variant in scenario.variants:
            if stop.is_set():
                break
            prediction, fold = predictions[variant.name], Fold(ports(variant))
            watcher.variant_begins(variant, prediction, fold)
            try:
                await _record(variant, directory, fold, watcher, stop)
            finally:
                if fold.events:
                    summaries.append(summarise(variant, prediction, fold))
            document = summary_document(
                directory.id, summaries, predictions, whole=False, claims=scenario.claims
            )
            directory.write_summary(document)
            watcher.variant_ends(summaries[-1])
        status = Status.INTERRUPTED if stop.is_set() else Status.FINISHED
    except asyncio.CancelledError:
        status = Status.INTERRUPTED
        raise
    except Exception as error:
        failure = error
    finally:
        unwritten = _conclude(directory, status, scenario, summaries)
    claims = judge(scenario.claims, summaries)
    return Outcome(directory, summaries, claims, stop.is_set(), failure or unwritten)


async def _record(
    variant: Variant, directory: RunDirectory, fold: Fold, watcher: Watcher, stop: asyncio.Event
) -> None:
    """Run one variant into its files and its fold."""
    with directory.writer(variant.name) as writer:

        def emit(record: Record | Latency) -> None:
            writer.append(record)
            fold.add(record)
            watcher.record(record)

        await run_variant(variant, directory.path / variant.name, emit, stop)


def _conclude(
    directory: RunDirectory, status: Status, scenario: Scenario, summaries: Sequence[VariantSummary]
) -> OSError | None:
    """Write how the run ended; the error where that cannot be written."""
    try:
        directory.write_status(status)
        if summaries:
            names, whole = [variant.name for variant in scenario.variants], status in WHOLE
            document = summary_document(directory.id, summaries, names, whole=whole, claims=scenario.claims)
            directory.write_summary(document)
    except OSError as error:
        return error
    return None


def _info(
    scenario: Scenario, directory: RunDirectory, predictions: Mapping[str, Prediction], quick: bool
) -> Info:
    """run.json: everything that was known before the first packet."""
    return Info(
        id=directory.id,
        status=Status.RUNNING,
        started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        quick=quick,
        scenario=resolved(scenario),
        environment=environment(),
        variants={name: Asked(prediction) for name, prediction in predictions.items()},
    )


def environment() -> Environment:
    """This machine and these programs."""
    return Environment(
        churn=version("churn"),
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        cpus=len(os.sched_getaffinity(0)),
        uid=os.geteuid(),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE),
        libraries={name: version(name) for name in ("aiohttp", "h11", "hdrhistogram", "numpy", "uvloop")},
    )
