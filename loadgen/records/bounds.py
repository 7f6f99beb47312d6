"""The numbers that a record may hold."""

from typing import Annotated

from msgspec import Meta

EXACT = 1 << 53
"""The largest count, and time in nanoseconds, that a record may have: every reader of JSON reads it exactly.
As a time it is a hundred days."""

Count = Annotated[int, Meta(ge=0, le=EXACT)]
Time = Annotated[int, Meta(ge=-EXACT, le=EXACT)]
