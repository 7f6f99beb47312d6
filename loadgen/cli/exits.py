"""Exit codes, and which one an outcome has. The codes are a contract (docs/files.md)."""

from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import click

from loadgen.text.visible import LINE_BREAKS, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadgen.engine.experiment import Outcome


class Exit(IntEnum):
    """What `churn` exits with."""

    FINE = 0
    BUG = 1
    USAGE = 2
    EXPECTATION_FAILED = 99
    BAD_SCENARIO = 104
    INTERRUPTED = 105
    INVALID = 106


def echo(message: object, *, err: bool = False) -> None:
    """Print plain lines. Control characters are shown as escapes."""
    click.echo(visible(str(message), keep=LINE_BREAKS), err=err)


def fail(code: Exit, message: str) -> NoReturn:
    """Print an error to stderr and exit."""
    echo(message, err=True)
    raise SystemExit(int(code))


_BY_WEIGHT = (
    Exit.FINE,
    Exit.EXPECTATION_FAILED,
    Exit.INVALID,
    Exit.BAD_SCENARIO,
    Exit.USAGE,
    Exit.BUG,
    Exit.INTERRUPTED,
)
"""The exit codes, the most serious last."""


def worst(codes: "Iterable[Exit]") -> Exit:
    """The most serious of several exit codes; FINE if there are none."""
    return max(codes, key=_BY_WEIGHT.index, default=Exit.FINE)


def exit_code(outcome: "Outcome") -> Exit:
    """The exit code of the most serious outcome of a run."""
    if outcome.interrupted:
        return Exit.INTERRUPTED
    if not all(summary.valid for summary in outcome.summaries):
        return Exit.INVALID
    if not all(summary.passed for summary in outcome.summaries) or not all(
        claim.decided for claim in outcome.claims
    ):
        return Exit.EXPECTATION_FAILED
    return Exit.FINE
