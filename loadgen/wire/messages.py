"""The messages that several programs share: one JSON object a line, its kind under `type`."""

import re
from enum import StrEnum

from msgspec import Struct


def tag_of(name: str) -> str:
    """The `type` of a message, from the name of its class: `LoadEnds` is `load_ends`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=tag_of):
    """One line from one process to another. Reading refuses other types and unknown keys."""


class GapCause(StrEnum):
    """Why nothing was observed."""

    HELD_UP = "held_up"
    """The process did not run."""
    UNREAD = "unread"
    """The process that runs the variant did not read: samples were dropped, intervals merged into one."""


class Ready(Message, frozen=True):
    """The process waits for `Begin`."""


class Begin(Message, frozen=True):
    """To a load worker or a keeper: the load begins at this instant of CLOCK_MONOTONIC."""

    origin_ns: int


class Stop(Message, frozen=True):
    """End in order, now."""


class Listening(Message, frozen=True):
    """A server accepts connections on `port`."""

    port: int


class Unobserved(Message, frozen=True):
    """The sender observed nothing from one instant of CLOCK_MONOTONIC to another."""

    start_ns: int
    end_ns: int
    cause: GapCause


class Over(Message, frozen=True):
    """All is done and counted: the last message."""
