"""How a run has a lab built: both ends of the exchange with the build process.

The build process's stdin is a Unix socket that keeps messages whole (SOCK_SEQPACKET). One comes in:
the `LabSpec` as JSON. One goes out: `Built` as JSON, with the descriptors of the user namespace and
of each side's network namespace; or the error as JSON.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from loadgen.ending import how_ended
from loadgen.lab.errors import BuilderKilledError, LabUnavailable, Part, SysctlRefused
from loadgen.lab.sessions import interrupts_wait, leave_terminal
from loadgen.lab.spec import LabSpec
from loadgen.tcp import Side

_LARGEST_MESSAGE = 65536
"""Bytes; a spec and its reply take a few thousand."""

_LIMIT_S = 30
"""Seconds after which the build process is given up. It takes well under one."""


@dataclass(frozen=True, slots=True)
class Built:
    """What was made: the sysctls in force on each side, and what the run should record."""

    sysctls: Mapping[Side, Mapping[str, str]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Of the namespaces, owned by who holds this. On loopback both sides' lead to the same one."""

    user: int
    networks: Mapping[Side, int]

    def close(self) -> None:
        for descriptor in (self.user, *self.networks.values()):
            os.close(descriptor)


def request(spec: LabSpec) -> tuple[Built, Descriptors]:
    """Have the lab built by a process that is gone afterwards. Blocks for a fraction of a second.

    Raises LabUnavailable or SysctlRefused; BuilderKilledError where a signal ended that process, RuntimeError
    with its stderr where it crashed.
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
    match json.loads(message):
        case {"built": {"sysctls": in_force, "notes": notes}}:
            user, client, server = descriptors
            built = Built({Side(side): values for side, values in in_force.items()}, tuple(notes))
            return built, Descriptors(user, {Side.CLIENT: client, Side.SERVER: server})
        case {"unavailable": {"part": part, "cause": cause, "remedy": remedy}}:
            raise LabUnavailable(Part(part), cause, remedy)
        case {"refused": {"side": side, "key": key, "value": value, "answer": answer}}:
            raise SysctlRefused(Side(side), key, value, answer)
        case other:
            raise RuntimeError(f"the build process answered {other!r}")


def _begun(argv: Sequence[str], stdin: socket.socket) -> subprocess.Popen[str]:
    with interrupts_wait():
        return subprocess.Popen(
            argv, stdin=stdin.fileno(), stderr=subprocess.PIPE, text=True, preexec_fn=leave_terminal
        )


def _ask(channel: socket.socket, spec: LabSpec) -> tuple[bytes, list[int]]:
    """The answer and its descriptors; empty where the process ended without one."""
    try:
        channel.sendall(json.dumps(asdict(spec)).encode())
        message, descriptors, _, _ = socket.recv_fds(channel, _LARGEST_MESSAGE, 1 + len(Side))
    except ConnectionError:
        return b"", []
    for descriptor in descriptors:
        # MSG_CMSG_CLOEXEC would be the way, but Python 3.11's recv_fds drops its flags.
        os.set_inheritable(descriptor, False)
    return message, descriptors


def answer(build: Callable[[LabSpec], tuple[Built, Descriptors]]) -> None:
    """In the build process: read the spec, build, answer."""
    with socket.socket(fileno=os.dup(0)) as channel:
        spec = LabSpec.from_json(json.loads(channel.recv(_LARGEST_MESSAGE)))
        try:
            built, descriptors = build(spec)
        except LabUnavailable as error:
            channel.sendall(json.dumps({"unavailable": asdict(error)}).encode())
        except SysctlRefused as error:
            channel.sendall(json.dumps({"refused": asdict(error)}).encode())
        else:
            networks = [descriptors.networks[side] for side in (Side.CLIENT, Side.SERVER)]
            message = json.dumps({"built": asdict(built)}).encode()
            socket.send_fds(channel, [message], [descriptors.user, *networks])
