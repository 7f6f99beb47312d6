"""The nodes of a YAML document: scalars, lists and mappings, each with its place in the file."""

from collections.abc import Iterable
from dataclasses import dataclass

from loadgen.text.problem import Mark, quote


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value, as text. `plain` is False if it was quoted or written as a block."""

    mark: Mark
    text: str
    plain: bool = True
    text_column: int = 0
    """Column of the text's first character if its characters are contiguous in the file, else 0."""

    @property
    def empty(self) -> bool:
        """Whether nothing was written at all (`key:`); the empty text is written `""`."""
        return self.plain and not self.text

    def mark_of(self, offset: int) -> Mark:
        """The place of the character at `offset`, or of the whole value if folding or escapes moved it."""
        if not self.text_column:
            return self.mark
        return Mark(self.mark.source, self.mark.line, self.text_column + offset)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of values."""

    mark: Mark
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value`, each with its own place."""

    key: Scalar
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Values by key, in the order they were written. Never changed: several nodes may share it."""

    mark: Mark
    entries: dict[str, Entry]

    def get(self, key: str) -> "Node | None":
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | Sequence | Mapping


def find(root: Node, path: Iterable[str]) -> Node | None:
    """The value at a path of keys, places in a list among them; None if nothing was written there."""
    node: Node | None = root
    for key in path:
        match node:
            case Mapping():
                node = node.get(key)
            case Sequence() if key.isdecimal() and int(key) < len(node.items):
                node = node.items[int(key)]
            case _:
                return None
    return node


def describe(node: Node) -> str:
    """A value as messages name it."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar():
            return "nothing" if node.empty else quote(node.text)
