"""`python -m loadgen.programs`: keeps one command, and speaks for it as churn's own programs speak.

    > plan                        one JSON line (`Plan`)
    A server is started at once:
    < Listening
    A driver is started at the origin:
    < Ready
    > Begin
    < LoadEnds, CommandEnded, Over

SIGTERM, a line or the end of stdin asks the command to end. A server that ends unasked makes the
keeper end in the same way, with its last words.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from time import monotonic_ns

from loadgen.kernel.sock_diag import SockDiag
from loadgen.programs.output import Output
from loadgen.programs.plan import Plan
from loadgen.programs.process import Contained
from loadgen.records.events import CommandEnded, LoadEnds
from loadgen.tcp import State
from loadgen.wire.codec import decode
from loadgen.wire.lines import Lines
from loadgen.wire.messages import Begin, Listening, Over, Ready

TERM_GRACE_S = 5.0
"""How long a command may take to end after SIGTERM; SIGKILL follows."""
LISTEN_POLL_S = 0.02
LONGEST_LINE = 1 << 24
"""Bytes of a plan: a scenario bounds its arguments, not their number."""


def environment() -> dict[str, str]:
    """The user's, without proxies: there is none in a lab, and a load is not to leave it by one."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


class Keeper:
    """One command, from its start to its end."""

    def __init__(self, plan: Plan, words: asyncio.StreamReader, lines: Lines) -> None:
        self._plan = plan
        self._words = words
        self._lines = lines
        directory = Path(plan.directory)
        directory.mkdir(parents=True)
        for name, text in plan.files.items():
            (directory / name).write_text(text)
        self._command = Contained(plan.argv, plan.directory, environment())
        self._outputs = [
            Output(directory.with_suffix(".out"), self._command.stdout),
            Output(directory.with_suffix(".err"), self._command.stderr),
        ]
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._drained = asyncio.Event()
        self._open = len(self._outputs)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_reader(self._command.channel, self._end)
        for output in self._outputs:
            loop.add_reader(output.pipe, self._pump, output)

    async def drive(self) -> int:
        """Load from the origin on, until the command ends or its time is up; the exit status for churn."""
        self._lines.say(Ready())
        origin_ns = decode(await self._words.readline(), Begin).origin_ns
        await asyncio.sleep(max(origin_ns - monotonic_ns(), 0) / 1e9)
        self._command.go()
        asked = await self._see_to_its_end(self._plan.limit_ns / 1e9)
        self._lines.say(LoadEnds(monotonic_ns() - origin_ns))
        code = await self._gone()
        stderr = self._outputs[1].last_words()
        self._lines.say(CommandEnded(monotonic_ns() - origin_ns, code, asked, stderr))
        self._lines.say(Over())
        return 0

    async def serve(self, port: int) -> int:
        """Serve until asked to end; the exit status for churn, minus a signal where that ended it."""
        with SockDiag() as sock_diag:

            def listens() -> bool:
                # Looked up and not connected to: a probe would be counted among the connections.
                return port in sock_diag.dump(socket.AF_UNSPEC, [State.LISTEN]).local_port

            if listens():
                return await self._give_up(
                    f"something else listens on port {port}; choose another server.port"
                )
            self._command.go()
            until_ns = monotonic_ns() + self._plan.limit_ns
            while not (ready := listens()) and monotonic_ns() < until_ns:
                if await self._ends_within(LISTEN_POLL_S):
                    break
        if ready:
            self._lines.say(Listening(port))
        elif not self._ended.is_set():
            within_s = self._plan.limit_ns / 1e9
            return await self._give_up(f"nothing listens on port {port} after {within_s:g} s (server.ready)")
        asked = await self._see_to_its_end(None)
        code = await self._gone()
        if asked:
            return 0
        self._say(f"{self._plan.argv[0]} ended" + ("" if ready else " before it listened"))
        return code

    async def _see_to_its_end(self, limit_s: float | None) -> bool:
        """Wait for the command's end; whether we had to bring it about."""
        listener = asyncio.create_task(self._listen())
        waits = [asyncio.create_task(event.wait()) for event in (self._ended, self._stop)]
        await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (listener, *waits):
            task.cancel()
        if self._ended.is_set():
            return False
        self._command.terminate()
        if not await self._ends_within(TERM_GRACE_S):
            self._command.kill()
            await self._ended.wait()
        return True

    async def _ends_within(self, limit_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._ended.wait()
        return self._ended.is_set()

    async def _gone(self) -> int:
        """The command's exit code, once its output is closed by every process."""
        code = self._command.exit_code()
        await self._drained.wait()
        return code

    async def _give_up(self, problem: str) -> int:
        self._command.kill()
        await self._gone()
        self._say(problem)
        return 1

    def _say(self, problem: str) -> None:
        words = self._outputs[1].last_words() or self._outputs[0].last_words()
        print(problem + (f"; its last words:\n{words}" if words else ", without a word"), file=sys.stderr)

    async def _listen(self) -> None:
        await self._words.readline()
        self._stop.set()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._command.channel)
        self._ended.set()

    def _pump(self, output: Output) -> None:
        if not output.pump():
            asyncio.get_running_loop().remove_reader(output.pipe)
            self._open -= 1
            if not self._open:
                self._drained.set()


async def keep(lines: Lines) -> int:
    words = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(words)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    plan = decode(await words.readline(), Plan)
    try:
        keeper = Keeper(plan, words, lines)
    except OSError as error:
        print(f"a command needs files in its run and a PID namespace: {error}", file=sys.stderr)
        print(
            "see that the disk has room, and user.max_pid_namespaces; or run churn as root", file=sys.stderr
        )
        return 1
    code = await (keeper.drive() if plan.port is None else keeper.serve(plan.port))
    # The command has ended, and how is known: a SIGTERM that comes only now must not take its place.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    return code


def main() -> None:
    lines = Lines()
    code = asyncio.run(keep(lines))
    lines.close()
    if code < 0:
        # The command has left its core, if any; and SIGKILL and SIGSTOP have no other way but the default.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
