"""`floor.c`, built and told what to do: the least that a client on io_uring spends on an exchange."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.load import PORT, Exchange, Load

NAME = "floor"
SOURCE = Path(__file__).with_name("floor.c")
QUICKACK_SINCE = (6, 7)
"""The Linux that first takes socket options by io_uring."""


class NotBuiltError(Exception):
    """floor.c could not be built; the text says why."""


def build(directory: Path) -> Path:
    """Compile into `directory`. Raises NotBuiltError."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotBuiltError("there is no C compiler: `make peers` installs one")
    program = directory / NAME
    argv = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(SOURCE), "-luring"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise NotBuiltError(
            f"{SOURCE.name} does not compile (liburing-dev is needed):\n{done.stderr.strip()}"
        )
    return program


def argv(program: Path, load: Load, addresses: Sequence[str]) -> list[str]:
    what = "kept" if load.exchange is Exchange.KEPT else str(load.closer)
    numbers = [str(PORT), str(load.in_flight), str(load.seconds)]
    return [str(program), ",".join(addresses), *numbers, what, str(int(takes_options(os.uname().release)))]


def takes_options(release: str) -> bool:
    """Whether this kernel sets socket options by io_uring."""
    major, minor, *_ = release.split(".")
    return (int(major), int(minor.split("-")[0])) >= QUICKACK_SINCE


def able(load: Load) -> bool:
    """One thread, at full speed."""
    return load.workers == 1 and load.rate is None


def own_count(printed: str) -> int | None:
    """The good responses; None where it said something else, or any had failed."""
    try:
        counts: dict[str, int] = json.loads(printed)
    except ValueError:
        return None
    return counts["exchanges"] if counts.keys() >= {"exchanges", "failed"} and not counts["failed"] else None
