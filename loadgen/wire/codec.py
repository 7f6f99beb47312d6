"""The one codec: frozen values as JSON, and JSON back into values whose types are checked.

Records, plans and the messages between processes all go through here. msgspec does the work; a value
that is not what its annotations say is refused, and so is nesting without end.
"""

import json
from functools import cache
from types import UnionType
from typing import Any, TypeVar, overload

import msgspec

from loadgen.tcp import Failure

T = TypeVar("T")


class CodecError(ValueError):
    """JSON that is broken, or is not of the type asked for: the message says where in it."""


def _failure(kind: type, text: str) -> Failure:
    """Read a `Failure`: it is text in JSON, and the one type that msgspec does not know."""
    assert kind is Failure
    return Failure.parse(text)


def _number(value: object) -> int | float:
    """A quantity of a scenario (`text.units`) as a number: msgspec knows no subclasses of int and float."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_number)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Made once for each type: to make one takes longer than to decode a line."""
    return msgspec.json.Decoder(kind, dec_hook=_failure)


def encode(value: Any) -> bytes:
    """The value as one line of JSON, without its newline."""
    return _encoder.encode(value)


@overload
def decode(data: bytes | str) -> object: ...
@overload
def decode(data: bytes | str, kind: type[T]) -> T: ...
@overload
def decode(data: bytes | str, kind: UnionType) -> Any: ...
def decode(data: bytes | str, kind: Any = Any) -> Any:
    """The value of this type, or of one type of the union, or any, that the JSON holds. Raises CodecError."""
    try:
        return _decoder(kind).decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise CodecError(str(error)) from None


def convert(data: Any, kind: type[T]) -> T:
    """The value of this type that `plain` data holds: part of a document. Raises CodecError."""
    try:
        return msgspec.convert(data, kind, dec_hook=_failure)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CodecError(str(error)) from None


def plain(value: Any) -> Any:
    """The value as what JSON knows: objects by their fields, choices and keys by their text."""
    return msgspec.to_builtins(value, enc_hook=_number)


def indented(value: Any) -> str:
    """The value as a JSON file that people read, too: indented, and in ASCII."""
    return json.dumps(plain(value), indent=2)
