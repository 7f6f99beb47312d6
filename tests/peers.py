"""Programs that tests compare churn with, and that `make peers` installs."""

import os
import shutil
from typing import NoReturn

import pytest


def need(*programs: str) -> None:
    """Go on only with these programs on the PATH: skip without them, but fail where CI has to have them."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        without(f"{', '.join(missing)} missing: `make peers` installs what tests compare with")


def without(told: str) -> NoReturn:
    """Skip, or fail where CI has to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)
