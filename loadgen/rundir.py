"""The directory of a run: where its records are appended, and how they are read back.

runs/20261120T213005Z-http10/
  run.json            what was asked, predicted, and on what machine; `status` tells how it ended
  <variant>/          samples.jsonl, intervals.jsonl, events.jsonl, latency.hlog
  summary.json        made from the records, as are the figures/
"""

import contextlib
import errno
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from pydantic_core import from_json

from loadgen.latency import Latency, read_log, write_header
from loadgen.records import ORIGIN, SCHEMA_VERSION, Event, Interval, Record, Sample, to_json

RUN_FILE = "run.json"
SUMMARY_FILE = "summary.json"
_FILES: Mapping[type, str] = {
    Sample: "samples.jsonl",
    Interval: "intervals.jsonl",
    Event: "events.jsonl",
    Latency: "latency.hlog",
}


class RunError(Exception):
    """A run directory that cannot be read: says which file, and why."""


class Status(StrEnum):
    """How a run stands. One found `running` with nobody running it was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


WHOLE = frozenset({Status.FINISHED, Status.INTERRUPTED})
"""How a run stands that ended in order, of itself or by Ctrl-C."""


_STATUS = re.compile(r'(?<=\n  "status": )"\w*" *')
"""As `_to_json` writes it: the key of the document itself, and none that is nested."""
_STATUS_WIDTH = max(len(json.dumps(status)) for status in Status)


class VariantWriter:
    """Appends one variant's records to its files, each line flushed as it is written.

    Raises OSError, with the name of the file, for what cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._files = {kind: (directory / name).open("a") for kind, name in _FILES.items()}

    def append(self, record: Record | Latency) -> None:
        if isinstance(record, Event) and record.kind == ORIGIN:
            write_header(self._files[Latency], record.data["wall_s"])
        file = self._files[type(record)]
        line = record.line() if isinstance(record, Latency) else to_json(record)
        with _naming(file.name):
            file.write(line + "\n")
            file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            # Every line was flushed: what cannot be written now was told then.
            with contextlib.suppress(OSError):
                file.close()


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run on disk. Reading tolerates a last line that a killed run left unfinished."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def info(self) -> dict[str, Any]:
        """run.json. Raises RunError where it is missing, broken, or of another schema."""
        return self._document(RUN_FILE)

    def whole(self) -> bool:
        """Whether the run ended in order. Raises RunError, as `info` does."""
        return self.info().get("status") in WHOLE

    def summary(self) -> dict[str, Any]:
        """summary.json. Raises RunError where it is missing, broken, or of another schema."""
        return self._document(SUMMARY_FILE)

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write run.json. Its `status` takes as many bytes as the longest, for `write_status`."""
        text = _STATUS.sub(lambda found: found[0].ljust(_STATUS_WIDTH), _to_json(info), count=1)
        self._write(RUN_FILE, text)

    def write_status(self, status: Status) -> None:
        """Say in run.json how the run stands now.

        In place: that needs no room, so that a full disk, a quota or a limit on the size of files cannot
        refuse it. (A file system that copies what it overwrites has to have a block left.)
        """
        path = self.path / RUN_FILE
        with _naming(path), path.open("r+b", buffering=0) as file:
            if (found := _STATUS.search(file.read().decode())) is None:
                raise OSError(errno.EIO, "its status is gone")
            file.seek(found.start())  # as far in bytes as in characters: the text is ASCII
            file.write(json.dumps(status).ljust(_STATUS_WIDTH).encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        self._write(SUMMARY_FILE, _to_json(summary))

    def variants(self) -> list[str]:
        """The names of the variants that have records, in the order of the scenario."""
        return [name for name in self.info()["variants"] if (self.path / name).is_dir()]

    def writer(self, variant: str) -> VariantWriter:
        return VariantWriter(self.path / variant)

    def records(self, variant: str) -> Iterator[Record | Latency]:
        """One variant's records: events; samples and intervals in the order of time; then latencies."""
        directory = self.path / variant
        yield from _lines(directory / _FILES[Event], Event.from_json)
        yield from merge(
            _lines(directory / _FILES[Sample], Sample.from_json),
            _lines(directory / _FILES[Interval], Interval.from_json),
            key=_instant_ns,
        )
        path = directory / _FILES[Latency]
        for number, line in _numbered(path):
            try:
                yield from read_log([line])
            except ValueError as error:
                raise RunError(f"{path}:{number}: not a histogram ({error})") from None

    def _document(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            document: Any = json.loads(path.read_text())
        except FileNotFoundError:
            raise RunError(f"{path}: not found; is {self.path} a run directory?") from None
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({error})") from None
        if not isinstance(document, dict):
            raise RunError(f"{path}: not a JSON object")
        document = cast(dict[str, Any], document)
        if document.get("schema_version") != SCHEMA_VERSION:
            found = document.get("schema_version")
            raise RunError(f"{path}: schema_version {found!r}, but this churn reads {SCHEMA_VERSION}")
        return document

    def _write(self, name: str, text: str) -> None:
        """Replace a document whole: a reader never sees half of it. One that does not fit leaves nothing."""
        part = self.path / f".{name}.part"
        try:
            with _naming(part):
                part.write_text(text)
            part.replace(self.path / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def _to_json(document: Mapping[str, Any]) -> str:
    return json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=2) + "\n"


@contextlib.contextmanager
def _naming(path: object) -> Generator[None]:
    """Name the file in what goes wrong: of a full disk, Python does not tell whose write it was."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _instant_ns(record: Record) -> int:
    """When a record was complete."""
    return record.end_ns if isinstance(record, Interval) else record.t_ns


def _lines(path: Path, parse: Callable[[Mapping[str, Any]], Record]) -> Iterator[Record]:
    for number, line in _numbered(path):
        if not line.endswith("\n"):
            return
        try:
            yield parse(from_json(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"{path}:{number}: not a record ({error})") from None


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """A file's lines, counted from 1; of one that is missing, none."""
    if path.exists():
        # All that churn writes is ASCII: another byte makes its line a broken one, with a number.
        with path.open(encoding="ascii", errors="backslashreplace") as file:
            yield from enumerate(file, 1)
