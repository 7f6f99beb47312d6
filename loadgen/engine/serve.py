"""A server by hand, on the host: the workers that a variant has in its lab, and their messages as lines."""

import asyncio
from collections.abc import Callable, Sequence

from loadgen.engine.child import ChildDiedError, Children, Program
from loadgen.engine.server_pool import ServerPool, start_server
from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.scenario.choices import Topology
from loadgen.wire.messages import Message
from loadgen.wire.served import Served
from servers.plan import Plan


class Listening(Message, frozen=True):
    """Every worker accepts connections on `port`."""

    port: int
    pids: tuple[int, ...]


class AcceptError(Message, frozen=True):
    """A worker could not accept, for this errno name, and pauses (K30)."""

    pid: int
    error: str


class WorkerExited(Message, frozen=True):
    """A worker ended unasked, and its counts with it. `status` is an exit code, or minus a signal."""

    pid: int
    status: int


class Gap(Message, frozen=True):
    """A worker did not run, by its clock, from one instant of CLOCK_MONOTONIC to another."""

    pid: int
    start_ns: int
    end_ns: int


Line = Listening | AcceptError | WorkerExited | Gap | Served


async def serve(
    plans: Sequence[Plan], report: Callable[[Line], None], stderr: Callable[[str], None], stop: asyncio.Event
) -> bool:
    """Serve until `stop`; False if all workers ended before.

    Reports `Listening` once every worker accepts, `AcceptError`, `Gap` and `WorkerExited` as they happen and,
    last, `Served`. `stderr` gets what a worker that ended unasked had written there. Raises ChildDiedError if
    one ends before all accept.
    """
    with open_lab(client_server_lab(Topology.HOST)) as host:
        async with Children(host) as children:
            workers = await start_server(children, [Program(plan.name, "servers", plan) for plan in plans])

            def died(death: ChildDiedError) -> None:
                report(WorkerExited(death.pid, death.code))
                stderr(death.stderr)

            pool = ServerPool(
                workers,
                accept_failed=lambda worker, error: report(AcceptError(worker.pid, error)),
                gap=lambda worker, span: report(Gap(worker.pid, span.start_ns, span.end_ns)),
                died=died,
            )

            async def supervise() -> None:
                report(Listening(await pool.ready(), pool.pids))
                await pool.run()

            supervision = asyncio.create_task(supervise())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({supervision, stopped}, return_when=asyncio.FIRST_COMPLETED)
            pool.stop()
            try:
                await supervision
            except ChildDiedError:
                # Stopped before it had a handler for the signal, it ends by that.
                if not stopped.done():
                    raise
            finally:
                stopped.cancel()
            report(pool.served)
            return pool.lost is None
