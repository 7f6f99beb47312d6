"""Child processes that draw, a figure each, as many at once as there are cores.

They are forked, so they share what the parent has read and imported. They end with the parent.
"""

import ctypes
import multiprocessing
import os
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

Job = Callable[[], object]

_PR_SET_PDEATHSIG = 1
"""From the kernel's include/uapi/linux/prctl.h."""
_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that draws the figure `name`; its outcome comes by the pipe."""

    name: str
    process: ForkProcess
    outcome: Connection


def in_children(jobs: Mapping[str, Job]) -> None:
    """Do each job in a child of its own.

    Raises what a job raised, with the child's traceback as a note, and ChildProcessError for a child that
    died of something else. No child is left then, nor if a signal handler raises.
    """
    waiting = deque(jobs.items())
    running: dict[Connection, _Child] = {}
    at_once = len(os.sched_getaffinity(0))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                # A signal here must not lose a child that is not yet registered, nor be handled in it.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
                try:
                    child = _begin(*waiting.popleft())
                    running[child.outcome] = child
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for outcome in wait(list(running)):
                assert isinstance(outcome, Connection)
                error = _outcome_of(running[outcome])
                outcome.close()
                del running[outcome]
                if error is not None:
                    raise error
    finally:
        for child in running.values():
            child.process.kill()
        for child in running.values():
            child.process.join()
            child.outcome.close()


def _begin(name: str, job: Job) -> _Child:
    fork = multiprocessing.get_context("fork")
    outcome, writing = fork.Pipe(duplex=False)
    process = fork.Process(target=_draw, args=(job, writing, os.getpid()), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 and later warn. The threads are numpy's, idle, and it starts its own anew after a fork.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        process.start()
    writing.close()
    return _Child(name, process, outcome)


def _draw(job: Job, writing: Connection, parent: int) -> None:
    """The child's part: answers with what the job raised, or None."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    # Ctrl-C reaches every process of the terminal's group: the parent decides what to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    error = None
    try:
        job()
    except Exception as raised:
        raised.add_note(traceback.format_exc())
        error = raised
    writing.send(error)


def _outcome_of(child: _Child) -> Exception | None:
    """What the child's job raised; its process has ended."""
    try:
        error: Exception | None = child.outcome.recv()
    except EOFError:
        error = None
    child.process.join()
    code = child.process.exitcode or 0
    if error is None and code:
        how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
        error = ChildProcessError(f"the process that drew {child.name} died ({how})")
    return error
