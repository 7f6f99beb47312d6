"""The plan of a keeper: one JSON line on its stdin."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM_PROGRAMS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where servers such as nginx live, and where the PATH of an ordinary user does not lead."""


def find_program(name: str) -> str | None:
    """The path of a program that is installed; None where it is not."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(SYSTEM_PROGRAMS))


@dataclass(frozen=True, slots=True)
class Plan:
    """One command.

    It is started in `directory`, which is made, with the texts of `files` in it. What it writes goes beside
    that, under the same name with `.out` and `.err` behind it. A server has a `port`, and `limit_ns`
    until it listens there; a driver has none, and `limit_ns` from the load's begin until it is asked
    to end.
    """

    argv: tuple[str, ...]
    directory: str
    files: Mapping[str, str]
    port: int | None
    limit_ns: int
