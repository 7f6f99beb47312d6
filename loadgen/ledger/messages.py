"""The plan of the process that makes entries happen, and its message."""

from collections.abc import Mapping

from msgspec import Struct

from loadgen.tcp import Side
from loadgen.wire.messages import Message


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """The `entries`, by name; the server's address; and descriptors of the lab's namespaces."""

    entries: tuple[str, ...]
    address: str
    user: int
    networks: Mapping[Side, int]


class Happened(Message, frozen=True):
    """An entry was made to happen so many `times`; by so much the kernels' counters grew.

    `besides`: connections of other entries that this took.
    """

    entry: str
    times: int
    besides: Mapping[str, int]
    client: Mapping[str, int]
    server: Mapping[str, int]
