"""The directory of a run: where its records are appended, and how they are read back.

runs/20261120T213005Z-http10/
  run.json            what was asked, predicted, and on what machine; `status` tells how it ended
  <variant>/          samples.jsonl, intervals.jsonl, events.jsonl, latency.hlog
  summary.json        made from the records, as are the figures/
"""

import contextlib
import errno
import json
import os
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any, NotRequired, Self, TypedDict, cast

from loadgen.records.damage import Damage, check_depth, read_document, read_records, reason
from loadgen.records.events import AnyEvent, Event, LabOpened, Origin
from loadgen.records.latency import Latency, Tag, read_line, write_header
from loadgen.records.types import SCHEMA_VERSION, Interval, Record, Sample
from loadgen.records.viewpoints import APART, Scope
from loadgen.wire.codec import CodecError, convert, decode, encode

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


class Environment(TypedDict, total=False):
    """Of the machine and the programs, what is read again."""

    churn: str
    kernel: str


class Asked(TypedDict):
    """What run.json has of a variant."""

    prediction: NotRequired[dict[str, Any]]


class Info(TypedDict, total=False):
    """Of run.json, what is read again; `scenario` and the predictions are judged by who restores them."""

    schema_version: int
    status: Status
    quick: bool
    scenario: dict[str, Any]
    environment: Environment
    variants: dict[str, Asked]


_JSON = dict[str, Any] | list[Any] | str | float | bool | None

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
        self._files = {kind: (directory / name).open("a", encoding="utf-8") for kind, name in _FILES.items()}

    def append(self, record: Record | Latency) -> None:
        if isinstance(record, Origin):
            write_header(self._files[Latency], record.wall_s)
        file = self._files[Event if isinstance(record, Event) else type(record)]
        line = record.line() if isinstance(record, Latency) else encode(record).decode()
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
    """One run on disk. What a killed run left unfinished is passed over, other damage is named."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def info(self) -> dict[str, Any]:
        """run.json. Raises RunError where it is missing, broken, or of another schema."""
        document = self._document(RUN_FILE)
        try:
            convert(document, Info)
        except CodecError as error:
            raise RunError(f"{self.path / RUN_FILE}: {reason(error)}") from None
        return document

    def whole(self) -> bool:
        """Whether the run ended in order. Raises RunError, as `info` does."""
        return self.info().get("status") in WHOLE

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

    def lost(self, variant: str) -> list[Damage]:
        """The damage that a variant without a directory is: none where it never began."""
        path = self.path / variant
        if os.path.lexists(path):
            return [Damage(path, 0, "is no directory")]
        finished = self.info().get("status") == Status.FINISHED
        return [Damage(path, 0, "is missing")] if finished else []

    def latencies(self, variant: str) -> Path:
        return self.path / variant / _FILES[Latency]

    def writer(self, variant: str) -> VariantWriter:
        return VariantWriter(self.path / variant)

    def records(self, variant: str) -> Iterator[Record | Latency | Damage]:
        """One variant's records: events; samples and intervals in the order of time; then latencies.

        What cannot be read of them comes as `Damage`, at most a few for each file.
        """
        directory, whole, scope = self.path / variant, self._finished(), APART
        if not directory.exists():
            return
        for event in read_records(
            directory / _FILES[Event], lambda line: decode(line, AnyEvent), None, whole=whole
        ):
            scope = event.scope if isinstance(event, LabOpened) else scope
            yield event
        yield from merge(
            read_records(
                directory / _FILES[Sample],
                lambda line: _read_sample(line, scope),
                lambda one, other: one.t_ns < other.t_ns,
                whole=whole,
            ),
            read_records(
                directory / _FILES[Interval],
                _read_interval,
                lambda one, other: one.end_ns <= other.start_ns,
                whole=whole,
            ),
            key=_instant_ns,
        )
        yield from read_records(
            directory / _FILES[Latency],
            read_line,
            lambda one, other: _place(one) < _place(other),
            whole=whole,
        )

    def _finished(self) -> bool:
        """Whether all that was begun was written, so that no line may lack its end."""
        try:
            return self.whole()
        except RunError:
            return False

    def _document(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            document = decode(read_document(path), _JSON)
            check_depth(document)
        except FileNotFoundError:
            raise RunError(f"{path}: not found; is {self.path} a run directory?") from None
        except OSError as error:
            raise RunError(f"{path}: {reason(error)}") from None
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({reason(error)})") from None
        if not isinstance(document, dict):
            raise RunError(f"{path}: not a JSON object")
        document = cast(dict[str, Any], document)
        if document.get("schema_version") != SCHEMA_VERSION:
            found = reason(ValueError(repr(document.get("schema_version"))))
            raise RunError(
                f"{path}: the run has schema_version {found}, but this churn reads {SCHEMA_VERSION};"
                " read it with the churn that recorded it"
            )
        return document

    def _write(self, name: str, text: str) -> None:
        """Replace a document whole: a reader never sees half of it. One that does not fit leaves nothing."""
        part = self.path / f".{name}.part"
        try:
            with _naming(part):
                # What stands there may be a FIFO, which would block, or a link to somewhere else.
                part.unlink(missing_ok=True)
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


def _read_sample(line: bytes, scope: Scope) -> Sample:
    (sample := decode(line, Sample)).check(scope)
    return sample


def _read_interval(line: bytes) -> Interval:
    (interval := decode(line, Interval)).check()
    return interval


def _instant_ns(record: Record | Damage) -> int:
    """When a record was complete; damage comes before whatever follows it in its file."""
    match record:
        case Damage():
            return -(1 << 63)
        case Interval():
            return record.end_ns
        case _:
            return record.t_ns


def _place(latency: Latency) -> tuple[int, int]:
    """Where a histogram stands in its log: by its time, and at one time by its tag."""
    return latency.start_ns, tuple(Tag).index(latency.tag)
