"""Settings that contradict each other, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that contradict each other; `paths` are theirs, the first one is the likeliest mistake."""

    paths: tuple[str, ...]
    message: str
    hint: str
