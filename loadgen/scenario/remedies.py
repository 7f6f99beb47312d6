"""The catalogue of remedies: each changes a workload that runs out of ports, by overrides of its keys."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from loadgen.scenario import merge
from loadgen.scenario.checks import check
from loadgen.scenario.choices import ServerKind, Topology
from loadgen.scenario.document import Settings, Variant
from loadgen.tcp import Side
from loadgen.text.nodes import Mapping as Node
from loadgen.text.problem import Problem, ScenarioError
from loadgen.text.units import HIGHEST_PORT, LOWEST_PORT, PortRange
from loadgen.text.yaml import compose

NOTHING = "nothing"
"""The name of the workload as it is, beside its remedies."""

_FEW = 10
"""The part of the ports that few-buckets leaves to TIME-WAITs: a tenth."""

_IDLE = 64
"""How many idle connections are kept for an open loop, which has as many in flight as it takes."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy.

    name      the variant's
    sentence  what it changes
    sets      its overrides, KEY=VALUE as --set takes them; {words} are those of `_words`
    behind    the same where a proxy opens the connections that run out of ports; empty if it is not for them
    by        the sides whose programs have to be churn's own: others decide by themselves what it changes
    """

    name: str
    sentence: str
    sets: tuple[str, ...]
    behind: tuple[str, ...] = ()
    by: Callable[[Variant], Collection[Side]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """A remedy that cannot be applied to a workload, and why."""

    remedy: Remedy
    reason: str


_RANGE = ("{range}={twice_range}",)
_REUSE = ("lab.sysctl.{opener}.net.ipv4.tcp_tw_reuse=1",)
_DELAY = (*_REUSE, "lab.sysctl.{opener}.net.ipv4.tcp_tw_reuse_delay=100")
_BLIND = (*_REUSE, "lab.sysctl.{opener}.net.ipv4.tcp_timestamps=0")
_BUCKETS = ("lab.sysctl.{opener}.net.ipv4.tcp_max_tw_buckets={few}",)


def _driver(_: Variant) -> Collection[Side]:
    return (Side.CLIENT,)


def _both(_: Variant) -> Collection[Side]:
    return tuple(Side)


def _closer(base: Variant) -> Collection[Side]:
    return (base.connection.ending.side,)


CATALOGUE = (
    Remedy("wider-range", "Twice as many ports (net.ipv4.ip_local_port_range).", _RANGE, _RANGE),
    Remedy(
        "sources",
        "Twice as many addresses of the client: each has the whole range.",
        ("lab.client.addresses={twice_sources}",),
    ),
    Remedy(
        "destinations",
        "Twice as many addresses of the server: the range is there once towards each.",
        ("lab.server.addresses={twice_destinations}",),
    ),
    Remedy(
        "server-ports",
        "Twice as many ports of the server: the range is there once towards each.",
        ("server.ports={twice_server_ports}",),
    ),
    Remedy(
        "local-port-range",
        "Each socket has the range as its own (IP_LOCAL_PORT_RANGE): connect() does not search it"
        " (from Linux 6.8).",
        ("lab.client.local_port_range={own_range}",),
        by=_driver,
    ),
    Remedy(
        "bind-late",
        "Twice as many destinations, bind() to an address, and connect() takes the port"
        " (IP_BIND_ADDRESS_NO_PORT).",
        ("lab.server.addresses={twice_destinations}", "lab.client.bind=late"),
        by=_driver,
    ),
    Remedy(
        "bind-early",
        "Twice as many destinations, and bind() takes the port: once over all of them.",
        ("lab.server.addresses={twice_destinations}", "lab.client.bind=early"),
        by=_driver,
    ),
    Remedy("tw-reuse", "connect() takes ports in TIME-WAIT after a second (tcp_tw_reuse).", _REUSE, _REUSE),
    Remedy("tw-reuse-delay", "The same after 100 ms (tcp_tw_reuse_delay).", _DELAY, _DELAY),
    Remedy("no-timestamps", "tcp_tw_reuse without TCP timestamps.", _BLIND, _BLIND),
    Remedy(
        "few-buckets",
        "TIME-WAITs on a tenth of the ports at most (tcp_max_tw_buckets): the kernel destroys the others.",
        _BUCKETS,
        _BUCKETS,
    ),
    Remedy(
        "kept",
        "Connections are kept for ten times as many requests.",
        ("connection.requests={more_requests}",),
        ("proxy.keep={connections}",),
        by=_driver,
    ),
    Remedy(
        "pool",
        "A pool keeps idle connections for the next requests.",
        ("connection.requests={more_requests}", "load.pool.idle={connections}"),
        by=_driver,
    ),
    Remedy("rst", "The side that closes first does so by RST.", ("connection.close=rst",), by=_closer),
    Remedy(
        "server-closes",
        "The server closes first.",
        ("connection.closer=server",),
        ("proxy.closer=server",),
        by=_both,
    ),
)


def apply(remedy: Remedy, base: Variant) -> Variant | Unfit:
    """The workload with the remedy, or why it cannot have it."""
    if program := _program(remedy, base):
        return Unfit(remedy, f"{program} decides this by itself")
    proxied = base.lab.topology is Topology.PROXY
    sets = remedy.behind if proxied else remedy.sets
    if not sets:
        return Unfit(remedy, "it is for the client's own connections, and here the proxy's run out of ports")
    words = _words(base)
    own_range = base.lab.client.local_port_range is not None
    if sets is _RANGE and own_range and words["range"] == "lab.client.ports":
        return Unfit(remedy, "lab.client.local_port_range bounds the ports of each socket")
    try:
        settings = overridden(base, [line.format_map(words) for line in sets])
    except ScenarioError as error:
        return Unfit(remedy, "; ".join(_reason(problem) for problem in error.problems))
    if settings == _settings(base):
        return Unfit(remedy, "the workload has it already")
    return Variant(name=remedy.name, **dict(settings))


def overridden(base: Settings, overrides: Sequence[str]) -> Settings:
    """Settings with overrides as --set takes them. Raises ScenarioError if they are wrong or conflict."""
    fields = set(Settings.model_fields)
    # What was not written stays unwritten: checks distinguish a key from its default.
    data = base.model_dump(mode="json", include=fields, exclude_unset=True, exclude_none=True, by_alias=True)
    tree = compose(json.dumps(data), "workload")
    assert isinstance(tree, Node)
    for line in overrides:
        tree = merge.overlay(tree, merge.read_override(line, fields))
    return check(tree)


def _settings(variant: Variant) -> Settings:
    return Settings.model_validate({name: getattr(variant, name) for name in Settings.model_fields})


def _program(remedy: Remedy, base: Variant) -> str:
    """The program that stands where the remedy needs churn's own; empty if none does."""
    sides = remedy.by(base)
    if Side.CLIENT in sides and base.load.program:
        return base.load.program
    if Side.SERVER in sides and base.server.kind is ServerKind.COMMAND:
        return (base.server.command or ("the server's program",))[0]
    return ""


