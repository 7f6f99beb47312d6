"""Caveats about churn's own processes that ended during the load."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import ProcessDied, WorkerExited
from loadgen.wire.exit_status import how_ended

PROCESS_DIED = CaveatKind("process_died")


def process_died(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if isinstance(event, ProcessDied):
            # The first line of a program's output names the problem; of a traceback, the last line does.
            first, *more = event.stderr.splitlines() or [""]
            words = " ".join([first, *(["..."] if more[1:] else []), *more[-1:]])
            yield Caveat(
                PROCESS_DIED,
                f"the {event.what} ended before the load did, {event.how}" + (f": {words}" if words else ""),
                "see its last output in events.jsonl; dmesg shows whether the out-of-memory killer ended it",
                invalidates=True,
            )
        if isinstance(event, WorkerExited):
            yield Caveat(
                PROCESS_DIED,
                f"a worker of the server ended before the load did, {how_ended(event.status)}",
                "find what ended it: dmesg shows whether the out-of-memory killer did",
                invalidates=True,
            )


RULES: tuple[Rule, ...] = (process_died,)
