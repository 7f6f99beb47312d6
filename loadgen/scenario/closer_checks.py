"""Settings that contradict `closer: both` or `closer: nobody`."""

from collections.abc import Iterator

from loadgen.scenario.choices import Driver, ServerKind, Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.stages import highest
from loadgen.scenario.traffic import Load
from loadgen.tcp import Close, Closer

OWN_SERVERS = frozenset({ServerKind.PROTOCOL, ServerKind.RAW})
"""Those of which it is known when they close."""
CROSSING_RESPONSE = 1 << 10
"""Bytes of a response whose segment leaves in time over a link that holds back what the server sends."""
CROSSING_RATE = 200
"""Connections a second that such a link carries."""
CROSSING_CONNECTIONS = 128
"""Connections at a time that such a link serves without one waiting long for another."""


def closer_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction of a closer that is not one side with the rest."""
    connection, load = settings.connection, settings.load
    closer = connection.closer
    if load.driver is Driver.COMMAND:
        yield Conflict(
            ("connection.closer", "load.driver"),
            f"the client is a command, which decides by itself when it closes, and closer is {closer}",
            "write closer: client or server, as the command does",
        )
        return
    if load.driver not in (Driver.AUTO, Driver.PROTOCOL):
        yield Conflict(
            ("load.driver", "connection.closer"),
            f"the {load.driver} driver cannot do the client's part of closer: {closer}",
            "use driver: protocol, or auto, which takes it",
        )
    for key, is_set in (
        ("close", connection.close is not Close.FIN),
        ("linger", connection.linger is not None),
    ):
        if is_set:
            why = "no side closes" if closer is Closer.NOBODY else "both sides close by FIN alone"
            yield Conflict(
                (f"connection.{key}", "connection.closer"),
                f"closer is {closer}: {why}",
                "remove the key, or name one side as the closer",
            )
    yield from _both(settings) if closer is Closer.BOTH else _nobody(settings)


def _both(settings: Settings) -> Iterator[Conflict]:
    load, server = settings.load, settings.server
    if settings.lab.topology is not Topology.PAIR:
        yield Conflict(
            ("lab.topology", "connection.closer"),
            f"FINs cross on a link that holds them back, and topology {settings.lab.topology} has no link",
            "use topology: pair, or closer: client or server",
        )
    if server.kind not in OWN_SERVERS:
        yield Conflict(
            ("server.kind", "connection.closer"),
            f"a server of kind {server.kind} does not close at the same time as the client",
            "use server.kind: protocol or raw, or closer: client or server",
        )
    if server.response > CROSSING_RESPONSE:
        yield Conflict(
            ("server.response", "connection.closer"),
            f"with closer: both the link holds back what the server sends, and {int(server.response):,} bytes"
            " take too long",
            f"set server.response to {CROSSING_RESPONSE >> 10}KiB or less",
        )
    if load.open_loop and load.open_loop.rate > CROSSING_RATE:
        yield Conflict(
            (_highest(load, "rate"), "load.open_loop.rate", "connection.closer"),
            "with closer: both the link holds back what the server sends, and carries"
            f" {CROSSING_RATE} connections/s",
            f"offer {CROSSING_RATE}/s or less",
        )
    if load.closed_loop and load.closed_loop.connections > CROSSING_CONNECTIONS:
        yield Conflict(
            (_highest(load, "connections"), "load.closed_loop.connections", "connection.closer"),
            "with closer: both the link holds back what the server sends, and serves"
            f" {CROSSING_CONNECTIONS} connections at a time",
            f"keep {CROSSING_CONNECTIONS} or fewer in flight",
        )


def _highest(load: Load, key: str) -> str:
    """The path of the first stage that has the load's level; that of a loop without stages is not there."""
    most = highest(load.stages)
    place = next((place for place, stage in enumerate(load.stages) if stage.level == most), 0)
    return f"load.stages.{place}.{key}"


def _nobody(settings: Settings) -> Iterator[Conflict]:
    load, server = settings.load, settings.server
    if load.closed_loop:
        yield Conflict(
            ("load.closed_loop", "load.stages", "connection.closer"),
            "a closed loop opens a connection when another ends, and with closer: nobody none ends",
            "write open_loop: {rate: 50/s}",
        )
    if server.kind is not ServerKind.COMMAND and server.idle_timeout <= load.duration:
        yield Conflict(
            ("server.idle_timeout", "connection.closer"),
            f"the server closes connections that are idle for {server.idle_timeout}, and the load lasts"
            f" {load.duration}",
            "raise server.idle_timeout beyond load.duration, or write closer: server",
        )