def _reason(problem: Problem) -> str:
    if problem.message == "unknown key":
        return f"this churn has no key {problem.key_path}"
    return f"{problem.key_path}: {problem.message}" if problem.key_path else problem.message


def _words(base: Variant) -> Mapping[str, object]:
    """What overrides are made of, from the workload.

    The side that opens the connections that run out of ports, and the key of its range; twice its ports,
    addresses and so on; how many TIME-WAITs few are; how many connections there can be at a time.
    """
    lab, topology = base.lab, base.lab.topology
    opener = "proxy" if topology is Topology.PROXY else "client"
    owner = "nat" if topology is Topology.NAT else opener
    ports: PortRange = getattr(lab, owner).ports
    own: PortRange = getattr(lab, opener).ports
    held = (
        lab.proxy.ports.count * base.upstream_paths
        if opener == "proxy"
        else lab.client.range.count * base.paths
    )
    connections = base.load.loop.connections
    return {
        "opener": opener,
        "range": f"lab.{owner}.ports",
        "twice_range": _twice(ports),
        "own_range": own,
        "twice_sources": 2 * lab.client.addresses,
        "twice_destinations": 2 * lab.server.addresses,
        "twice_server_ports": 2 * base.server.ports,
        "few": max(1, held // _FEW),
        "more_requests": 10 * base.connection.requests,
        "connections": min(_IDLE, connections) if base.load.open_loop else connections,
    }


def _twice(ports: PortRange) -> PortRange:
    """Twice as many ports, those of `ports` among them; fewer if there are no more."""
    last = min(ports.first + 2 * ports.count - 1, HIGHEST_PORT)
    return PortRange(max(LOWEST_PORT, last - 2 * ports.count + 1), last)
