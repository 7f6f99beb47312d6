"""Exit codes, and the way from an error to one. The codes are a contract (docs/files.md)."""

from enum import IntEnum
from typing import NoReturn

import click


class Exit(IntEnum):
    """What `churn` exits with."""

    FINE = 0
    BUG = 1
    USAGE = 2
    EXPECTATION_FAILED = 99
    BAD_SCENARIO = 104
    INTERRUPTED = 105
    INVALID = 106


def fail(code: Exit, message: str) -> NoReturn:
    """Print an error to stderr and exit."""
    click.echo(message, err=True)
    raise SystemExit(int(code))
