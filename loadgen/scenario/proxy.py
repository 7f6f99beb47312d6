"""`proxy:`, the program between client and server; `lab.proxy`, its place in the lab."""

from typing import Annotated

from pydantic import Field

from loadgen.scenario import fields
from loadgen.scenario.choices import (
    MOST_ADDRESSES,
    ConnectionHeader,
    Http,
    ProxyCloser,
    ProxyKind,
    ProxyReuse,
)
from loadgen.scenario.model import Command, Files, Model
from loadgen.text.units import Duration, PortRange


class LabProxy(Model):
    """The proxy's place in the lab, with topology: proxy."""

    ports: Annotated[PortRange, fields.port_range()] = PortRange(32768, 60999)
    """The proxy's ephemeral ports, both ends included: those of its connections to the server."""
    addresses: Annotated[int, fields.count(1, MOST_ADDRESSES)] = 1
    """Its addresses towards the server, each with the whole range. nginx takes one at random for each
    connection (proxy_bind), HAProxy one after the other (source)."""


class Proxy(Model):
    """What accepts the client's connections and opens others to the server, with topology: proxy."""

    kind: ProxyKind
    """The program: nginx or haproxy, configured by churn, or any command."""
    http: Http = Http.V1_1
    """With nginx, the version of its requests to the server (proxy_http_version)."""
    keep: Annotated[int, fields.count(0, 10_000)] = 0
    """Idle connections to the server that it keeps for later requests; 0: it keeps none."""
    connection_header: ConnectionHeader = ConnectionHeader.CLEARED
    """With nginx, the Connection header of its requests: cleared, or its default, which is close."""
    reuse: ProxyReuse = ProxyReuse.ALWAYS
    """With HAProxy, which idle connections it uses again (http-reuse)."""
    closer: ProxyCloser = ProxyCloser.SERVER
    """Who closes a connection to the server first, once a response has ended it."""
    idle_timeout: Annotated[Duration, fields.duration("100ms", "1h")] = Duration.parse("60s")
    """How long it keeps an idle connection to the server."""
    command: Command | None = None
    """The program and its arguments, with kind: command; {port}, {server}, {dir} and others are filled in."""
    files: Files = Field(default_factory=dict[str, str])
    """Files that the command finds in its directory {dir}, by name; filled in likewise."""
    ready: Annotated[Duration, fields.duration("100ms", "20s")] = Duration.parse("5s")
    """How long the program may take until it listens on the port."""
