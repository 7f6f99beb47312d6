"""The one codec: frozen values as JSON, and JSON back into values whose types are checked.

Records, plans and what processes say to each other all go through here. msgspec does the work; a value
that is not what its annotations say is refused, and so is nesting without end.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class CodecError(ValueError):
    """JSON that is broken, or is not of the type asked for: the message says where in it."""


_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """The value as one line of JSON, without its newline."""
    return _encoder.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """The value of this type that the JSON holds. Raises CodecError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CodecError(str(error)) from None
