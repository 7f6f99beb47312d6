"""A command and all that it starts, in a PID namespace of its own.

A process group or a session can be left, a PID namespace cannot: when its first process ends, the kernel
kills every other one in it. That first process is not the command, to which signals would then
mean something else (pid_namespaces(7)); it is ours, and dies with the keeper, which dies with churn.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from loadgen.lab import namespaces

_TERM = frozenset({signal.SIGTERM})
NOT_STARTED = 127
"""The exit status of a command that cannot be started, as a shell reports it."""


class Contained:
    """A command that waits for `go`. `stdout` and `stderr` are reading ends of pipes.

    `channel` becomes readable when the command has ended. The process that makes one can make no thread
    any more. Raises OSError if no PID namespace can be made.
    """

    def __init__(self, argv: Sequence[str], directory: str, environment: Mapping[str, str]) -> None:
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.channel, theirs = socket.socketpair()
        namespaces.new_processes()
        # To the first process of a namespace a signal without a handler is lost; one that is blocked waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _TERM)
        self._pid = os.fork()
        if self._pid != 0:
            _unblock()
        else:
            try:
                self.channel.close()
                _first_process(theirs, argv, directory, environment, stdout, stderr)
            finally:
                os._exit(1)
        theirs.close()
        os.close(stdout)
        os.close(stderr)

    def go(self) -> None:
        self.channel.send(b"\0")

    def terminate(self) -> None:
        """Ask the command to end (SIGTERM)."""
        os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it, and whatever it has started."""
        os.kill(self._pid, signal.SIGKILL)

    def exit_code(self) -> int:
        """How the command ended: its exit status, or minus the signal. Blocks until all of it is gone."""
        status = self.channel.recv(16)
        os.waitpid(self._pid, 0)
        return int(status) if status else -signal.SIGKILL


def _first_process(
    channel: socket.socket,
    argv: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
) -> NoReturn:
    """Start the command, reap whatever its own processes leave behind, and report how it ended."""
    signal.set_wakeup_fd(-1)  # the keeper's event loop has it
    namespaces.die_with(0)  # a parent outside of the namespace has the number 0 here
    if not channel.recv(1):
        os._exit(0)  # the keeper was gone first
    try:
        command = subprocess.Popen(
            argv,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=_unblock,
        )
    except OSError as error:
        os.write(stderr, f"{argv[0]}: {error.strerror}\n".encode())
        code = NOT_STARTED
    else:

        def pass_on(number: int, _: FrameType | None) -> None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and its status is about to be sent
                os.kill(command.pid, number)

        signal.signal(signal.SIGTERM, pass_on)
        _unblock()
        ended, status = os.wait()
        while ended != command.pid:
            ended, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
    channel.send(str(code).encode())
    os._exit(0)


def _unblock() -> None:
    """Let SIGTERM in, for whoever calls; a mask is inherited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERM)
