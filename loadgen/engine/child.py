"""One of churn's own programs inside a lab: started, given its plan, read message by message, and ended."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from types import UnionType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from loadgen.lab.lab import Lab
from loadgen.wire.codec import decode, encode
from loadgen.wire.exit_status import how_ended
from loadgen.wire.messages import Message

M = TypeVar("M")
"""The messages of a program: a union of their types."""
K = TypeVar("K")
P_co = TypeVar("P_co", covariant=True)

KEPT_LINES = 20
"""How much of a process's stderr is kept: the end of a traceback."""
SILENCE_S = 30.0
"""How long a process that sends ten messages a second may be silent before it is killed."""
LOOK_S = 1.0
"""Silence is counted in waits of this length. A wait in which this process itself was stopped counts as one,
and what was sent meanwhile is read before the next."""
GRACE_S = 10.0
"""How long a process may take to end once it was asked to; then it is killed."""


class Program(NamedTuple, Generic[P_co]):
    """One of churn's own programs: `what` it is called, its module, and its plan."""

    what: str
    module: str
    plan: P_co


class ChildDiedError(Exception):
    """A process ended before its time: `what` it was, and the end of its stderr.

    `code` is its exit code, or minus the signal that ended it; `how` says the same in words.
    """

    def __init__(self, what: str, pid: int, code: int, stderr: str) -> None:
        self.what = what
        self.pid = pid
        self.code = code
        self.how = how_ended(code)
        self.stderr = stderr
        super().__init__(f"the {what} ended before its time, {self.how}" + (f":\n{stderr}" if stderr else ""))


class Child(Generic[M]):
    """One of churn's own programs inside a side of the lab, from its plan to its end."""

    def __init__(self, what: str, process: Process, messages: type[M] | UnionType) -> None:
        self.what = what
        self._messages: Any = messages
        self._process = process
        self._stderr: deque[str] = deque(maxlen=KEPT_LINES)
        self._drain = asyncio.create_task(self._keep_stderr())

    @classmethod
    async def start(
        cls,
        lab: Lab,
        side: str,
        what: str,
        module: str,
        plan: object | None,
        messages: type[M] | UnionType,
        pass_fds: Sequence[int] = (),
    ) -> Self:
        """Start `python -m module`, and give it its plan if that is known; `what` names it for people."""
        # -P: our modules, and never those of the directory that the user is in.
        argv = [sys.executable, "-P", "-m", module]
        process = await lab.spawn(side, argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=pass_fds)
        child = cls(what, process, messages)
        if plan is not None:
            child.send_plan(plan)
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_plan(self, plan: object) -> None:
        """Send its plan, the first line of its stdin."""
        self._write(plan)

    def send(self, message: Message) -> None:
        """Send one message. If the process has ended this does nothing; the end shows in `received`."""
        self._write(message)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def received(self, silence_s: float | None = SILENCE_S) -> AsyncIterator[M]:
        """Its messages until it ends; a last line that it could not finish is left out.

        Once it has been silent for `silence_s` it is killed.
        """
        assert self._process.stdout is not None
        silent_s = 0.0
        while True:
            try:
                async with asyncio.timeout(None if silence_s is None else LOOK_S):
                    line = await self._process.stdout.readline()
            except TimeoutError:
                silent_s += LOOK_S
                if silence_s is not None and silent_s >= silence_s:
                    self.kill()
                continue
            silent_s = 0.0
            if not line.endswith(b"\n"):
                return
            message: M = decode(line, self._messages)
            yield message

    async def expect(self, kind: type[K]) -> K:
        """Its next message, which has to be of this type. Raises ChildDiedError if it ends instead."""
        async for message in self.received():
            if isinstance(message, kind):
                return message
            raise RuntimeError(f"the {self.what} sent {message} when {kind.__name__} was due")
        raise await self.died()

    async def died(self) -> ChildDiedError:
        """Wait for its end, and put into words how it came."""
        code = await self._process.wait()
        await self._drain
        # The traceback of a KeyboardInterrupt says no more than the signal's name does.
        stderr = "" if code == -signal.SIGINT else "\n".join(self._stderr)
        return ChildDiedError(self.what, self.pid, code, stderr)

    async def end(self) -> None:
        """See it end, by SIGKILL where it takes longer than `GRACE_S`."""
        try:
            async with asyncio.timeout(GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._drain

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _write(self, value: object) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(encode(value) + b"\n")

    async def _keep_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())


class Children:
    """Children of one lab, started in a block: when it ends, so have they. If it fails they are killed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._started: list[Child[Any]] = []

    async def start(
        self,
        side: str,
        what: str,
        module: str,
        plan: object | None,
        messages: type[M] | UnionType,
        pass_fds: Sequence[int] = (),
    ) -> Child[M]:
        """Start one more; see `Child.start`."""
        child = await Child[M].start(self._lab, side, what, module, plan, messages, pass_fds)
        self._started.append(child)
        return child

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for child in self._started:
                child.kill()
        for child in self._started:
            await child.end()


async def together(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them all to their ends. The first to fail ends the others, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
