"""Caveats about churn's own processes that ended during the load."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import ProcessDied, ServerEnded, WorkerExited
from loadgen.wire.exit_status import how_ended

PROCESS_DIED = CaveatKind("process_died")


def process_died(case: Case) -> Iterator[Caveat]:
    for event in case.fold.events:
        if isinstance(event, ProcessDied):
            words = _shortened(event.stderr)
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


def server_ended(case: Case) -> Iterator[Caveat]:
    """The server's command: its end is data where the scenario expects it."""
    ended, expected = case.fold.event(ServerEnded), case.variant.server.expect_status
    if ended and ended.code != expected:
        words = _shortened(ended.stderr)
        yield Caveat(
            PROCESS_DIED,
            f"the server ended before the load did, {how_ended(ended.code)}"
            + ("" if expected is None else f", and server.expect_status is {expected}")
            + (f": {words}" if words else ""),
            "see server.err of the variant; dmesg shows whether the out-of-memory killer ended it",
            invalidates=True,
        )


def _shortened(stderr: str) -> str:
    """The first line of a program's output names the problem; of a traceback, the last line does."""
    first, *more = stderr.splitlines() or [""]
    return " ".join([first, *(["..."] if more[1:] else []), *more[-1:]])


RULES: tuple[Rule, ...] = (process_died, server_ended)
