"""A process of the lab that talks in JSON lines: started, told its plan, listened to, and ended."""

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from loadgen.lab.lab import Lab
from loadgen.tcp import Side
from loadgen.wire.exit_status import how_ended

KEPT_LINES = 20
"""How much of a process's stderr is kept: the end of a traceback."""
SILENCE_S = 30.0
"""How long a process that has something to say ten times a second may be silent before it is given up."""
LOOK_S = 1.0
"""Silence is counted in waits of this length. A wait in which this process itself stood still counts no more,
and what was said meanwhile is read before the next."""
GRACE_S = 10.0
"""How long a process may take to end once it was asked to; the kernel ends it then."""


class ChildDiedError(Exception):
    """A process ended before its time: `what` it was, `how` it ended, and its last words."""

    def __init__(self, what: str, how: str, stderr: str) -> None:
        super().__init__(f"the {what} ended before its time, {how}" + (f":\n{stderr}" if stderr else ""))
        self.what = what
        self.how = how
        self.stderr = stderr


class Child:
    """One of churn's own programs inside a side of the lab, from its plan to its end."""

    def __init__(self, what: str, process: Process) -> None:
        self.what = what
        self._process = process
        self._stderr: deque[str] = deque(maxlen=KEPT_LINES)
        self._drain = asyncio.create_task(self._keep_stderr())

    @classmethod
    async def start(
        cls, lab: Lab, side: Side, what: str, module: str, plan: str, pass_fds: Sequence[int] = ()
    ) -> Self:
        """Start `python -m module` and tell it its plan; `what` names it for people."""
        # -P: our modules, and never those of the directory that the user is in.
        argv = [sys.executable, "-P", "-m", module]
        process = await lab.spawn(side, argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=pass_fds)
        child = cls(what, process)
        child.tell(plan)
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        """Send one line. A process that is gone hears nothing; its end shows in `lines`."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(line.encode() + b"\n")

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def lines(self, patience_s: float | None = SILENCE_S) -> AsyncIterator[dict[str, Any]]:
        """What it says, object by object, until it ends; a last line that it could not finish is left out.

        Once it has been silent for `patience_s` it is killed.
        """
        assert self._process.stdout is not None
        silent_s = 0.0
        while True:
            try:
                async with asyncio.timeout(None if patience_s is None else LOOK_S):
                    line = await self._process.stdout.readline()
            except TimeoutError:
                silent_s += LOOK_S
                if patience_s is not None and silent_s >= patience_s:
                    self.kill()
                continue
            silent_s = 0.0
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)

    async def expect(self, kind: str) -> dict[str, Any]:
        """Its next line, which has to be of this type. Raises ChildDiedError where it ends instead."""
        async for line in self.lines():
            if line["type"] == kind:
                return line
            raise RuntimeError(f"the {self.what} said {line} where {kind!r} was due")
        raise await self.died()

    async def died(self) -> ChildDiedError:
        """Wait for its end, and put into words how it came."""
        code = await self._process.wait()
        await self._drain
        # The traceback of a KeyboardInterrupt says no more than the signal's name does.
        stderr = "" if code == -signal.SIGINT else "\n".join(self._stderr)
        return ChildDiedError(self.what, how_ended(code), stderr)

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

    async def _keep_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())
