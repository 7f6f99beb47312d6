"""Figures are drawn by child processes: the same files, errors as in one process, and no child left."""

import errno
import functools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from plots.children import in_children
from plots.figures import FORMATS, draw
from plots.page import save
from plots.timeline import timeline
from tests.stories import client_closes, drawn, server_closes, summary_of, told, written

ROOT = Path(__file__).parents[2]
LIMIT_S = 60


def test_each_figure_is_laid_out_once_and_drawn_once_a_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"

    def logged(name: str, method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def wrapper(*arguments: Any, **keywords: Any) -> None:
            with log.open("a") as file:
                file.write(name)
            method(*arguments, **keywords)

        return wrapper

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", logged("L", ConstrainedLayoutEngine.execute))
    monkeypatch.setattr(Figure, "draw", logged("D", Figure.draw))
    paths = drawn(written(tmp_path / "run", {"a": server_closes(2), "b": client_closes(2)}))
    assert log.read_text().count("L") == len(paths) / len(FORMATS)
    assert log.read_text().count("D") == len(paths)


def test_a_child_draws_what_the_parent_would(tmp_path: Path) -> None:
    story = client_closes(2)
    run = written(tmp_path / "run", {"a": story})
    for path in draw(run, [summary_of("a", story)], only=["timeline-a"]):
        here = tmp_path / path.name
        save(timeline(*told(story, "a")), here)
        assert path.read_bytes() == here.read_bytes()


def test_every_job_is_done_by_another_process(tmp_path: Path) -> None:
    def job(name: str) -> None:
        (tmp_path / name).write_text(str(os.getpid()))

    names = [str(number) for number in range(7)]
    in_children({name: functools.partial(job, name) for name in names})
    done = {(tmp_path / name).read_text() for name in names}
    assert len(done) == len(names)
    assert str(os.getpid()) not in done


def test_an_error_of_a_child_is_the_parents(tmp_path: Path) -> None:
    run = written(tmp_path, {"a": client_closes(2)})
    (run.figures / "timeline-a.svg").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as error:
        drawn(run)
    assert str(run.figures / "timeline-a.svg") in str(error.value)
    assert multiprocessing.active_children() == []


def test_a_full_disk_is_an_os_error() -> None:
    def job() -> None:
        with open("/dev/full", "w") as file:
            file.write("a figure")

    with pytest.raises(OSError, match="No space left on device") as error:
        in_children({"a": job})
    assert error.value.errno == errno.ENOSPC


def test_a_bug_in_a_child_brings_its_traceback() -> None:
    def buggy() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError) as error:
        in_children({"a": buggy})
    assert "in buggy" in "".join(error.value.__notes__)


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "Killed"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "Terminated"),
        (lambda: os.kill(os.getpid(), signal.SIGRTMIN + 6), "Real-time signal 6"),
        (lambda: os._exit(3), "exit code 3"),
    ],
)
def test_a_child_that_dies_is_named_and_takes_the_others_along(end: Callable[[], None], how: str) -> None:
    with pytest.raises(ChildProcessError) as error:
        in_children({"timeline-a": end, "timeline-b": signal.pause})
    assert str(error.value) == f"the process that drew timeline-a died ({how})"
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_the_children(number: signal.Signals) -> None:
    class EndedError(Exception):
        pass

    def end(*_: int | FrameType | None) -> None:
        raise EndedError

    def job(parent: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # as a Ctrl-C does, which is for the parent
        os.kill(parent, number)
        signal.pause()

    before = signal.signal(number, end)
    try:
        with pytest.raises(EndedError):
            in_children({"a": functools.partial(job, os.getpid())})
    finally:
        signal.signal(number, before)
    assert multiprocessing.active_children() == []


def test_no_child_outlives_a_parent_that_was_killed() -> None:
    script = """
import os, signal
from plots.children import in_children
def job():
    print(os.getpid(), flush=True)
    signal.pause()
in_children({"a": job})
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([child], [], [], LIMIT_S)[0], "a child outlived its parent"
    os.close(child)
