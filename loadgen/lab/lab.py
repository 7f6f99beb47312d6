"""A lab in service: its sides, and how to start a process on one.

    with open_lab(client_server_lab()) as lab:
        server = await lab.spawn("server", [sys.executable, "-m", "servers"])

A lab is held by this process's descriptors and by the processes inside. When both are gone, even
by SIGKILL, the kernel removes everything (K25): there is nothing to clean up.
"""

import asyncio
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from loadgen.lab import namespaces, sysctls
from loadgen.lab.exchange import Built, Descriptors, request
from loadgen.lab.sessions import leave_terminal
from loadgen.lab.spec import LabSpec

_LOST_ERRNO = -1
"""What uvloop raises if socketpair(2) fails, as it does at the limit on descriptors."""
LINE_BYTES = 1 << 24
"""The longest line that may be read from a process: latencies of an interval come in one."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab in service.

    `user` and `nodes`, the nodes' network namespaces, are descriptors: pass them to a process that enters by
    itself, with `namespaces.enter_user` and `enter_network`. `settings` are the sysctls in force on each
    node, by their dotted names. `notes` are sentences that a run records.
    """

    spec: LabSpec
    settings: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    user: int
    nodes: Mapping[str, int]

    @property
    def addresses(self) -> Mapping[str, tuple[str, ...]]:
        """The addresses of each side."""
        return {side: placement.addresses for side, placement in self.spec.sides.items()}

    @property
    def sysctls(self) -> Mapping[str, Mapping[str, str]]:
        """The sysctls in force on the node of each side."""
        return {side: self.settings[placement.node] for side, placement in self.spec.sides.items()}

    @property
    def networks(self) -> Mapping[str, int]:
        """The descriptor of the network namespace of each side."""
        return {side: self.nodes[placement.node] for side, placement in self.spec.sides.items()}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Every descriptor that a process needs to enter all nodes."""
        return (self.user, *self.nodes.values())

    async def spawn(
        self,
        side: str,
        argv: Sequence[str],
        *,
        stdin: int | IO[Any] | None = DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        pass_fds: Collection[int] = (),
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a command on a side. Its process is killed by the kernel when the calling thread ends.

        That holds for the process itself. A command that forks may leave its children behind after a
        SIGKILL of churn, so `loadgen.programs` keeps those.
        It gets a session of its own: Ctrl-C at the terminal reaches only churn, which then stops it.
        Raises FileNotFoundError or PermissionError for a command that cannot be started.
        """
        parent = os.getpid()

        def enter() -> None:
            leave_terminal()
            namespaces.enter_user(self.user)
            namespaces.enter_network(self.networks[side])
            namespaces.die_with(parent)

        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
                env=env,
                preexec_fn=enter,
                limit=LINE_BYTES,
            )
        except OSError as error:
            if error.errno == _LOST_ERRNO:
                _ask_for_pipes()
            raise


def _ask_for_pipes() -> None:
    """Repeat the call that failed in uvloop, to get the reason. Raises OSError."""
    for end in (*socket.socketpair(), *socket.socketpair(), *socket.socketpair()):
        end.close()


@contextmanager
def open_lab(spec: LabSpec) -> Generator[Lab]:
    """The lab that was asked for, for as long as the block lasts. Blocks for a fraction of a second.

    After the block it lasts as long as a process inside. Raises LabUnavailable if the machine
    allows no such lab, SysctlRefused if it cannot set a sysctl.
    """
    built, descriptors = request(spec) if spec.private else _on_host(spec)
    try:
        yield Lab(spec, built.sysctls, built.notes, descriptors.user, descriptors.networks)
    finally:
        descriptors.close()


def _on_host(spec: LabSpec) -> tuple[Built, Descriptors]:
    """The caller's own namespaces in the form of a lab: entering them does nothing, and is allowed."""
    sysctls.settings(spec)
    in_force = sysctls.read_all(sysctls.REPORTED)
    notes = ["plain loopback on the host: not private, and Linux reuses a port in TIME-WAIT after 1 s (K12)"]
    (node,) = spec.nodes
    if node.ports is not None and in_force[sysctls.PORT_RANGE] != f"{node.ports[0]} {node.ports[1]}":
        first, last = node.ports
        notes.append(f"the host's port range stays: {in_force[sysctls.PORT_RANGE]}, not {first} {last}")
    built = Built({node.name: in_force}, tuple(notes))
    return built, Descriptors(namespaces.open_user(), {node.name: namespaces.open_network()})
