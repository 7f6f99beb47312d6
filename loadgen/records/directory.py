"""The directory of a run: where its records are appended, and how they are read back.

runs/20261120T213005Z-http10/
  run.json            what was asked, predicted, and on what machine; `status` says how it ended
  <variant>/          samples.jsonl, intervals.jsonl, events.jsonl, latency.hlog; capture.pcapng
  summary.json        made from the records, as are the figures/
"""

import contextlib
import errno
import json
import os
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from loadgen.records.damage import Damage, check_depth, read_document, read_records, reason
from loadgen.records.events import AnyEvent, Event, LabOpened, Origin
from loadgen.records.info import WHOLE, Info, Status
from loadgen.records.latency import Latency, Tag, read_line, write_header
from loadgen.records.types import SCHEMA_VERSION, Interval, Record, Sample
from loadgen.records.viewpoints import APART, Scope
from loadgen.wire.codec import CodecError, convert, decode, encode, indented

RUN_FILE = "run.json"
SUMMARY_FILE = "summary.json"
CAPTURE_FILE = "capture.pcapng"
_FILES: Mapping[type, str] = {
    Sample: "samples.jsonl",
    Interval: "intervals.jsonl",
    Event: "events.jsonl",
    Latency: "latency.hlog",
}


class RunError(Exception):
    """A run directory that cannot be read: says which file, and why."""


class _Versioned(Struct):
    """What a document has to have before it is read as anything else."""

    schema_version: Any = None


_STATUS = re.compile(r'(?<=\n  "status": )"\w*" *')
"""As `indented` writes it: the key of the document itself, and none that is nested."""
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
            # Every line was flushed: what cannot be written now was reported then.
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

    def info(self) -> Info:
        """run.json. Raises RunError if it is missing, broken, or of another schema."""
        path = self.path / RUN_FILE
        try:
            found = decode(read_document(path))
            check_depth(found)
        except FileNotFoundError:
            raise RunError(f"{path}: not found; is {self.path} a run directory?") from None
        except OSError as error:
            raise RunError(f"{path}: {reason(error)}") from None
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({reason(error)})") from None
        try:
            version = convert(found, _Versioned).schema_version
        except CodecError:
            raise RunError(f"{path}: not a JSON object") from None
        if version != SCHEMA_VERSION:
            raise RunError(
                f"{path}: the run has schema_version {reason(ValueError(repr(version)))},"
                f" but this churn reads {SCHEMA_VERSION}; read it with the churn that recorded it"
            )
        try:
            return convert(found, Info)
        except CodecError as error:
            raise RunError(f"{path}: does not show what was run ({reason(error)})") from None

    def whole(self) -> bool:
        """Whether the run ended in order. Raises RunError, as `info` does."""
        return self.info().status in WHOLE

    def write_info(self, info: Info) -> None:
        """Write run.json. Its `status` takes as many bytes as the longest, for `write_status`."""
        text = _STATUS.sub(lambda found: found[0].ljust(_STATUS_WIDTH), indented(info), count=1)
        self._write(RUN_FILE, text + "\n")

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

    def write_summary(self, summary: Struct) -> None:
        self._write(SUMMARY_FILE, indented(summary) + "\n")

    def variants(self) -> list[str]:
        """The names of the variants that have records, in the order of the scenario."""
        return [name for name in self.info().variants if (self.path / name).is_dir()]

    def lost(self, variant: str) -> list[Damage]:
        """The damage that a variant without a directory is: none where it never began."""
        path = self.path / variant
        if os.path.lexists(path):
            return [Damage(path, 0, "is no directory")]
        finished = self.info().status is Status.FINISHED
        return [Damage(path, 0, "is missing")] if finished else []

    def latencies(self, variant: str) -> Path:
        return self.path / variant / _FILES[Latency]

    def capture(self, variant: str) -> Path:
        return self.path / variant / CAPTURE_FILE

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


@contextlib.contextmanager
def _naming(path: object) -> Generator[None]:
    """Name the file in what goes wrong: of a full disk, Python does not say whose write it was."""
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
