"""Files that may be damaged, read line by line: what can be read, and what cannot with its place.

A run directory may have been through anything: a full disk, a copy cut short, a bad sector, another program.
Nothing in it may hang its reader, fill its memory or end it by an exception.
"""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

LONGEST_LINE = 1 << 20
"""Bytes. The longest that churn writes, a histogram of which every bucket has counts, is a third of it."""
LARGEST_DOCUMENT = 64 << 20
"""Bytes of run.json or summary.json: of the most variants that a scenario may have it is a tenth."""
DEEPEST = 16
"""How deep a document may be nested: what churn writes is nested half as deep."""
NAMED = 3
"""The faults of a file that are named one by one; of the others it is their number that matters."""
MOST_IN_A_ROW = 1000
"""Lines in a row that cannot be read, after which the rest of a file is not tried: it is another file."""
MOST_SKIPPED = 64 << 20
"""Bytes of one line, likewise."""

_LONGEST_REASON = 160
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

T = TypeVar("T")
Numbered = Iterator[tuple[int, T | ValueError]]
"""Lines, counted from 1, each as what it holds or as what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What cannot be read: a line of a file. `line` is 0 for the whole file, or a number of its lines."""

    path: Path
    line: int
    why: str

    @property
    def place(self) -> str:
        """The file by its name alone, and the line."""
        return f"{self.path.name}:{self.line}" if self.line else self.path.name

    def __str__(self) -> str:
        return f"{self.path.parent / self.place}: {self.why}"


def open_file(path: Path) -> BinaryIO:
    """Open a regular file, and nothing that would block or never end. Raises OSError."""
    mode = path.stat().st_mode
    for of_kind, kind in _KINDS:
        if of_kind(mode):
            raise OSError(0, f"is {kind} and no file", str(path))
    return path.open("rb")


def read_document(path: Path) -> bytes:
    """A small file whole. Raises OSError."""
    with open_file(path) as file:
        text = file.read(LARGEST_DOCUMENT + 1)
    if len(text) > LARGEST_DOCUMENT:
        raise OSError(0, f"is longer than {LARGEST_DOCUMENT >> 20} MiB", str(path))
    return text


def check_depth(value: object, deepest: int = DEEPEST) -> None:
    """Raise ValueError if a document is nested deeper than what churn writes."""
    match value:
        case dict():
            inner = list(cast(dict[str, object], value).values())
        case list():
            inner = cast(list[object], value)
        case _:
            return
    if inner and not deepest:
        raise ValueError("is nested too deeply")
    for one in inner:
        check_depth(one, deepest - 1)


def read_records(
    path: Path, parse: Callable[[bytes], T | None], follows: Callable[[T, T], bool] | None, *, whole: bool
) -> Iterator[T | Damage]:
    """What the lines of a file hold, and the damage between them.

    parse     reads a line, None where it holds no record. Raises ValueError
    follows   whether a record may come next after another; None where they are in no order
    whole     whether the last line has to be, too: that of a run that was killed is not
    """
    try:
        with open_file(path) as file:
            found = _parsed(file, parse, whole)
            yield from _limited(path, found if follows is None else _in_order(found, follows))
    except OSError as error:
        yield Damage(path, 0, reason(error))


def reason(error: Exception) -> str:
    """What an error says, in a line that is not too long."""
    if isinstance(error, FileNotFoundError):
        return "is missing"
    said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    # msgspec quotes keys as they stand in the file, and names places from `$` on.
    printable = "".join(
        one if one.isprintable() else "?" for one in said.replace("`", "").replace(" - at $.", " at ")
    )
    return printable if len(printable) <= _LONGEST_REASON else f"{printable[:_LONGEST_REASON]}..."


class _GivenUpError(ValueError):
    """The rest of a file is not tried."""


def _parsed(file: BinaryIO, parse: Callable[[bytes], T | None], whole: bool) -> Numbered[T]:
    number = in_a_row = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        try:
            record = _record(line, parse, whole)
        except ValueError as error:
            yield number, error
            in_a_row += 1
            if in_a_row == MOST_IN_A_ROW or not (line.endswith(b"\n") or _skip(file)):
                yield (
                    number,
                    _GivenUpError(f"the rest of the file was not tried, from line {number + 1:,} on"),
                )
                return
        else:
            in_a_row = 0
            if record is not None:
                yield number, record


def _record(line: bytes, parse: Callable[[bytes], T | None], whole: bool) -> T | None:
    if line.endswith(b"\n"):
        try:
            return parse(line)
        except RecursionError:
            raise ValueError("is nested too deeply") from None
    if len(line) == LONGEST_LINE:
        raise ValueError(f"is longer than {LONGEST_LINE >> 20} MiB")
    if whole:
        raise ValueError("the file ends inside of this line")
    # SIGKILL, or a disk that was full, may leave the last line unfinished.
    return None


def _skip(file: BinaryIO) -> bool:
    """Go on to the next line, or to the end; whether that was not too far."""
    chunks = (file.readline(LONGEST_LINE) for _ in range(MOST_SKIPPED // LONGEST_LINE))
    return any(chunk.endswith(b"\n") or not chunk for chunk in chunks)


def _in_order(found: Numbered[T], follows: Callable[[T, T], bool]) -> Numbered[T]:
    """Leave out the records that are out of order.

    Of two that cannot follow each other it is the first where the second could follow the one before: so one
    record whose time is far too late does not cost all that come after it.
    """
    wrong = ValueError("is out of order: its time is not between those before it and after it")
    last: T | None = None
    held: tuple[int, T] | None = None
    for number, record in found:
        if isinstance(record, ValueError):
            yield number, record
        elif held is None:
            held = number, record
        elif follows(held[1], record):
            yield held
            last, held = held[1], (number, record)
        elif last is None or follows(last, record):
            yield held[0], wrong
            held = number, record
        else:
            yield number, wrong
    if held is not None:
        yield held


def _limited(path: Path, found: Numbered[T]) -> Iterator[T | Damage]:
    """The first faults one by one, and the number of the others."""
    bad = 0
    for number, record in found:
        if isinstance(record, _GivenUpError):
            yield Damage(path, 0, reason(record))
        elif not isinstance(record, ValueError):
            yield record
        else:
            bad += 1
            if bad <= NAMED:
                yield Damage(path, number, reason(record))
    if bad > NAMED:
        yield Damage(path, 0, f"{bad - NAMED:,} more lines cannot be read")
