"""The server workers of a variant as one: the same ports, one sum of counts, one end."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import NamedTuple

from msgspec.structs import replace

from loadgen.engine.child import GRACE_S, Child, ChildDiedError, Children, Program, together
from loadgen.programs.messages import KeeperMessage
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.tcp import Side
from loadgen.wire.messages import Listening, Unobserved
from loadgen.wire.served import Served
from servers.lines import AcceptError, Bound, Line
from servers.plan import Plan

ServerMessage = Line | KeeperMessage


class ServerWorker(NamedTuple):
    """A process that was started, and the plan that it is to get."""

    child: Child[ServerMessage]
    plan: Plan | CommandPlan


async def start_server(
    children: Children, programs: Sequence[Program[Plan | CommandPlan]]
) -> list[ServerWorker]:
    """Start the server workers. `ServerPool.ready` gives each its plan, when it may bind the port."""
    return [
        ServerWorker(
            await children.start(Side.SERVER, program.what, program.module, None, ServerMessage), program.plan
        )
        for program in programs
    ]


class ServerPool:
    """Starts and stops the server workers together, and adds up their counts.

    `accept_failed` is called with a worker and the errno name for each failed accept(), `gap` for each span
    that a worker did not observe, `died` for each that ends unasked, or by a fault. The others go on. A
    command that serves is a pool of one, and counts nothing.
    """

    def __init__(
        self,
        workers: Sequence[ServerWorker],
        accept_failed: Callable[[Child[ServerMessage], str], None],
        gap: Callable[[Child[ServerMessage], Unobserved], None],
        died: Callable[[ChildDiedError], None],
    ) -> None:
        self._workers = [worker.child for worker in workers]
        self._plans = [worker.plan for worker in workers]
        self._accept_failed = accept_failed
        self._gap = gap
        self._died = died
        self._ready_ns = 0
        self._alive = len(workers)
        self._asked = False
        self._excused = False
        self._killing: asyncio.TimerHandle | None = None
        self.served = Served()
        """What those that have ended in order had counted."""
        self.lost: ChildDiedError | None = None
        """The end of the last worker, if all ended unasked."""

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(worker.pid for worker in self._workers)

    async def ready(self) -> int:
        """Give them their plans and wait until all listen; returns the port.

        The first binds alone, so that a foreign server on its port is an error; then the others share it.
        Raises ChildDiedError if one ends instead.
        """
        (first, *others), plans = self._workers, self._plans
        first.send_plan(plans[0])
        if others:
            port = (await first.expect(Bound)).port
            for worker, plan in zip(others, plans[1:], strict=True):
                assert isinstance(plan, Plan)
                worker.send_plan(replace(plan, port=port))
        listening = [await worker.expect(Listening) for worker in self._workers]
        self._ready_ns = monotonic_ns()
        return listening[0].port

    async def run(self) -> None:
        """Receive from all of them until their ends."""
        try:
            await together(self._receive(worker) for worker in self._workers)
        finally:
            if self._killing is not None:
                self._killing.cancel()

    def stop(self) -> None:
        """Ask them to end. Those that have not within `GRACE_S` are killed."""
        if not self._asked and self._alive:
            self._killing = asyncio.get_running_loop().call_later(GRACE_S, self.kill)
            for worker in self._workers:
                worker.terminate()
        self._asked = True

    def excuse(self) -> None:
        """What ends from now on was asked to by the script."""
        self._excused = True

    def kill(self) -> None:
        """End them now."""
        for worker in self._workers:
            worker.kill()

    async def _receive(self, worker: Child[ServerMessage]) -> None:
        # While all is well it sends nothing.
        async for message in worker.received(silence_s=None):
            match message:
                case AcceptError():
                    self._accept_failed(worker, message.error)
                case Unobserved():
                    # Before all were ready there was nothing to observe.
                    if message.end_ns > self._ready_ns:
                        self._gap(worker, message)
                case Served():
                    self.served.add(message)
                case _:
                    raise RuntimeError(f"the {worker.what} sent {message}")
        death = await worker.died()
        self._alive -= 1
        if (death.code or not self._asked) and not self._excused:
            self._died(death)
        if not (self._alive or self._asked or self._excused):
            self.lost = death
