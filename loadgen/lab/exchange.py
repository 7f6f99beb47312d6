"""The exchange with the build process, both ends: a description goes in, a lab comes out.

The build process's stdin is a Unix socket that keeps messages whole (SOCK_SEQPACKET). One comes in, the
`LabSpec`. One goes out: `Built`, with the descriptors of the user namespace and of each node's network
namespace, in the order of the spec; or the error.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loadgen.lab.errors import BuilderKilledError, LabUnavailable, Part, SysctlRefused
from loadgen.lab.sessions import interrupts_wait, leave_terminal
from loadgen.lab.spec import LabSpec
from loadgen.wire.codec import decode, encode
from loadgen.wire.exit_status import how_ended

_LARGEST_MESSAGE = 65536
"""Bytes; a spec and its reply take a few thousand."""

_LIMIT_S = 30
"""Seconds after which the build process is killed. It takes well under one."""


@dataclass(frozen=True, slots=True)
class Built:
    """What was made: the sysctls in force on each node, and notes that the run records."""

    sysctls: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Descriptors of the user namespace and of each node's network namespace, to be closed by the owner."""

    user: int
    networks: Mapping[str, int]

    def close(self) -> None:
        for descriptor in (self.user, *self.networks.values()):
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The reply of the build process: exactly one of these."""

    built: Built | None = None
    unavailable: tuple[Part, str, str] | None = None
    refused: tuple[str, str, str, str] | None = None


def request(spec: LabSpec) -> tuple[Built, Descriptors]:
    """Have the lab built by a short-lived process. Blocks for a fraction of a second.

    Raises LabUnavailable or SysctlRefused; BuilderKilledError if a signal ended that process, RuntimeError
    with its stderr if it crashed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [sys.executable, "-P", "-m", "loadgen.lab.build"]  # -P: not the user's modules of our names
    with ours, theirs, _begun(argv, theirs) as process:
        theirs.close()
        ours.settimeout(_LIMIT_S)
        try:
            message, descriptors = _ask(ours, spec)
            _, stderr = process.communicate(timeout=_LIMIT_S)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            process.kill()
            raise LabUnavailable(
                Part.NAMESPACES, f"nothing was built within {_LIMIT_S} s", "try again on a quieter machine"
            ) from error
        except BaseException:
            process.kill()
            raise
    if not message and process.returncode < 0:
        raise BuilderKilledError(how_ended(process.returncode))
    if not message:
        raise RuntimeError(f"the build process ended without an answer:\n{stderr}")
    answered = decode(message, _Answer)
    if answered.unavailable is not None:
        raise LabUnavailable(*answered.unavailable)
    if answered.refused is not None:
        raise SysctlRefused(*answered.refused)
    assert answered.built is not None
    user, *networks = descriptors
    names = (node.name for node in spec.nodes)
    return answered.built, Descriptors(user, dict(zip(names, networks, strict=True)))


def _begun(argv: Sequence[str], stdin: socket.socket) -> subprocess.Popen[str]:
    with interrupts_wait():
        return subprocess.Popen(
            argv, stdin=stdin.fileno(), stderr=subprocess.PIPE, text=True, preexec_fn=leave_terminal
        )


def _ask(channel: socket.socket, spec: LabSpec) -> tuple[bytes, list[int]]:
    """The answer and its descriptors; empty if the process ended without one."""
    try:
        channel.sendall(encode(spec))
        message, descriptors, _, _ = socket.recv_fds(channel, _LARGEST_MESSAGE, 1 + len(spec.nodes))
    except ConnectionError:
        return b"", []
    for descriptor in descriptors:
        # MSG_CMSG_CLOEXEC would be the way, but Python 3.11's recv_fds drops its flags.
        os.set_inheritable(descriptor, False)
    return message, descriptors


def answer(build: Callable[[LabSpec], tuple[Built, Descriptors]]) -> None:
    """In the build process: read the spec, build, answer."""
    with socket.socket(fileno=os.dup(0)) as channel:
        spec = decode(channel.recv(_LARGEST_MESSAGE), LabSpec)
        try:
            built, descriptors = build(spec)
        except LabUnavailable as error:
            channel.sendall(encode(_Answer(unavailable=(error.part, error.cause, error.remedy))))
        except SysctlRefused as error:
            channel.sendall(encode(_Answer(refused=(error.side, error.key, error.value, error.answer))))
        else:
            networks = [descriptors.networks[node.name] for node in spec.nodes]
            socket.send_fds(channel, [encode(_Answer(built=built))], [descriptors.user, *networks])
