"""Stages of a load that say nothing, or that contradict each other or another key."""

from collections.abc import Iterator

from loadgen.scenario.choices import Driver
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.stages import LONGEST, MOST_STAGES, Stage, highest, total_ns
from loadgen.scenario.traffic import Load


def stage_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction of the stages."""
    load = settings.load
    if not load.stages:
        if "stages" in load.model_fields_set:
            hint = "write stages: [{for: 10s, rate: 100/s}, {for: 5s, rate: 0/s}]"
            yield Conflict(("load.stages",), "the list of stages is empty", hint)
        return
    if load.driver is Driver.COMMAND:
        hint = "remove the key, and configure it in the command or its files"
        yield Conflict(("load.stages",), "a command decides this by itself", hint)
        return
    wrong = [*_levels(load.stages)]
    yield from wrong or (*_others(load), *_lengths(load))


def _levels(stages: tuple[Stage, ...]) -> Iterator[Conflict]:
    """Each stage has a rate or a number in flight, and all of them the same of the two."""
    for place, stage in enumerate(stages):
        path = f"load.stages.{place}"
        if stage.rate is None and stage.connections is None:
            message = "has neither rate nor connections"
            yield Conflict((path,), message, "write {for: 10s, rate: 100/s} or {for: 10s, connections: 8}")
        elif stage.rate is not None and stage.connections is not None:
            message = "has both rate and connections: a loop is open or closed"
            yield Conflict((f"{path}.connections",), message, "leave one of them out")
        elif (stage.rate is None) is not (stages[0].rate is None):
            here, first = ("connections", "a rate") if stage.rate is None else ("rate", "connections")
            yield Conflict(
                (f"{path}.{here}",),
                f"the first stage has {first}: a load is open or closed in all of its stages",
                "write the same key in every stage",
            )
    if not highest(stages) and all((one.rate is None) is not (one.connections is None) for one in stages):
        yield Conflict(
            ("load.stages",),
            "no stage makes a connection: all of them are of 0",
            "raise the rate or the connections of one",
        )


def _others(load: Load) -> Iterator[Conflict]:
    """Keys that the stages stand for."""
    most = highest(load.stages)
    if load.stages[0].rate is not None:
        if load.closed_loop is not None:
            yield _instead("closed_loop", "a closed loop has connections, and the stages have rates")
        elif load.open_loop is not None and load.open_loop.rate != most:
            yield _instead("open_loop.rate", "the stages have the rates")
    elif load.open_loop is not None:
        yield _instead("open_loop", "an open loop has rates, and the stages have connections")
    elif load.closed_loop is not None and load.closed_loop.connections != most:
        yield _instead("closed_loop.connections", "the stages have the numbers in flight")


def _instead(key: str, message: str) -> Conflict:
    return Conflict((f"load.{key}",), message, "remove the key, or load.stages")


def _lengths(load: Load) -> Iterator[Conflict]:
    total = total_ns(load.stages)
    if len(load.stages) > MOST_STAGES:
        message = f"has {len(load.stages)} stages, and {MOST_STAGES} is the most"
        yield Conflict(("load.stages",), message, "leave some out")
    if total > LONGEST:
        message = f"the stages last {total} together, and {LONGEST} is the most"
        yield Conflict(("load.stages",), message, "shorten them")
    elif load.duration != total:
        yield Conflict(
            ("load.duration",),
            f"is {load.duration}, and the stages last {total} together",
            "remove the key: the load lasts as long as its stages",
        )
