"""Starting and ending processes of a measurement: bound to a core, and never left behind."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from types import UnionType
from typing import Any

from bench.load import pinned
from loadgen.engine.child import Child
from loadgen.lab.lab import Lab
from loadgen.tcp import Side

GRACE_S = 5.0


async def start_module(
    lab: Lab,
    side: Side,
    module: str,
    plan: object,
    messages: UnionType,
    core: int,
    pass_fds: Sequence[int] = (),
) -> Child[Any]:
    """One of churn's own programs, bound to a core, and told its plan."""
    argv = [*pinned(core), sys.executable, "-P", "-m", module]
    process = await lab.spawn(side, argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=pass_fds)
    child = Child[Any](module, process, messages)
    child.send_plan(plan)
    return child


async def end_process(process: Process) -> None:
    """See it end; by SIGKILL where it takes too long."""
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
