"""Ways to close that other settings do not allow."""

from collections.abc import Iterator

from loadgen.scenario.choices import ApplicationProtocol, Driver, ServerKind
from loadgen.scenario.closer_checks import closer_conflicts
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.tcp import Close, Closer

UNSENT_LEAST = 16 << 10
"""Bytes of a message: more than the receiver has room for, so that some are unsent."""
UNSENT_MOST = 128 << 10
"""A send queue holds so many, net.core.wmem_max being 208 KiB, its default."""


def closing_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between `connection.close`, `connection.linger` and other settings."""
    connection = settings.connection
    close, closer = connection.close, connection.closer
    if closer in (Closer.BOTH, Closer.NOBODY):
        yield from closer_conflicts(settings)
        return
    if connection.linger is not None:
        yield from _linger(settings)
    if close in (Close.FIN, Close.RST) and connection.linger is None:
        return
    what = f"close: {close}" if connection.linger is None else f"close: {close} with linger"
    if close is Close.UNSENT:
        yield from _unsent(settings)
    able = settings.load.driver in (Driver.AUTO, Driver.PROTOCOL)
    if connection.client_takes_part and not able:
        yield Conflict(
            ("load.driver",),
            f"the {settings.load.driver} driver cannot do the client's part of {what} by the {closer}",
            "use driver: protocol, or auto, which takes it",
        )
    if closer is Closer.SERVER and settings.server.kind is not ServerKind.PROTOCOL:
        yield Conflict(
            ("server.kind",),
            f"a server of kind {settings.server.kind} cannot close by {what}",
            "use server.kind: protocol, or close: fin or rst",
        )


def _linger(settings: Settings) -> Iterator[Conflict]:
    connection = settings.connection
    assert connection.linger is not None
    if connection.close in (Close.RST, Close.UNREAD):
        yield Conflict(
            ("connection.linger", "connection.close"),
            f"close: {connection.close} resets the connection, and nothing is left to wait for",
            "leave connection.linger out, or use close: fin",
        )
    elif connection.linger == 0 and connection.close is not Close.UNSENT:
        yield Conflict(
            ("connection.linger", "connection.close"),
            f"SO_LINGER {{1, 0}} sends a RST, and close is {connection.close}",
            "use close: rst; or close: unsent, to have unsent bytes lost",
        )
    elif connection.linger % 1_000_000_000:
        yield Conflict(
            ("connection.linger",),
            f"SO_LINGER counts whole seconds, and linger is {connection.linger}",
            "write 1s, or more",
        )


def _unsent(settings: Settings) -> Iterator[Conflict]:
    size = settings.server.response
    if settings.connection.closer is Closer.CLIENT:
        yield from _unsent_by_client(settings)
    elif not UNSENT_LEAST <= size <= UNSENT_MOST:
        yield Conflict(
            ("server.response", "connection.close"),
            f"close: unsent needs a response that stays in the send queue, and it has {int(size):,} bytes",
            f"set server.response from {UNSENT_LEAST >> 10}KiB to {UNSENT_MOST >> 10}KiB",
        )


def _unsent_by_client(settings: Settings) -> Iterator[Conflict]:
    connection = settings.connection
    sizes = f"{UNSENT_LEAST >> 10}KiB to {UNSENT_MOST >> 10}KiB"
    if connection.protocol is not ApplicationProtocol.RAW:
        yield Conflict(
            ("connection.close", "connection.closer"),
            "the client's request is empty but for its headers, and leaves at once: nothing is unsent",
            f"write protocol: raw, and connection.request from {sizes}; or closer: server",
        )
        return
    if not UNSENT_LEAST <= connection.request <= UNSENT_MOST:
        yield Conflict(
            ("connection.request", "connection.close"),
            "close: unsent needs a request that stays in the send queue, and it has"
            f" {int(connection.request):,} bytes",
            f"set connection.request from {sizes}",
        )
    if connection.requests > 1:
        yield Conflict(
            ("connection.requests", "connection.close"),
            "with close: unsent the client closes right behind its first request",
            "write requests: 1",
        )
    if settings.server.kind is ServerKind.COMMAND:
        yield Conflict(
            ("server.kind", "connection.close"),
            "the client closes before a response could come, and a server command would send one",
            "use server.kind: raw, which sends none",
        )
