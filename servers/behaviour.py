"""How a server treats its connections: who closes first, after what, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self, TypeVar

from loadgen.tcp import CloseMethod, Closer

Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a server treats its connections.

    closer           who closes first. The client: the server never does, whatever the HTTP version and
                     the Connection header say, but for idle_timeout_ns, malformed requests and its own
                     shutdown. The server: after `requests` exchanges, or sooner where HTTP says so.
    requests         exchanges on one connection after which the server closes, where it is the closer
    close            how it closes. A FIN leaves together with the last byte of the response. A RST would
                     destroy that byte and follows it: a client that closes at once may then be first.
    delay_ns         before each response; the event loop keeps it to the millisecond
    idle_timeout_ns  a connection without a request for that long is closed by the server, whoever is
                     the closer; within a tenth of it. 0: never
    response_size    bytes of body

    Raises ValueError for a number out of range.
    """

    closer: Closer
    requests: int
    close: CloseMethod
    delay_ns: int = 0
    idle_timeout_ns: int = 0
    response_size: int = 64

    def __post_init__(self) -> None:
        need_whole("requests", self.requests, 1)
        need_whole("delay_ns", self.delay_ns, 0)
        need_whole("idle_timeout_ns", self.idle_timeout_ns, 0)
        need_whole("response_size", self.response_size, 0)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the fields as JSON knows them. Raises ValueError that names the one at fault."""
        need_fields(cls.__name__.lower(), data, set(cls.__slots__), {"closer", "requests", "close"})
        values = dict(data)
        values["closer"] = need_choice("closer", data["closer"], Closer)
        values["close"] = need_choice("close", data["close"], CloseMethod)
        return cls(**values)


def need_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Raises ValueError unless `value` is an int from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}: a whole number is needed, not {value!r}")
    if value < least:
        raise ValueError(f"{name}: {value} is less than {least}")
    if most is not None and value > most:
        raise ValueError(f"{name}: {value} is more than {most}")


def need_choice(name: str, value: object, choices: type[Choice]) -> Choice:
    """The member of `choices` with that value. Raises ValueError that lists them."""
    try:
        return choices(value)
    except ValueError:
        known = ", ".join(str(choice.value) for choice in choices)
        raise ValueError(f"{name}: {value!r} is none of {known}") from None


def need_fields(what: str, data: object, known: set[str], required: set[str]) -> None:
    """Raises ValueError unless `data` is an object with the `required` fields and only `known` ones."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: an object is needed, not {data!r}")
    fields: set[str] = set(data)  # pyright: ignore[reportUnknownArgumentType]
    if missing := required - fields:
        raise ValueError(f"{what}: {', '.join(sorted(missing))} is missing")
    if unknown := fields - known:
        raise ValueError(f"{what}: {', '.join(sorted(unknown))} is not a field")
