"""What is wrong with a text that a person wrote: the place, the problem and the remedy.

The readers of scenarios raise `ScenarioError` with every problem they found, so that a file can be
corrected at once. Lines and columns count from 1, columns in characters.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from loadgen.text.visible import visible

_QUOTED_LENGTH = 60
"""Characters of a person's text that a message repeats: enough to know it again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: a line and column of a source. Line 0 is the source as a whole, as an option's value is."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    @classmethod
    def parse(cls, text: str) -> "Mark":
        """Read what `str` wrote back; text that ends in no line and column is a source."""
        source, *numbers = text.rsplit(":", 2)
        if len(numbers) == 2 and all(number.isascii() and number.isdigit() for number in numbers):
            return cls(source, int(numbers[0]), int(numbers[1]))
        return cls(text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `message` says what, `hint` what to do (empty if the message says it).

    `key_path` names the key as a variant sees it (`lab.client.ports`), empty for the file as a whole.
    """

    mark: Mark
    key_path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        path = f"{self.key_path}: " if self.key_path else ""
        hint = f" ({self.hint})" if self.hint else ""
        # One line: a key, or the name of a file, may hold a line break.
        return visible(f"{self.mark}: {path}{self.message}{hint}")


class ScenarioError(Exception):
    """A scenario that cannot be run, with every problem found: those of the file first, in order of place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(
            sorted(
                dict.fromkeys(problems),
                key=lambda problem: (problem.mark.line == 0, problem.mark.line, problem.mark.column),
            )
        )
        super().__init__("\n".join(map(str, self.problems)))


def quote(text: str) -> str:
    """A person's text as messages repeat it: quoted, on one line, cut if it is long."""
    if len(text) > _QUOTED_LENGTH:
        text = f"{text[:_QUOTED_LENGTH]}..."
    return json.dumps(text, ensure_ascii=False)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint that names the known word most like `word`; empty if none is similar."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word[:_QUOTED_LENGTH].casefold(), by_folded, n=1, cutoff=0.6)
    return f"did you mean {quote(by_folded[close[0]])}?" if close else ""
