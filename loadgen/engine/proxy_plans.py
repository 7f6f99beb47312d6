"""What a proxy changes in a variant's plans: the lab, whom the driver connects to, what the server does."""

from pathlib import Path

from loadgen.engine.commands import command
from loadgen.lab.lab import Lab
from loadgen.lab.proxied import PROXY, proxied_lab, sources_of
from loadgen.lab.spec import LabSpec
from loadgen.programs import proxies
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.scenario.choices import Family, ProxyCloser, ProxyKind
from loadgen.scenario.document import Variant
from loadgen.tcp import Ending, Side

ANY_NUMBER = 1_000_000_000
"""Requests on a connection to a server that closes only when HTTP says so."""


def lab_spec(variant: Variant) -> LabSpec:
    """The lab of a variant with topology: proxy."""
    lab = variant.lab
    return proxied_lab(
        family=lab.family,
        port=variant.server.port,
        server_ports=variant.server.ports,
        ports=(lab.client.ports.first, lab.client.ports.last),
        proxy_ports=(lab.proxy.ports.first, lab.proxy.ports.last),
        client_addresses=lab.client.addresses,
        proxy_addresses=lab.proxy.addresses,
        server_addresses=lab.server.addresses,
        sysctls={"client": lab.sysctl.client, PROXY: lab.sysctl.proxy, "server": lab.sysctl.server},
        backlog=variant.server.backlog,
    )


def destinations(variant: Variant, lab: Lab) -> tuple[str, ...]:
    """The addresses that the driver connects to."""
    return lab.addresses[PROXY if variant.proxy else Side.SERVER]


def servers_ending(variant: Variant) -> Ending:
    """Who closes a connection that the server has accepted, and how."""
    if variant.proxy is None:
        return variant.connection.ending_by(Side.SERVER)
    return Ending.SERVER_FIN if variant.proxy.closer is ProxyCloser.SERVER else Ending.CLIENT_FIN


def servers_requests(variant: Variant) -> int:
    """How many requests of a connection the server answers before it closes."""
    return variant.connection.requests if variant.proxy is None else ANY_NUMBER


def proxy_plan(variant: Variant, lab: Lab, directory: Path) -> CommandPlan | None:
    """The proxy's; None without one. `directory` is the variant's in the run."""
    proxy = variant.proxy
    if proxy is None:
        return None
    place = directory / PROXY
    if proxy.kind is ProxyKind.COMMAND:
        return command(variant, lab, proxy, place, variant.server.port, proxy.ready)
    (host,) = lab.addresses[PROXY]
    ipv6 = variant.lab.family is Family.IPV6
    asked = proxies.Asked(
        listen=_literal(host, variant.server.port, ipv6),
        servers=tuple(
            _literal(each, variant.server.port + number, ipv6)
            for number in range(variant.server.ports)
            for each in lab.addresses[Side.SERVER]
        ),
        sources=tuple(
            f"[{each}]" if ipv6 else each
            for each in sources_of(variant.lab.family, Side.SERVER, variant.lab.proxy.addresses)
        ),
        connections=variant.load.loop.connections,
        backlog=variant.server.backlog,
        settings=proxy,
    )
    program = proxies.NGINX if proxy.kind is ProxyKind.NGINX else proxies.HAPROXY
    return CommandPlan(
        argv=program.argv(str(place.absolute())),
        directory=str(place.absolute()),
        files={program.file: program.configure(asked)},
        port=variant.server.port,
        limit_ns=proxy.ready,
    )


def _literal(host: str, port: int, ipv6: bool) -> str:
    return f"[{host}]:{port}" if ipv6 else f"{host}:{port}"
