"""Why a lab could not be had: the machine does not allow one, or a sysctl was refused."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """A part of a lab, in the order in which they are made."""

    NAMESPACES = "namespaces"
    SYSCTLS = "sysctls"
    LINKS = "links"


@dataclass(eq=False)
class LabUnavailable(Exception):  # noqa: N818 (said as it is: the lab is unavailable)
    """This machine allows no such lab: the part that failed, why, and what to do about it."""

    part: Part
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"no lab: {self.cause}"


class BuilderKilledError(Exception):
    """A signal ended the process that builds a lab: that says nothing of what the machine allows."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"no lab: the process that builds it ended before its time, {how}; run it again (where nobody"
            " sent that signal, dmesg tells of the out-of-memory killer)"
        )


@dataclass(eq=False)
class SysctlRefused(Exception):  # noqa: N818
    """A sysctl that the scenario asks for cannot be set; `answer` is the kernel's, or churn's own rule.

    `side` is where it was to be set: a side, or the node that several share.
    """

    side: str
    key: str
    value: str
    answer: str

    def __str__(self) -> str:
        return f"{self.side}: {self.key} = {self.value!r}: {self.answer}"
