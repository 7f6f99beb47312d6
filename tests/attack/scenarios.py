"""Mutated scenarios through `churn check`: `python -m tests.attack.scenarios [COUNT [FIRST]]`.

Every scenario is made of a bundled one, by its number alone: one to four mutations of its bytes, or of its
tree of keys and values. Whatever it has become, `check` either takes it or names each problem with file, line
and column, and takes at most `MOST` times the CPU time of the dearest bundled scenario.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

from click.testing import CliRunner
from ruamel.yaml import YAML

from loadgen.cli import main as churn
from loadgen.cli.exits import Exit
from loadgen.cli.sources import bundled

COUNT = 2000
MOST = 50
"""So many times the dearest bundled scenario's CPU time. Bounds on bytes and nodes keep it near 1."""
FINE = frozenset({Exit.FINE, Exit.BAD_SCENARIO})

JUNK: tuple[Any, ...] = (
    *("", None, True, 0, -1, 10**30, 1e308, "nan", "-.inf", "1e999/s", "100%", "{url}", "${x}", "all"),
    *(
        "\n",
        "a\nb",
        "\x1b[31m",
        "\u202e",
        "\U0001f525",
        "../../etc/passwd",
        "a" * 70_000,
        "(" * 500,
        "1+" * 500,
    ),
    *([], {}, [[]], [{}], {"": ""}, ["x"] * 300, {f"k{n}": n for n in range(300)}),
)
PIECES = (
    *(
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"\t",
        b"\r",
        b"\n",
        b"  ",
        b"- ",
        b": ",
        b"? ",
        b"| ",
        b"> ",
    ),
    *(
        b"&a ",
        b"*a",
        b"!t ",
        b"<<: ",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"#",
        b"'",
        b'"',
        b"\\",
        b"{",
        b"}",
    ),
    *(b"[", b"]", b",", b"@", b"`", b"\x1b[2J", b"\xe2\x80\xa8", b"!" * 2_000, b"[" * 200, b"a: " * 200),
)

Tree = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A scenario that was mutated, by its number, and how."""

    number: int
    how: str
    data: bytes


def mutant(number: int) -> Mutant:
    """The same for the same number, as long as the gallery and this file are."""
    random = Random(number)
    name, path = random.choice(sorted(bundled().items()))
    times = random.randint(1, 4)
    if random.random() < 0.5:
        data = path.read_bytes()
        for _ in range(times):
            data = random.choice(BYTES)(random, data)
        return Mutant(number, f"{name}, bytes", data)
    tree: Tree = YAML(typ="safe", pure=True).load(path)
    for _ in range(times):
        random.choice(TREE)(random, *random.choice(list(places(tree)) or [(tree, "title")]))
    written = StringIO()
    YAML(typ="safe", pure=True).dump(tree, written)
    return Mutant(number, f"{name}, tree", written.getvalue().encode(errors="surrogatepass"))


def flip(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) or 1)
    return data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def insert(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(PIECES) + data[at:]


def remove(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 40) :]


def cut(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def repeat(random: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = random.randrange(len(lines))
    return b"".join([*lines[:at], lines[at] * random.choice([2, 300]), *lines[at + 1 :]])


def swap(random: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every collection of a tree with each of its keys, or places in a list."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from places(value)


def replace(random: Random, parent: Any, key: Any) -> None:
    parent[key] = random.choice(JUNK)


def delete(_: Random, parent: Any, key: Any) -> None:
    del parent[key]


def rename(random: Random, parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        junk = [item for item in JUNK if not isinstance(item, list | dict)]
        parent[random.choice([*junk, f"{key}s", str(key)[:-1]])] = parent.pop(key)


def wrap(random: Random, parent: Any, key: Any) -> None:
    for _ in range(random.choice([1, 1, 2, 50])):
        parent[key] = [parent[key]] if random.random() < 0.5 else {"a": parent[key]}


def graft(random: Random, parent: Any, key: Any) -> None:
    other: Tree = YAML(typ="safe", pure=True).load(random.choice(sorted(bundled().values())))
    there, name = random.choice(list(places(other)))
    parent[key] = there[name]


def alter(random: Random, parent: Any, key: Any) -> None:
    text = str(parent[key])
    at = random.randint(0, len(text))
    parent[key] = text[:at] + random.choice(["-", "0", "%", "/s", " ", "\0", "é", "{", "=="]) + text[at:]


BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (flip, insert, remove, cut, repeat, swap)
TREE: tuple[Callable[[Random, Any, Any], None], ...] = (replace, delete, rename, wrap, graft, alter)


def read(path: Path) -> tuple[str | None, float]:
    """What is wrong with how `check` takes a file, None where nothing is; and the CPU seconds it took."""
    begun = time.process_time()
    result = CliRunner().invoke(churn, ["check", str(path)])
    took_s = time.process_time() - begun
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"a traceback: {result.exception!r}", took_s
    if result.exit_code not in FINE:
        return f"exit code {result.exit_code}: {result.output}", took_s
    for line in result.output.splitlines() if result.exit_code else ():
        place = line.removeprefix(f"{path}:").split(":")
        if not line.startswith(f"{path}:") or not (place[0].isdecimal() and place[1].isdecimal()):
            return f"a problem without its place: {line!r}", took_s
    return None, took_s


def attack(numbers: range, folder: Path) -> list[str]:
    """What is wrong with how these mutants are taken, a line each."""
    whole = [read(path) for path in bundled().values()]
    found = [f"a bundled scenario: {wrong}" for wrong, _ in whole if wrong]
    most_s = MOST * max(took_s for _, took_s in whole)
    path = folder / "mutant.yaml"
    for made in map(mutant, numbers):
        path.write_bytes(made.data)
        wrong, took_s = read(path)
        if wrong is None and took_s > most_s:
            wrong = f"{took_s:.1f} s of CPU, more than {most_s:.1f}"
        if wrong is not None:
            found.append(f"{made.number} ({made.how}): {wrong}")
    return found


def main(count: int = COUNT, first: int = 0) -> None:
    with tempfile.TemporaryDirectory(prefix="churn-attack-") as folder:
        found = attack(range(first, first + count), Path(folder))
    print(*found, f"{count} scenarios, {len(found)} wrong", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
