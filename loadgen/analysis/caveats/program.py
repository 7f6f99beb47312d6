"""Caveats about a program of the user's that makes the load (`load.command`)."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.caveats.script import killed
from loadgen.records.events import CommandEnded, Interrupted
from loadgen.tcp import Side
from loadgen.wire.exit_status import how_ended

COMMAND_STOPPED = CaveatKind("command_stopped")


def command_stopped(case: Case) -> Iterator[Caveat]:
    ended = case.fold.event(CommandEnded)
    if ended and ended.asked and not case.fold.event(Interrupted):
        yield Caveat(
            COMMAND_STOPPED,
            f"the load's command was still running at {case.fold.load_end_ns() / 1e9:.1f} s and was stopped",
            "let the command itself end in time: {duration_s} stands for load.duration in seconds",
        )


COMMAND_FAILED = CaveatKind("command_failed")


def command_failed(case: Case) -> Iterator[Caveat]:
    ended = case.fold.event(CommandEnded)
    if ended is None:
        return
    code, expected = ended.code, case.variant.load.expect_status
    if code != expected and not ended.asked:
        words = ended.stderr.splitlines()
        # A result, not a flaw of the measurement: the finding `ports_gone` has the states that show it.
        gone = case.fold.under_load().shortage is not None
        yield Caveat(
            COMMAND_FAILED,
            f"the load's command ended {how_ended(code)}"
            + (f", and load.expect_status is {expected}" if expected else "")
            + (f": {words[-1]}" if words else "")
            + (", by the script" if killed(case.fold.events, Side.CLIENT) else "")
            + (". It had no free port left, and this was its reaction" if gone else ""),
            "see driver.err and driver.out of the variant; what the command did not do was not measured",
            invalidates=not (gone or killed(case.fold.events, Side.CLIENT)),
        )
    elif case.fold.complete and not case.fold.event(Interrupted) and _opened_none(case):
        yield Caveat(
            COMMAND_FAILED,
            "the load's command tried no connection: the client's kernel counted none (ActiveOpens)",
            "see driver.err and driver.out of the variant, and check that the command loads {url}",
            invalidates=True,
        )


def _opened_none(case: Case) -> bool:
    """Whether the client's kernel counts connection attempts, and counted none."""
    return case.fold.kernel()[Side.CLIENT].get("ActiveOpens") == 0


RULES: tuple[Rule, ...] = (command_stopped, command_failed)
