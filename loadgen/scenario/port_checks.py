"""Addresses and ports that other settings do not allow."""

from collections.abc import Iterator

from loadgen.scenario.choices import Act, Bind, Driver, ProxyKind, ServerKind, Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.text.units import HIGHEST_PORT


def needs_protocol(settings: Settings) -> str:
    """Why uring does not serve here, as what another driver does; empty if it does."""
    if settings.lab.client.binds is Bind.EARLY:
        return "it times bind(), in which the kernel looks for a port with bind: early"
    return ""


def port_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between how ports are taken, or the server's ports, and other settings."""
    yield from _capacity(settings)
    yield from _bind(settings)
    yield from _local_range(settings)
    yield from _beside_a_proxy(settings)
    if settings.server.ports > 1:
        yield from _server_ports(settings)


def _capacity(settings: Settings) -> Iterator[Conflict]:
    loop = settings.load.closed_loop
    capacity = settings.lab.client.range.count * settings.paths
    if loop and loop.connections > capacity:
        # A connection holds one port per source and destination, or per source alone (K7, K10).
        yield Conflict(
            ("load.closed_loop.connections", "load.stages", "lab.client.ports"),
            f"{loop.connections:,} connections in flight exceed the client's {capacity:,} ports",
            _wider(settings),
        )


def _wider(settings: Settings) -> str:
    """What gives the client more ports."""
    client = settings.lab.client
    if client.binds is Bind.EARLY and settings.destinations > 1:
        return "write bind: late, so that each port is there once for each destination"
    wider = "local_port_range" if client.local_port_range else "ports"
    return f"widen lab.client.{wider}, or add lab.client.addresses"


def _bind(settings: Settings) -> Iterator[Conflict]:
    client, driver = settings.lab.client, settings.load.driver
    if client.bind is None:
        return
    if driver is Driver.COMMAND:
        yield Conflict(
            ("lab.client.bind",),
            "the driver is a command, which binds its sockets by itself, or does not",
            "remove the key, and give the command its own option",
        )
    elif client.bind is Bind.EARLY and driver is Driver.URING:
        yield Conflict(
            ("lab.client.bind", "load.driver"),
            "the uring driver times connect() alone, and with bind: early the kernel looks for a port in"
            " bind()",
            "use driver: protocol or aiohttp, or auto, which takes protocol; or write bind: late",
        )
    if client.bind is Bind.NONE and client.addresses > 1:
        yield Conflict(
            ("lab.client.bind", "lab.client.addresses"),
            f"without bind() the kernel gives every connection the same source address, and"
            f" {client.addresses} are asked for",
            "write bind: late, or addresses: 1",
        )


def _local_range(settings: Settings) -> Iterator[Conflict]:
    client = settings.lab.client
    asked, ports = client.local_port_range, client.ports
    if asked is None:
        return
    path = "lab.client.local_port_range"
    if settings.load.driver is Driver.COMMAND:
        yield Conflict(
            (path,),
            "is an option of each socket (IP_LOCAL_PORT_RANGE), and the driver is a command",
            "remove the key, and narrow lab.client.ports",
        )
    if settings.lab.topology is Topology.HOST:
        yield Conflict(
            (path, "lab.topology"),
            "the host topology leaves the host's port range as it is, and the kernel ignores what is outside"
            " of that",
            "use topology pair or loopback",
        )
    elif not (ports.first <= asked.first and asked.last <= ports.last):
        # Each end that is outside is ignored for itself, without an error (K9).
        yield Conflict(
            (path, "lab.client.ports"),
            f"{asked} is not within lab.client.ports, {ports}: the kernel ignores each end of the range that"
            " is outside, without an error",
            f"choose a part of {ports}, or widen lab.client.ports",
        )


def _beside_a_proxy(settings: Settings) -> Iterator[Conflict]:
    server, ports = settings.server, settings.lab.client.ports
    last = server.port + server.ports - 1
    if settings.lab.topology is Topology.PROXY and server.port <= ports.last and last >= ports.first:
        yield Conflict(
            ("server.port", "lab.client.ports"),
            f"the client's ports {ports} include some of the server's, {server.port} to {last}, by which the"
            " proxy's two sides are told apart",
            "choose server.port outside of lab.client.ports",
        )


def _server_ports(settings: Settings) -> Iterator[Conflict]:
    server, lab = settings.server, settings.lab
    last = server.port + server.ports - 1
    if last > HIGHEST_PORT:
        yield Conflict(
            ("server.ports", "server.port"),
            f"{server.ports} ports from {server.port} on end at {last}, and the highest is {HIGHEST_PORT}",
            "lower server.port or server.ports",
        )
    first, highest = lab.client.ports.first, lab.client.ports.last
    if lab.topology.shared and server.port <= highest and last >= first:
        yield Conflict(
            ("server.ports", "server.port", "lab.client.ports"),
            f"topology {lab.topology} is one namespace, and the client's ports {lab.client.ports} include"
            f" some of the server's, {server.port} to {last}",
            "choose server.port outside of lab.client.ports, or use topology pair",
        )
    for what, key in (
        ("server", server.kind is ServerKind.COMMAND),
        ("load", settings.load.driver is Driver.COMMAND),
        ("proxy", settings.proxy is not None and settings.proxy.kind is ProxyKind.COMMAND),
    ):
        if key:
            yield Conflict(
                ("server.ports",),
                f"{what}.command knows the server by one port, {{port}}",
                "remove the key, or add lab.server.addresses" if what == "proxy" else "remove the key",
            )
    if settings.capture is not None:
        yield Conflict(
            ("capture", "server.ports"),
            "a capture is of one port of the server",
            "use lab.server.addresses for several destinations, or remove one of the keys",
        )
    for number, fault in enumerate(settings.script):
        if fault.do is Act.DROP:
            yield Conflict(
                (f"script.{number}.do", "server.ports"),
                "do: drop is of the segments of one port of the server",
                "use lab.server.addresses for several destinations, or write do: cut",
            )
