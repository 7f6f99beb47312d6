"""How a field of a scenario reads its text: the parser, its name in messages, and the bounds."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from loadgen.text.problem import quote
from loadgen.text.units import (
    BYTE_SIZE_PATTERN,
    DURATION_PATTERN,
    PORT_RANGE_PATTERN,
    RATE_PATTERN,
    ByteSize,
    Duration,
    PortRange,
    Rate,
    UnitError,
    whole,
)


@dataclass(frozen=True, slots=True)
class Written:
    """Metadata for `Annotated`: text is parsed, other values are taken as they are, and bounds are checked.

    `expected` completes "expected ..., got ..."; `low` and `high` are included, None without bounds.
    `schema` is the JSON Schema of the field as written. Dumped as itself, or as the text it is read from.
    """

    parse: Callable[[str], Any]
    expected: str
    schema: Mapping[str, Any] = field(hash=False)
    low: Any = None
    high: Any = None

    def read(self, value: Any) -> Any:
        if value is None or isinstance(value, dict | list | bool):
            raise UnitError(f"expected {self.expected}")  # the caller adds what was written
        result = self.parse(value) if isinstance(value, str) else value
        if self.low is not None and not self.low <= result <= self.high:
            bounds = f"from {self.low} to {self.high}"
            raise UnitError(f"expected {self.expected} {bounds}, got {quote(str(value))}")
        return result

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        dump = core_schema.plain_serializer_function_ser_schema(_plain)
        return core_schema.no_info_plain_validator_function(self.read, serialization=dump)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


def _plain(value: Any) -> Any:
    return value if type(value) in (int, str) else str(value)


def count(low: int, high: int) -> Written:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Written(whole, "a whole number", schema, low, high)


def truth() -> BeforeValidator:
    """true or false, and no other spelling of them."""
    values = {"true": True, "false": False}

    def read(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            if value not in values:
                raise UnitError(f"expected true or false, got {quote(value)}")
            return values[value]
        raise UnitError("expected true or false")

    return BeforeValidator(read)


def duration(low: str, high: str) -> Written:
    schema = {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}]}
    return Written(
        Duration.parse, "a duration such as 30s or 250ms", schema, Duration.parse(low), Duration.parse(high)
    )


def whole_seconds(high: str) -> Written:
    """From one second on, as socket options have it."""

    def parse(text: str) -> Duration:
        value = Duration.parse(text)
        if value % 1_000_000_000:
            hint = "the kernel counts this in seconds: write 1s, 2s or more"
            raise UnitError(f"expected whole seconds, got {quote(text)}", hint)
        return value

    schema = {"type": "string", "pattern": DURATION_PATTERN}
    return Written(parse, "whole seconds such as 2s", schema, Duration.parse("1s"), Duration.parse(high))


def rate(low: str, high: str) -> Written:
    schema = {"type": "string", "pattern": RATE_PATTERN}
    return Written(Rate.parse, "a rate such as 1000/s", schema, Rate.parse(low), Rate.parse(high))


def byte_size(low: str, high: str) -> Written:
    schema = {"anyOf": [{"type": "string", "pattern": BYTE_SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}
    return Written(
        ByteSize.parse,
        "a size in bytes such as 128 or 1KiB",
        schema,
        ByteSize.parse(low),
        ByteSize.parse(high),
    )


def port_range() -> Written:
    schema = {"type": "string", "pattern": PORT_RANGE_PATTERN}
    return Written(PortRange.parse, "a port range such as 32768-60999", schema)


def matching(pattern: str, expected: str) -> Written:
    """A word: a text that matches the whole of `pattern`."""

    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise UnitError(f"expected {expected}, got {quote(text)}")
        return text

    return Written(parse, expected, {"type": "string", "pattern": f"^(?:{pattern})$"})


def prose(low: int, high: int) -> Written:
    """A text of `low` to `high` characters, white space around it left out."""

    def parse(text: str) -> str:
        text = text.strip()
        if not low <= len(text) <= high:
            raise UnitError(f"expected a text of {low} to {high} characters, got {len(text)}")
        return text

    return Written(parse, "a text", {"type": ["string", "number", "boolean"]})


FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
LONGEST_ARGUMENT = 4096
LONGEST_FILE = 32_768
"""Characters: enough for a configuration or a short script."""


def argument() -> Written:
    """One argument of a command, as it is: white space belongs to it."""
    return _text(LONGEST_ARGUMENT)


NEED = r"(python:[A-Za-z_][A-Za-z0-9_.]*|[A-Za-z0-9][A-Za-z0-9._+-]*)"


def need() -> Written:
    return matching(NEED, "the name of a program such as openssl, or python:NAME of a module")


def file_name() -> Written:
    return matching(FILE_NAME, "the name of a file such as nginx.conf, without folders")


def file_text() -> Written:
    return _text(LONGEST_FILE)


def _text(high: int) -> Written:
    def parse(text: str) -> str:
        if len(text) > high:
            raise UnitError(f"expected a text of at most {high:,} characters, got {len(text):,}")
        if "\0" in text:
            raise UnitError("expected a text without the character NUL")
        return text

    return Written(parse, "a text", {"type": ["string", "number", "boolean"]})


SYSCTL_NAME = r"net(\.[A-Za-z0-9_-]+)+"


def sysctl_key() -> Written:
    """The dotted name of a sysctl that a network namespace has to itself."""
    name = matching(SYSCTL_NAME, "a sysctl of the network namespace such as net.ipv4.tcp_tw_reuse")

    def parse(key: str) -> str:
        name.read(key)
        if key in _HOST_WIDE:
            raise UnitError(
                f"{key} belongs to the whole host, a namespace has none", "remove it: the host is left alone"
            )
        if key == "net.ipv4.ip_local_port_range":
            raise UnitError(f"{key} is set by the lab", "write lab: {client: {ports: 32768-60999}}")
        if key == "net.ipv4.ip_local_reserved_ports":
            raise UnitError(
                f"{key} would take away ports that churn counts as the client's",
                "choose a range without them: lab: {client: {ports: 32768-60999}}",
            )
        return key

    return Written(parse, name.expected, name.schema)


def sysctl_value() -> Written:
    value = matching(r"[!-~][ -~]{0,99}", "a value of 1 to 100 characters on one line")
    return Written(value.parse, value.expected, {"type": ["string", "number"]})


_HOST_WIDE = frozenset(
    {
        "net.ipv4.tcp_max_orphans",
        "net.ipv4.tcp_mem",
        "net.core.netdev_max_backlog",
        "net.netfilter.nf_conntrack_max",
    }
)
"""Sysctls that child namespaces lack or cannot write (K26)."""
