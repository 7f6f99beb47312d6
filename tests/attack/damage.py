"""Damaged run directories: `python -m tests.attack.damage [COPIES] [SEED]`.

One short run is recorded, copied, and each copy damaged in one way or a few. `churn plot` has to read it: no
traceback, exit 0 or 2, in seconds; what it could not read is named by file, and a variant whose records are
damaged says so in its summary. Most copies are read in process and not drawn. Every `DRAWN`th is drawn, and
every `COMMANDED`th is read by the command, as an ordinary user and with a file that this user may not read.
"""

import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner, Result

from loadgen.cli.main import main as churn_group
from loadgen.records.directory import RunDirectory
from tests.attack.faults import WAYS, bomb
from tests.command import churn

COPIES = 500
DRAWN = 20
COMMANDED = 50
LIMIT_S = 5.0
"""CPU time that reading may take."""
HANG_S = 60
MEMORY = 4 << 30
"""Address space of the attack: what explodes is a MemoryError."""

SCENARIO = """\
title: to be damaged
lab: {client: {ports: 32768-33767}}
load: {open_loop: {rate: 300/s}, duration: 1s}
variants:
  one: {connection: {closer: client}}
  two: {connection: {closer: server}}
expect: {all: [errors.total == 0]}
"""
DOCUMENTS = ("run.json", "summary.json")
RECORDS = ("events.jsonl", "samples.jsonl", "intervals.jsonl", "latency.hlog")


@dataclass(frozen=True, slots=True)
class Read:
    """How reading a damaged copy went."""

    code: int
    said: str
    cpu_s: float
    raised: BaseException | None = None


class TookTooLongError(Exception):
    """Reading hung."""


def record(parent: Path) -> Path:
    """A short run, recorded."""
    scenario = parent / "damage.yaml"
    scenario.write_text(SCENARIO)
    done = churn("run", scenario, "--no-figures", runs=parent / "runs")
    assert done.code in (0, 106), done.said
    (run,) = (parent / "runs").iterdir()
    return run


def damage(rng: random.Random, run: Path) -> str:
    """Damage a run in one way or a few; what was done."""
    said: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        variant = rng.choice(("one", "two"))
        name = rng.choice((*DOCUMENTS, *(f"{variant}/{file}" for file in RECORDS * 2)))
        ways, weights = zip(*WAYS, strict=True)
        (way,) = rng.choices(ways, weights)
        if name.endswith(".hlog") and rng.random() < 0.1:
            way = bomb
        path = run / name
        if path.is_file() and not path.is_symlink() and path.stat().st_size in range(1, 1 << 24):
            way(rng, path)
            said.append(f"{way.__name__} of {name}")
    return ", ".join(said)


@contextmanager
def bounded() -> Iterator[None]:
    """Raise `TookTooLongError` where it hangs."""

    def late(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise TookTooLongError

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def _undrawn(run: RunDirectory, *_: Any, **__: Any) -> list[Path]:
    """What `plots.figures.draw` reads, and nothing drawn."""
    from loadgen.analysis.reread import asked_of
    from plots.columns import columns_of
    from plots.facts import facts_of, run_of

    asked = asked_of(run)
    for variant in asked.scenario.variants:
        columns_of(run.records(variant.name))
        facts_of(run_of(run.id, asked), variant, asked.predictions[variant.name], None)
    return []


def undrawn() -> AbstractContextManager[object]:
    """Read what figures show, and draw none."""
    return patch("plots.figures.draw", _undrawn)


def invoke(*arguments: str) -> Result:
    """A command of churn, in this process."""
    return CliRunner().invoke(churn_group, arguments)


def read(run: Path, *, drawn: bool = False) -> Read:
    """`churn plot RUN` in this process."""
    begun_s = time.process_time()
    with bounded(), nullcontext() if drawn else undrawn():
        result = invoke("plot", str(run))
    raised = None if isinstance(result.exception, SystemExit) else result.exception
    return Read(result.exit_code, result.output, time.process_time() - begun_s, raised)


def command_as_user(run: Path, hidden: Path) -> Read:
    """`churn plot RUN` as an ordinary user, who may not read what is `hidden`."""
    for path in (run.parent, run, *run.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o777)
    if hidden.exists() and not hidden.is_symlink():
        hidden.chmod(0)
    done = churn("plot", run, ordinary=True, cwd=run)
    raised = RuntimeError(done.stderr) if "Traceback" in done.stderr else None
    return Read(done.code, done.stdout + done.stderr, 0.0, raised)


def hideable(run: Path) -> list[Path]:
    """The files of a run, and the variants' folders."""
    return [
        *(run / name for name in DOCUMENTS),
        *(run / variant / name for variant in ("one", "two") for name in (*RECORDS, "")),
    ]


def complaint(run: Path, found: Read, *, drawn: bool) -> str | None:
    """What is wrong with how a copy was read; None where nothing is."""
    if found.raised is not None:
        return f"{type(found.raised).__name__}: {found.raised}"
    if found.code not in (0, 2):
        return f"exit {found.code}: {found.said}"
    if not drawn and found.cpu_s > LIMIT_S:
        return f"took {found.cpu_s:.1f} s of CPU"
    if found.code == 2 and str(run) not in found.said:
        return f"no file is named: {found.said}"
    named = re.findall(rf"^{re.escape(str(run))}/(one|two)/", found.said, re.MULTILINE)
    if named and f"{run}/run.json" not in found.said:
        return _silent(run, set(named))
    return None if len(found.said) < 10_000 else f"said {len(found.said):,} characters"


def _silent(run: Path, variants: set[str]) -> str | None:
    """A variant whose records are damaged has to say so in its summary."""
    summarised: dict[str, Any] = json.loads((run / "summary.json").read_text())["variants"]
    for name in variants & summarised.keys():
        kinds = {caveat["kind"] for caveat in summarised[name]["caveats"] if caveat["invalidates"]}
        if "records_damaged" not in kinds:
            return f"the summary of {name} does not say that its records are damaged"
    return None


def attack(
    original: Path, copies: int, seed: int, *, drawn: int = DRAWN, commanded: int = COMMANDED
) -> list[str]:
    """Damage so many copies of a run, each from its own seed; what was wrong, a line a copy."""
    wrong: list[str] = []
    codes: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(dir=original.parent) as place:
        for number in range(copies):
            rng = random.Random(f"{seed}/{number}")
            run = Path(place) / f"run-{number}"
            shutil.copytree(original, run)
            done = damage(rng, run)
            by_command = bool(commanded) and number % commanded == commanded - 1
            in_full = bool(drawn) and number % drawn == 0
            try:
                found = (
                    command_as_user(run, rng.choice(hideable(run)))
                    if by_command
                    else read(run, drawn=in_full)
                )
            except TookTooLongError:
                wrong.append(f"{number}: {done}: hung")
            else:
                codes[found.code] += 1
                if said := complaint(run, found, drawn=in_full or by_command):
                    wrong.append(f"{number}: {done}: {said}")
            shutil.rmtree(run)
    print(f"{copies} copies, exit codes {dict(codes)}, {len(wrong)} wrong", file=sys.stderr)
    return wrong


def main(arguments: Sequence[str]) -> int:
    copies, seed = (
        (int(text) for text in (*arguments, COPIES, 1)[:2]) if len(arguments) != 1 else (int(arguments[0]), 1)
    )
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as place:
        # Every `COMMANDED`th copy is read by an ordinary user.
        Path(place).chmod(0o777)
        wrong = attack(record(Path(place)), copies, seed)
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
