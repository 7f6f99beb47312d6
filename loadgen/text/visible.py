"""Text from outside, made safe to show: titles, keys, file names, the output of programs."""

import re

_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal interprets instead of showing: C0 and C1 controls (ECMA-48), the separators of
lines and paragraphs, overrides of the text direction; and halves of surrogate pairs."""
LINE_BREAKS = "\n\t"


def visible(text: str, *, keep: str = "") -> str:
    """The text with every control character written as an escape, as `\\x1b`, but for those to `keep`."""
    return _ACTING.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
