"""The master of a server: forks the workers, passes on their messages, adds up their counts."""

import ctypes
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from servers.lines import AcceptError, Gap, Line, Listening, Served, WorkerExited
from servers.listener import bound_socket, share
from servers.plan import Plan
from servers.worker import DRAIN_S, STOP_SIGNALS, run_worker, stop_signals

GRACE_S = DRAIN_S + 3.0
"""A worker that has not ended so long after a stop signal is killed."""
POLL_S = 0.25

PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


class WorkersLostError(Exception):
    """All workers ended without a stop signal."""


@dataclass(slots=True)
class _Worker:
    """A worker as the master sees it."""

    pid: int
    pipe: int
    """Read end of the pipe that it writes to, which ends when the worker does."""
    rest: bytes = b""
    listening: bool = False
    served: bool = False

    def lines(self) -> list[Line] | None:
        """Its messages since the last time; None if it has ended."""
        data = os.read(self.pipe, 65536)
        if not data:
            return None
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [decode(line, Line) for line in whole]

    def reap(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def serve_blocking(plan: Plan, emit: Callable[[Line], None]) -> Served:
    """Serve until SIGTERM or SIGINT; return the counts of all workers.

    Emits `Listening` once every worker accepts, `AcceptError` and `WorkerExited` as they happen and, last,
    `Served`. Runs in the main thread of a process without other threads: it forks. Raises OSError if
    the addresses cannot be bound, WorkersLostError if no worker is left.
    """
    with ExitStack() as reserved:
        port = plan.port
        for host in plan.hosts:
            # Bound alone first, so that a foreign server on that port is an error and not a companion;
            # then shared with the workers. It never listens, so no connection comes here.
            sock = reserved.enter_context(bound_socket(host, port))
            share(sock)
            port = int(sock.getsockname()[1])
        return _Master(plan, port, emit).run()


class _Master:
    def __init__(self, plan: Plan, port: int, emit: Callable[[Line], None]) -> None:
        self._plan = plan
        self._port = port
        self._emit = emit
        self._workers: dict[int, _Worker] = {}
        """Those alive, by pid."""
        self._announced = False
        self._kill_at: float | None = None
        """None before a stop signal; then when workers are killed, in seconds of time.monotonic()."""
        self._total = Served()

    def run(self) -> Served:
        with self._passing_stops_on(), selectors.DefaultSelector() as selector:
            # Blocked across fork: a worker lets them in when its own handlers stand.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            try:
                for number in range(self._plan.workers):
                    worker = self._fork(number)
                    self._workers[worker.pid] = worker
                    selector.register(worker.pipe, selectors.EVENT_READ, worker)
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            while self._workers:
                for key, _events in selector.select(POLL_S):
                    self._read_from(key.data, selector)
                if self._kill_at is not None and time.monotonic() > self._kill_at:
                    self._signal(signal.SIGKILL)
        self._emit(self._total)
        if self._kill_at is None:
            raise WorkersLostError
        return self._total

    def _read_from(self, worker: _Worker, selector: selectors.BaseSelector) -> None:
        lines = worker.lines()
        if lines is None:
            del self._workers[worker.pid]
            selector.unregister(worker.pipe)
            status = worker.reap()
            if status or not worker.served:
                self._emit(WorkerExited(worker.pid, status))
        for line in lines or ():
            match line:
                case Listening():
                    worker.listening = True
                case Served():
                    worker.served = True
                    self._total.add(line)
                case Gap():
                    # Before the load, the wait for the others is not a gap.
                    if self._announced:
                        self._emit(line)
                case AcceptError() | WorkerExited():
                    self._emit(line)
        workers = self._workers.values()
        if workers and not self._announced and all(worker.listening for worker in workers):
            self._announced = True
            self._emit(Listening(self._port, tuple(self._workers)))

    def _fork(self, number: int) -> _Worker:
        # What Python has buffered would be written once more by the worker.
        sys.stdout.flush()
        sys.stderr.flush()
        master = os.getpid()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write_end)
            return _Worker(pid, read_end)
        status = 1
        try:
            os.close(read_end)
            # SIGKILL of the master must leave no worker behind (K25); nor one whose master is already gone.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self._plan.cores:
                os.sched_setaffinity(0, {self._plan.cores[number]})
            if os.getppid() == master:
                lines = Lines(write_end)
                run_worker(self._plan, self._port, lambda line: say(lines, line))
                lines.close()
                status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            # Not sys.exit: nothing of the master's may unwind here.
            os._exit(status)

    @contextmanager
    def _passing_stops_on(self) -> Generator[None]:
        """Within, every stop signal is passed on to the workers."""

        def stop(_number: int, _frame: object) -> None:
            self._kill_at = time.monotonic() + GRACE_S
            self._signal(signal.SIGTERM)

        before = {number: signal.signal(number, stop) for number in stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signal(self, number: signal.Signals) -> None:
        for pid in tuple(self._workers):
            os.kill(pid, number)


def say(lines: Lines, line: Line) -> None:
    """Write a line; if the reader is too far behind, leave out what the totals count as well."""
    if not (lines.full and isinstance(line, AcceptError)):
        lines.say(line)
