"""The placeholders of commands, such as `{port}`, and how they are filled in. Pure.

Only these names between braces are replaced: the braces of nginx, of JSON or of a program's own code
stay as they are. So does a name behind `%` or `$`, which is curl's `%{http_code}` or a shell's `${HOME}`.
"""

import re
from collections.abc import Iterator, Mapping

from loadgen.text.problem import did_you_mean

NAMES = {
    "url": "the server's address as http://host:port/",
    "host": "the server's address",
    "port": "the server's port",
    "server": "behind a proxy: the server's address, where {host} is the proxy's",
    "dir": "the command's own directory in the run, where its files are and where it is started",
    "duration_s": "load.duration in whole seconds, rounded up",
    "connections": "load.closed_loop.connections",
    "python": "the Python that runs churn, which has aiohttp",
}
"""The placeholders, and what replaces each."""

_NAME = re.compile(r"(?<![%$]){([a-z_]+)}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every placeholder replaced by its value; other braces are left alone."""
    return _NAME.sub(lambda found: values.get(found[1], found[0]), text)


def unknown(text: str) -> Iterator[tuple[str, str]]:
    """Every name in braces that is no placeholder, with a hint."""
    for name in _NAME.findall(text):
        if name not in NAMES:
            known = ", ".join(f"{{{known}}}" for known in NAMES)
            braced = did_you_mean(f"{{{name}}}", (f"{{{known}}}" for known in NAMES))
            yield name, braced or f"there are {known}; a space beside a brace keeps it as it is"
