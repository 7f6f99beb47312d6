"""Quantities as people write them: `30s`, `1000/s`, `1KiB`, `32768-60999`.

Each type is the number the program works with, knows the text it is read from, and gives that text back
by `str`. Readers raise `UnitError`. Arithmetic on a quantity gives a plain number.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from loadgen.text.problem import quote

DURATION_PATTERN = r"^\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(ns|us|µs|ms|s|m|min|h)\s*$"
RATE_PATTERN = r"^\s*([0-9]{1,12}(?:\.[0-9]{1,18})?)\s*(k?)/\s*(s|min|h)\s*$"
BYTE_SIZE_PATTERN = r"^\s*([0-9]{1,15})\s*(B|kB|KB|KiB|MB|MiB)?\s*$"
PORT_RANGE_PATTERN = r"^\s*([1-9][0-9]{0,4})\s*-\s*([1-9][0-9]{0,4})\s*$"

# Longest first: a duration is written in the largest unit that leaves it whole.
_NS = {
    "h": 3_600_000_000_000,
    "min": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_NS_SPELLINGS = {**_NS, "m": _NS["min"], "µs": _NS["us"]}
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_BYTES = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2}

LOWEST_PORT = 1024
"""Ports below need a privilege to bind, and the kernel keeps its ephemeral range above them."""
HIGHEST_PORT = 65535


class UnitError(ValueError):
    """A text is not the quantity it should be. `hint` is what to write instead, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def whole(text: str) -> int:
    """A whole number: digits, or a power of ten such as `1e3`. No leading zeros: 010 is 8 to some readers."""
    text = text.strip()
    if re.fullmatch(r"0[0-9]{1,30}", text):
        hint = f"write {text.lstrip('0') or '0'}"
        raise UnitError(f"the leading zero makes {quote(text)} ambiguous: octal to some readers", hint)
    if re.fullmatch(r"-?[0-9]{1,30}", text):
        return int(text)
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?[eE]\+?[0-9]{1,2}", text):
        value = Decimal(text)
        if value == int(value):
            return int(value)
    raise UnitError(f"expected a whole number, got {quote(text)}")


class Duration(int):
    """A length of time in integer nanoseconds, written `30s` or `250ms`; only 0 needs no unit."""

    @classmethod
    def parse(cls, text: str) -> Self:
        if text.strip() == "0":
            return cls(0)
        match = re.fullmatch(DURATION_PATTERN, text)
        if match is None:
            is_number = re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]{1,9})?\s*", text)
            hint = f"a unit is missing: {text.strip()}s or {text.strip()}ms?" if is_number else ""
            raise UnitError(f"expected a duration such as 30s or 250ms, got {quote(text)}", hint)
        value = Decimal(match[1]) * _NS_SPELLINGS[match[2]]
        if value != int(value):
            raise UnitError(f"{quote(text)} is finer than a nanosecond", "write whole nanoseconds")
        return cls(value)

    @property
    def seconds(self) -> float:
        return self / 1e9

    def __str__(self) -> str:
        unit = next((unit for unit, ns in _NS.items() if self and self % ns == 0), "s")
        return f"{int(self) // _NS[unit]}{unit}"


class Rate(float):
    """Events per second, written `1000/s`, `2.5k/s` or `90/min`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(RATE_PATTERN, text)
        if match is None:
            is_number = re.fullmatch(r"\s*[0-9]{1,12}(\.[0-9]{1,18})?k?\s*", text)
            hint = f"a unit is missing: {text.strip()}/s?" if is_number else ""
            raise UnitError(f"expected a rate such as 1000/s, got {quote(text)}", hint)
        return cls(Decimal(match[1]) * (1000 if match[2] else 1) / _SECONDS[match[3]])

    def __str__(self) -> str:
        return f"{int(self) if self.is_integer() else float(self)!r}/s"


class ByteSize(int):
    """A number of bytes, written `128`, `1KiB` or `10kB`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(BYTE_SIZE_PATTERN, text)
        if match is None:
            raise UnitError(f"expected a size in bytes such as 128 or 1KiB, got {quote(text)}")
        if re.fullmatch(r"0[0-9]+", match[1]):
            whole(match[1])
        return cls(int(match[1]) * _BYTES[match[2] or ""])

    def __str__(self) -> str:
        unit = next((unit for unit in ("MiB", "KiB") if self and self % _BYTES[unit] == 0), "B")
        return f"{int(self) // _BYTES[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ephemeral ports, `first` and `last` included, written `32768-60999` (28,232 ports, K7)."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not LOWEST_PORT <= self.first <= HIGHEST_PORT or not LOWEST_PORT <= self.last <= HIGHEST_PORT:
            raise UnitError(f"ports lie within {LOWEST_PORT} and {HIGHEST_PORT}, got {quote(str(self))}")
        if self.first > self.last:
            raise UnitError(f"the range {quote(str(self))} is empty", f"write {self.last}-{self.first}")

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(PORT_RANGE_PATTERN, text)
        if match is None:
            raise UnitError(f"expected a port range such as 32768-60999, got {quote(text)}")
        return cls(int(match[1]), int(match[2]))

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
