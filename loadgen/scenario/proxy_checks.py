"""Settings that contradict the proxy, or the lack of one."""

from collections.abc import Iterator

from loadgen.scenario.choices import ApplicationProtocol, ProxyKind, ServerKind, Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.proxy import Proxy
from loadgen.tcp import Closer, How, Side


def proxy_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between `proxy`, the topology, and the rest."""
    lab, proxy = settings.lab, settings.proxy
    if lab.topology is not Topology.PROXY:
        yield from _no_proxy(settings)
    elif proxy is None:
        yield Conflict(
            ("lab.topology", "proxy"),
            "topology proxy has a node for a proxy, and no program is named for it",
            "write proxy: {kind: nginx} or {kind: haproxy}, or leave the topology at pair",
        )
    else:
        yield from _program(proxy)
        if proxy.kind is ProxyKind.COMMAND and lab.proxy.addresses > 1:
            yield Conflict(
                ("lab.proxy.addresses", "proxy.kind"),
                "the proxy is a command, which decides by itself which address it connects from",
                "remove the key, or write kind: nginx or haproxy",
            )
        yield from _client(settings)
        yield from _server(settings, proxy)


def _no_proxy(settings: Settings) -> Iterator[Conflict]:
    lab = settings.lab
    remedy = "write lab: {topology: proxy}, or remove the key"
    if settings.proxy is not None:
        message = f"topology {lab.topology} has no place for a proxy"
        yield Conflict(("proxy", "lab.topology"), message, remedy)
    for key, is_set in (
        ("lab.proxy", bool(lab.proxy.model_fields_set)),
        ("lab.sysctl.proxy", lab.sysctl.proxy),
    ):
        if is_set:
            yield Conflict((key, "lab.topology"), f"topology {lab.topology} has no proxy", remedy)


def _program(proxy: Proxy) -> Iterator[Conflict]:
    """Settings that the program decides by itself, or cannot follow."""
    if proxy.kind is ProxyKind.COMMAND:
        return  # `checks` refuses what a command decides by itself
    for name in ("command", "files"):
        if name in proxy.model_fields_set:
            yield Conflict(
                (f"proxy.{name}",),
                f"is for commands, and proxy.kind is {proxy.kind}, which churn configures",
                "write kind: command, or remove the key",
            )
    if proxy.kind is ProxyKind.HAPROXY:
        for name in ("http", "connection_header"):
            if name in proxy.model_fields_set:
                yield Conflict(
                    (f"proxy.{name}", "proxy.kind"),
                    "HAProxy has no such setting: it passes on the version of the client's request, and the"
                    " Connection header follows from what it keeps",
                    "remove the key (connection.http is the version of the client's requests), or write kind:"
                    " nginx",
                )
    if proxy.kind is ProxyKind.NGINX and "reuse" in proxy.model_fields_set:
        yield Conflict(
            ("proxy.reuse", "proxy.kind"),
            "nginx has no such setting: it uses any idle connection again",
            "remove the key, or write kind: haproxy",
        )
    if "idle_timeout" in proxy.model_fields_set and not proxy.keep:
        yield Conflict(
            ("proxy.idle_timeout", "proxy.keep"),
            "is of idle connections, and proxy.keep is 0: none is kept",
            "write keep: 1 or more, or remove the key",
        )


def _client(settings: Settings) -> Iterator[Conflict]:
    """What happens between client and proxy: the proxy is no server of churn's."""
    connection, proxy = settings.connection, settings.proxy
    assert proxy is not None
    if connection.protocol is ApplicationProtocol.RAW:
        yield Conflict(
            ("connection.protocol", "proxy.kind"),
            "the proxy's leg to the server is of HTTP, and connection.protocol is raw",
            "remove the key",
        )
    if connection.closer in (Closer.BOTH, Closer.NOBODY):
        yield Conflict(
            ("connection.closer", "proxy.kind"),
            f"{connection.closer} is of a client and churn's own server, and the client's peer is the proxy",
            "write closer: client or server",
        )
    if connection.ending.side is Side.SERVER and connection.ending.how is How.RST:
        yield Conflict(
            ("connection.close", "connection.closer"),
            f"the proxy is the side that closes the client's connections, and {proxy.kind} closes by FIN",
            "write close: fin, or closer: client",
        )
    if settings.capture is not None:
        yield Conflict(
            ("capture", "lab.topology"),
            "the packets of two legs would be mixed: a capture is of one client and one server",
            "use topology pair, or remove the key",
        )
    keepalive = connection.keepalive
    if keepalive is not None and Side.SERVER in keepalive.on.sides:
        yield Conflict(
            ("connection.keepalive.on", "connection.keepalive"),
            "the peer of the client is the proxy, which decides this by itself",
            "write on: client",
        )


def _server(settings: Settings, proxy: Proxy) -> Iterator[Conflict]:
    """What happens between proxy and server."""
    server = settings.server
    if server.kind is ServerKind.RAW:
        yield Conflict(("server.kind", "proxy.kind"), "does not speak HTTP", "write kind: protocol")
    if server.kind is ServerKind.COMMAND and "closer" in proxy.model_fields_set:
        yield Conflict(
            ("proxy.closer", "server.kind"),
            "the server is a command, which decides by itself when to close",
            "remove the key, and configure it in the command or its files",
        )
