"""Why a lab could not be made: the machine does not allow one, or a sysctl was refused."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """A part of a lab, in the order in which they are made."""

    NAMESPACES = "namespaces"
    SYSCTLS = "sysctls"
    LINKS = "links"


@dataclass(eq=False)
class LabUnavailable(Exception):  # noqa: N818 (the name says it: the lab is unavailable)
    """This machine allows no such lab: the part that failed, why, and what to do about it."""

    part: Part
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"no lab: {self.cause}"


class BuilderKilledError(Exception):
    """A signal ended the process that builds a lab: what the machine allows is unknown."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"no lab: the process that builds it ended early, {how}; run it again (if you did not"
            " send that signal, dmesg shows whether the out-of-memory killer did)"
        )


@dataclass(eq=False)
class SysctlRefused(Exception):  # noqa: N818
    """A sysctl that the scenario asks for cannot be set; `answer` is the kernel's, or churn's own rule.

    `side` is the side that it was for, or the node that several sides share.
    """

    side: str
    key: str
    value: str
    answer: str

    def __str__(self) -> str:
        return f"{self.side}: {self.key} = {self.value!r}: {self.answer}"
