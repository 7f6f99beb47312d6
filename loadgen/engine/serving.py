"""The server of a variant over its restarts: one pool of workers after another, and one sum of counts."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from signal import Signals

from loadgen.engine.child import GRACE_S, ChildDiedError
from loadgen.engine.processes import signal_all
from loadgen.engine.server_pool import ServerPool, ServerWorker
from loadgen.wire.served import Served

MakePool = Callable[[Sequence[ServerWorker]], ServerPool]


class Serving:
    """The workers that serve, until they are asked to stop; what ended by script is no failure.

    `make` makes a pool of workers that were started. `commanded`: they are keepers of a command, and signals
    are for the command.
    """

    def __init__(self, make: MakePool, workers: Sequence[ServerWorker], *, commanded: bool) -> None:
        self._make = make
        self._pool = make(workers)
        self._commanded = commanded
        self._next: asyncio.Future[ServerPool | None] | None = None
        self._ended = asyncio.Event()
        self._stopped = False
        self._uncounted = False
        self.served = Served()
        """What all pools together had counted."""

    @property
    def pids(self) -> tuple[int, ...]:
        return self._pool.pids

    @property
    def lost(self) -> ChildDiedError | None:
        """The end of the last worker, if all ended unasked."""
        return self._pool.lost

    @property
    def counted(self) -> bool:
        """Whether `served` is of all connections: a worker that is killed takes its counts along."""
        return not self._uncounted

    async def ready(self) -> None:
        await self._pool.ready()

    async def run(self) -> None:
        """Receive from every pool until the last has ended."""
        pool: ServerPool | None = self._pool
        while pool is not None:
            self._pool = pool
            await pool.run()
            self.served.add(pool.served)
            self._ended.set()
            pool = None if self._next is None or self._stopped else await self._next

    def stop(self) -> None:
        """Ask the workers to end; none is started any more."""
        self._stopped = True
        self._pool.stop()
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    async def end(self, signal: Signals, *, again: bool) -> None:
        """Send the workers a signal. If `again`, wait for their ends: `start` has to follow."""
        self._pool.excuse()
        self._uncounted = self._uncounted or signal is Signals.SIGKILL
        if again:
            self._next = asyncio.get_running_loop().create_future()
            self._ended.clear()
        signal_all(self.pids, signal, command=self._commanded)
        if again:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await self._ended.wait()
                return
            self._pool.kill()
            await self._ended.wait()

    async def start(self, workers: Sequence[ServerWorker]) -> None:
        """Serve with these in place of those that ended. Raises ChildDiedError if one ends instead."""
        assert self._next is not None
        pool = self._make(workers)
        started: ServerPool | None = None
        try:
            await pool.ready()
            started = pool
        finally:
            if started is None:
                for worker in workers:
                    worker.child.kill()
            if not self._next.done():
                self._next.set_result(started)
            elif started is not None:  # the load ended meanwhile
                started.kill()
