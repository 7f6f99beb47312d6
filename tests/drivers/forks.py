"""Load workers forked from one process that has imported all drivers, for tests that start hundreds of them.

A worker's start is mostly imports. `python -m tests.drivers.forks` runs inside a lab. Its stdin is a socket:
for each three descriptors that come it forks a worker that has them as stdin, stdout and stderr, and answers
with its pid. It ends with its stdin.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from typing import Self

from loadgen.lab import namespaces
from loadgen.lab.lab import LINE_BYTES, Lab
from loadgen.tcp import Side

_PID_BYTES = 4


class Forked:
    """A forked worker, with as much of asyncio's Process as a Child needs. How it ended is not known."""

    def __init__(
        self,
        pid: int,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._end)

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._ended.is_set():
            raise ProcessLookupError
        signal.pidfd_send_signal(self._descriptor, number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.stdin.close()
        self._ended.set()


class Forks:
    """The process that forks, and the socket to it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._free = asyncio.Lock()

    @classmethod
    async def start(cls, lab: Lab) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-m", __name__]
            process = await lab.spawn(Side.CLIENT, argv, stdin=theirs.fileno())
        ours.setblocking(False)
        return cls(process, ours)

    async def fork(self) -> Forked:
        loop = asyncio.get_running_loop()
        (their_in, our_in), (our_out, their_out), (our_err, their_err) = os.pipe(), os.pipe(), os.pipe()
        theirs = [their_in, their_out, their_err]
        async with self._free:
            socket.send_fds(self._channel, [b"\0"], theirs)
            pid = int.from_bytes(await loop.sock_recv(self._channel, _PID_BYTES))
        for descriptor in theirs:
            os.close(descriptor)
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(our_in, "wb", 0)
        )
        stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        return Forked(pid, stdin, await _reader(our_out), await _reader(our_err))

    async def stop(self) -> None:
        self._channel.close()
        await self._process.wait()


class _ClosedAtEof(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    protocol = _ClosedAtEof(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    return reader


def main() -> None:
    # What a worker imports, whatever its plan.
    import loadgen.drivers.aiohttp_client
    import loadgen.drivers.protocol
    import loadgen.drivers.uring.worker  # noqa: F401
    from loadgen.drivers.__main__ import main as work

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    channel, forking = socket.socket(fileno=0), os.getpid()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 1, 3)
        if not message:
            break
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                namespaces.die_with(forking)
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(pid.to_bytes(_PID_BYTES))
    channel.detach()


if __name__ == "__main__":
    main()
