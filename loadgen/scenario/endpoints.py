"""`server:`, what accepts the connections."""

from typing import Annotated

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.choices import MOST_PORTS, ServerKind
from loadgen.scenario.model import Command, Files, Model, Needs
from loadgen.text.units import HIGHEST_PORT, LOWEST_PORT, ByteSize, Duration


class Server(Model):
    """What accepts the connections, and how it answers."""

    kind: ServerKind = ServerKind.PROTOCOL
    """The server program."""
    port: Annotated[int, fields.count(LOWEST_PORT, HIGHEST_PORT)] = 8080
    """The port it listens on; with several, the first."""
    ports: Annotated[int, fields.count(1, MOST_PORTS)] = 1
    """Ports in a row that it listens on, on each address; the client has its whole range towards each."""
    workers: Annotated[int, fields.count(1, 64)] = 1
    """Processes that accept connections."""
    pin: Annotated[bool, fields.truth()] = False
    """Whether each worker is pinned to a core of its own, from the last one on."""
    backlog: Annotated[int, fields.count(1, 65535)] = 4096
    """Connections that wait to be accepted before SYNs are dropped (listen(2))."""
    reuse_address: Annotated[bool, fields.truth()] = True
    """Whether it binds with SO_REUSEADDR: without it a port that has TIME-WAITs cannot be bound (K29)."""
    response: Annotated[ByteSize, fields.byte_size("0B", "16MiB")] = ByteSize(128)
    """Size of a response's body; with protocol: raw, of a response."""
    delay: Annotated[Duration, fields.duration("0", "1min")] = Duration(0)
    """How long the server waits before it answers."""
    idle_timeout: Annotated[Duration, fields.duration("1ms", "1h")] = Duration.parse("60s")
    """How long the server keeps a connection on which nothing happens."""
    per_client: Annotated[int | None, fields.count(1, 60_000)] = None
    """Connections that one client address may have; the server closes those beyond at once."""
    command: Command | None = None
    """The program and its arguments, with kind: command; {port}, {dir} and others are filled in."""
    needs: Needs | None = None
    """Programs that the command starts, and modules of {python} (python:NAME): refused if one is missing."""
    files: Files = Field(default_factory=dict[str, str])
    """Files that the command finds in its directory {dir}, by name; filled in likewise."""
    ready: Annotated[Duration, fields.duration("100ms", "20s")] = Duration.parse("5s")
    """How long the command may take until it listens on the port."""
    expect_status: Annotated[int | None, fields.count(-64, 255)] = None
    """The exit status by which the command ends by itself while the load lasts, or minus the number of the
    signal that ends it; any other end is an error. Without it, each end is."""
