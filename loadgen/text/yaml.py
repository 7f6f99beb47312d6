"""Reading YAML: nodes with their places in the file, without types.

A scalar stays the text of the file, and the field that takes it decides what it means. So
nothing here can turn `no` into False, `1.0` into a float or `12:30:00` into 45,000, as YAML 1.1 does.
The file language is YAML 1.2 without tags, merge keys and recursive aliases.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from loadgen.text.nodes import Entry, Mapping, Node, Scalar, Sequence, describe
from loadgen.text.problem import Mark, Problem, ScenarioError, did_you_mean, quote

MAX_BYTES = 1 << 16
"""A scenario is written by hand: a file of more than 64 KiB is something else. The parser is slow: so many
bytes take it a second at the worst, and 1 MiB of "!" took 20."""
MAX_NODES = 5_000
"""Nodes of a document once every alias is replaced by what it names: a few lines can name billions."""
MAX_DEPTH = 32
"""Nested collections; it bounds every recursion over nodes."""


def read_text(path: Path) -> str:
    """The text of a YAML file. Raises ScenarioError if it cannot be read or is not text."""
    source = str(path)
    try:
        if path.exists() and not path.is_file():
            raise _error(Mark(source), "is not a file", "name a scenario file, such as scenarios/http10.yaml")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "`churn list` names the bundled scenarios"
        raise _error(Mark(source), "there is no such file", hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else None
        raise _error(Mark(source), f"cannot be read: {reason or error}", "name a file you may read") from None
    if len(data) > MAX_BYTES:
        message = f"has more than {MAX_BYTES:,} bytes"
        raise _error(Mark(source, 1, 1), message, "a scenario is a short text file")
    if data.startswith(b"\xef\xbb\xbf"):
        raise _error(Mark(source, 1, 1), "begins with a byte order mark", "save it as UTF-8 without one")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        mark = _mark_of_index(source, data[: error.start].decode(), error.start)
        byte = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise _error(mark, byte, "a scenario is a UTF-8 text file") from None


def compose(text: str, source: str, *, positions: bool = True) -> Node:
    """The one document in `text`. Without `positions`, every mark is the source as a whole.

    Raises ScenarioError: with the first mistake in the syntax, or with all keys and values that are
    well-formed YAML but not part of the language.
    """
    if len(text) > MAX_BYTES:  # an option's value, for files are bounded when they are read
        raise _error(Mark(source), f"has more than {MAX_BYTES:,} characters", "a value is a short text")
    return _Composer(text, source, positions).document()


def _error(mark: Mark, message: str, hint: str) -> ScenarioError:
    return ScenarioError([Problem(mark, "", message, hint)])


class _Composer:
    """Builds the nodes of one document from the parser's events, within the bounds."""

    def __init__(self, text: str, source: str, positions: bool) -> None:
        self._text = text
        self._source = source
        self._positions = positions
        self._events = self._parse()
        self._anchors: dict[str, tuple[Node, int] | None] = {}  # None while the node is being read
        self._nodes = 0
        self._problems: list[Problem] = []

    def document(self) -> Node:
        next(self._events)  # the stream begins
        if type(next(self._events)).__name__ != "DocumentStartEvent":
            raise _error(self._mark(0, 0), "the file is empty", "`churn list` names scenarios to begin from")
        node = self._node(next(self._events), depth=1)
        next(self._events)  # the document ends
        extra = next(self._events)
        if type(extra).__name__ == "DocumentStartEvent":
            mark = self._mark(extra.start_mark.line, extra.start_mark.column)
            raise _error(mark, "a second document begins", "write one scenario a file, without a second ---")
        if self._problems:
            raise ScenarioError(self._problems)
        return node

    def _parse(self) -> Iterator[Any]:
        """The parser's events, its errors reworded."""
        # Imported here: it takes half as long as all of pydantic, and workers read no YAML.
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        last: Any = None
        try:
            events = cast(Iterator[Any], YAML(typ="safe", pure=True).parse(self._text))  # pyright: ignore[reportUnknownMemberType]
            for event in events:
                yield event
                last = event.end_mark
        except ReaderError as error:
            position = cast(int, error.position)  # pyright: ignore[reportUnknownMemberType]
            message = f"the character U+{ord(self._text[position]):04X} may not stand in a YAML file"
            mark = _mark_of_index(self._source, self._text, position) if self._positions else self._mark(0, 0)
            raise _error(mark, message, 'remove it, or write it as an escape: "\\x07"') from None
        except MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except (YAMLError, ValueError, OverflowError) as error:
            # The scanner hands numbers such as "\UFFFFFFFF" to chr(), whose errors know no place.
            mark = self._mark(last.line, last.column) if last else self._mark(0, 0)
            hint = "look for an escape in the next quotes"
            raise _error(mark, f"is not valid YAML: {error}", hint) from None

    def _syntax_error(self, error: Any) -> ScenarioError:
        problem = str(error.problem)
        at = error.problem_mark or error.context_mark
        message, hint = f"is not valid YAML: {problem}", "check indentation, colons and quotes around here"
        for fragment, reworded, remedy, at_context in _REWORDED:
            if fragment in problem:
                message, hint = reworded, remedy
                if at_context and error.context_mark is not None:
                    at = error.context_mark
                break
        return _error(self._mark(at.line, at.column) if at is not None else self._mark(0, 0), message, hint)

    def _mark(self, line: int, column: int) -> Mark:
        """The mark of a place that counts from 0, as the parser's do."""
        return Mark(self._source, line + 1, column + 1) if self._positions else Mark(self._source)

    def _refuse(self, mark: Mark, message: str, hint: str) -> None:
        self._problems.append(Problem(mark, "", message, hint))

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            hint = "aliases count as what they name; write a matrix for many variants"
            raise _error(mark, f"the file grows beyond {MAX_NODES:,} values here", hint)

    def _node(self, event: Any, depth: int) -> Node:
        mark = self._mark(event.start_mark.line, event.start_mark.column)
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event.anchor, mark)
        if depth > MAX_DEPTH:
            raise _error(mark, f"is nested more than {MAX_DEPTH} deep", "a scenario needs five levels")
        if event.ctag is not None:
            message = f"has the tag {quote(str(event.ctag))}"
            self._refuse(mark, message, "remove it: each key decides its own type")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        before = self._nodes
        self._count(1, mark)
        match kind:
            case "MappingStartEvent":
                node: Node = self._mapping(mark, depth)
            case "SequenceStartEvent":
                node = self._sequence(mark, depth)
            case _:
                node = self._scalar(event, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._nodes - before)
        return node

    def _alias(self, name: str, mark: Mark) -> Node:
        if name not in self._anchors:
            hint = did_you_mean(name, self._anchors) or f"name a value first: &{name}"
            self._refuse(mark, f"*{name} names nothing above it", hint)
            return Scalar(mark, "")
        anchored = self._anchors[name]
        if anchored is None:
            self._refuse(mark, f"*{name} stands inside the value it names", "a value cannot contain itself")
            return Scalar(mark, "")
        node, nodes = anchored
        self._count(nodes, mark)
        return node

    def _scalar(self, event: Any, mark: Mark) -> Scalar:
        start, end = event.start_mark, event.end_mark
        text: str = event.value
        if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
            self._refuse(mark, "holds half of a surrogate pair", "write the character itself")
            text = ""
        plain = event.style is None
        side_by_side = self._positions and start.line == end.line and event.style not in ("|", ">")
        quotes = 0 if plain else 1
        if side_by_side and end.column - start.column == len(text) + 2 * quotes:
            return Scalar(mark, text, plain, mark.column + quotes)
        return Scalar(mark, text, plain)

    def _sequence(self, mark: Mark, depth: int) -> Sequence:
        items: list[Node] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            items.append(self._node(event, depth + 1))
        return Sequence(mark, tuple(items))

    def _mapping(self, mark: Mark, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, Scalar):
                self._refuse(key.mark, f"a key must be a word, got {describe(key)}", "write `key: value`")
            elif key.empty:
                self._refuse(key.mark, "a key is missing before the colon", "write `key: value`")
            elif key.plain and key.text == "<<":
                hint = "variants merge over the top level on their own; *alias alone names a whole value"
                self._refuse(key.mark, "merge keys (<<) are not part of the language", hint)
            elif key.text in entries:
                first = entries[key.text].key.mark
                hint = f"first written at line {first.line}" if first.line else "write it once"
                self._refuse(key.mark, f"the key {quote(key.text)} stands here twice", hint)
            else:
                entries[key.text] = Entry(key, value)
        return Mapping(mark, entries)


