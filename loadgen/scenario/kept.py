"""Kept connections: the settings that need one; and what not every driver can follow."""

from collections.abc import Iterator

from loadgen.scenario.choices import Driver, Read, ServerKind
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.tcp import Side

ABLE = {
    "connection.look": frozenset({Driver.PROTOCOL}),
    "connection.retry": frozenset({Driver.PROTOCOL}),
    "connection.read": frozenset({Driver.PROTOCOL}),
    "connection.keepalive": frozenset({Driver.PROTOCOL, Driver.AIOHTTP}),
    "load.pool": frozenset({Driver.PROTOCOL}),
}
"""The drivers that can do what each setting asks of the client, if it asks for anything."""


def asked(settings: Settings) -> Iterator[str]:
    """The settings of `ABLE` that ask for something."""
    connection = settings.connection
    if not connection.look:
        yield "connection.look"
    if connection.retry:
        yield "connection.retry"
    if connection.read is not Read.ALL:
        yield "connection.read"
    if connection.keepalive and Side.CLIENT in connection.keepalive.on.sides:
        yield "connection.keepalive"
    if settings.load.pool is not None:
        yield "load.pool"


def obstacle(driver: Driver, settings: Settings) -> str:
    """Why the driver cannot make this load, as a sentence; empty if it can."""
    keys = [key for key in asked(settings) if driver not in ABLE[key]]
    return f"the {driver} driver cannot follow {' and '.join(keys)}" if keys else ""


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction of what is said of kept connections with the rest."""
    yield from _drivers(settings)
    yield from _never_kept(settings)
    yield from _keepalive(settings)
    yield from _per_client(settings)


def _drivers(settings: Settings) -> Iterator[Conflict]:
    driver = settings.load.driver
    for key in asked(settings):
        if driver is Driver.COMMAND:
            message = "a command decides this by itself"
            yield Conflict((key,), message, "remove the key, and configure it in the command or its files")
        elif driver is not Driver.AUTO and driver not in ABLE[key]:
            message = f"the {driver} driver cannot follow {key}"
            able = " or ".join(sorted({*ABLE[key], Driver.AUTO}))
            yield Conflict(("load.driver", key), message, f"write load.driver: {able}")


def _never_kept(settings: Settings) -> Iterator[Conflict]:
    connection = settings.connection
    if connection.requests > 1:
        return
    for key, is_set in (("look", not connection.look), ("retry", bool(connection.retry))):
        if is_set:
            yield Conflict(
                (f"connection.{key}", "connection.requests"),
                "is about kept connections, and with one request none is kept",
                "raise connection.requests, or remove the key",
            )


def _keepalive(settings: Settings) -> Iterator[Conflict]:
    keepalive = settings.connection.keepalive
    if keepalive is None:
        return
    if Side.SERVER in keepalive.on.sides and settings.server.kind is ServerKind.COMMAND:
        yield Conflict(
            ("connection.keepalive.on", "connection.keepalive"),
            "the server is a command, which decides this by itself",
            "write on: client, and configure the server's in its command or files",
        )
    if keepalive.idle >= settings.load.duration:
        yield Conflict(
            ("connection.keepalive.idle", "load.duration"),
            f"no probe is sent in a load of {settings.load.duration}: a connection is silent for"
            f" {keepalive.idle} before the first one",
            "load for longer, or lower connection.keepalive.idle",
        )


def _per_client(settings: Settings) -> Iterator[Conflict]:
    server, connections = settings.server, settings.load.loop.connections
    if server.per_client is None:
        return
    if server.kind is ServerKind.COMMAND:
        message = "a command decides this by itself"
        hint = "remove the key, and configure it in the command or its files"
        yield Conflict(("server.per_client",), message, hint)
        return
    if server.workers > 1:
        yield Conflict(
            ("server.per_client", "server.workers"),
            "each worker would count the connections that it has accepted, and not those of the others",
            "use one server worker",
        )
    if settings.load.driver is not Driver.COMMAND and server.per_client > connections:
        loop = "open_loop" if settings.load.open_loop else "closed_loop"
        yield Conflict(
            ("server.per_client", f"load.{loop}.connections"),
            f"no client has as many as {server.per_client:,} connections: the load has at most"
            f" {connections:,}",
            f"lower server.per_client, or raise load.{loop}.connections",
        )
