"""Settings that contradict the application protocol: HTTP, or raw TCP."""

from collections.abc import Iterator

from loadgen.scenario.choices import ApplicationProtocol, Driver, ServerKind
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.tcp import Close, Closer

SENT_AT_ONCE = 4 << 10
"""Bytes of a request that every kernel takes at once."""
_HTTP_KINDS = frozenset({ServerKind.PROTOCOL, ServerKind.AIOHTTP})


def protocol_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between `connection.protocol` and what speaks it."""
    if settings.connection.protocol is ApplicationProtocol.RAW:
        yield from _raw(settings)
    else:
        yield from _http(settings)


def _http(settings: Settings) -> Iterator[Conflict]:
    if settings.server.kind is ServerKind.RAW:
        yield Conflict(
            ("server.kind", "connection.protocol"),
            "kind raw does not speak HTTP, and connection.protocol is http",
            "write connection: {protocol: raw}, or kind: protocol",
        )
    if "request" in settings.connection.model_fields_set:
        yield Conflict(
            ("connection.request",),
            "is the size of a raw request, and connection.protocol is http",
            "write protocol: raw, or remove the key",
        )


def _raw(settings: Settings) -> Iterator[Conflict]:
    connection, server, load = settings.connection, settings.server, settings.load
    if "http" in connection.model_fields_set:
        yield Conflict(
            ("connection.http", "connection.protocol"),
            "is a version of HTTP, and connection.protocol is raw",
            "remove the key, or write protocol: http",
        )
    if server.kind in _HTTP_KINDS:
        yield Conflict(
            ("server.kind", "connection.protocol"),
            f"server.kind is {server.kind}, which speaks HTTP, and connection.protocol is raw",
            "write server: {kind: raw}, or protocol: http",
        )
    if load.driver is Driver.AIOHTTP:
        yield Conflict(
            ("load.driver", "connection.protocol"),
            "aiohttp's client speaks HTTP, and connection.protocol is raw",
            "write driver: auto, uring or protocol, or protocol: http",
        )
    own_unsent = connection.close is Close.UNSENT and connection.closer is Closer.CLIENT
    if connection.request > SENT_AT_ONCE and not own_unsent and load.driver is not Driver.COMMAND:
        yield Conflict(
            ("connection.request",),
            f"{int(connection.request):,} bytes may not leave in one send(), as the drivers have it",
            f"write {SENT_AT_ONCE >> 10}KiB or less; or closer: client and close: unsent",
        )
    if not server.response:
        yield Conflict(
            ("server.response",),
            "a raw response has no header: without a byte there is nothing that a client could wait for",
            "write 1B or more",
        )
    if server.kind is ServerKind.COMMAND and load.driver is Driver.COMMAND:
        yield Conflict(
            ("connection.protocol",),
            "both sides are commands, which decide by themselves what they send",
            "remove the key, or let churn be one of the sides",
        )
    for place, argument in enumerate(load.command or ()):
        if "{url}" in argument:
            yield Conflict(
                (f"load.command.{place}",),
                "{url} is an address of HTTP, and connection.protocol is raw",
                "write {host} and {port}",
            )