def _mark_of_index(source: str, text: str, index: int) -> Mark:
    before = text[:index]
    return Mark(source, before.count("\n") + 1, len(before) - before.rfind("\n"))


# The parser's problems that people meet most: a fragment of its words, ours, the remedy, and whether
# the place to look at is the start of the construct rather than the end of parsing.
_REWORDED: tuple[tuple[str, str, str, bool], ...] = (
    ("'\\t' that cannot start", "a tab cannot indent", "use spaces", False),
    ("that cannot start any token", "a value cannot begin like this", "put it in quotes", False),
    ("mapping values are not allowed", "a colon cannot stand here", "quote a text that holds ': '", False),
    ("sequence entries are not allowed", "a list cannot begin here", "begin it on a line of its own", False),
    ("could not find expected ':'", "a key without a colon", "write `key: value`", True),
    ("unexpected end of stream", "a quote is opened here and never closed", "close it", True),
    ("got '<stream end>'", "a bracket is opened here and never closed", "close it", True),
    ("expected ',' or", "a comma or a closing bracket is missing", "write {a: 1, b: 2} or [1, 2]", False),
    ("expected <block end>", "the indentation fits nothing above", "align it with its neighbours", False),
    ("unknown escape character", "an unknown escape", "double the backslash, or use single quotes", False),
    ("version 1.* is required", "this version of YAML is unknown", "remove the %YAML line", False),
)
