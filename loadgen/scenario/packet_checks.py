"""Drops and delays of a script that have no place, nothing to act on, or contradict another fault."""

from collections.abc import Iterator

from loadgen.scenario.choices import Act, Driver, Lost, ServerKind, Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.script import Fault
from loadgen.tcp import Closer, Side

_FATES = frozenset({Act.DROP, Act.DELAY})
"""Faults of segments, which act on nothing while the link is down."""


def keys(path: str, fault: Fault) -> Iterator[Conflict]:
    """Keys that these faults need, or that have no meaning without them."""
    if fault.do is Act.DROP and fault.what is None:
        yield Conflict(
            (f"{path}.do",), "it is not said which segments", "write what: fin, or another of them"
        )
    if fault.do is Act.DELAY and fault.by is None:
        yield Conflict((f"{path}.do",), "it is not said how long", "write by: 50ms")
    if fault.do is not Act.DROP and fault.what is not None:
        yield Conflict((f"{path}.what",), f"has no meaning with do: {fault.do}", "remove the key")
    if fault.do is not Act.DELAY and fault.by is not None:
        yield Conflict((f"{path}.by",), f"has no meaning with do: {fault.do}", "remove the key")


def place(path: str, fault: Fault, settings: Settings) -> Iterator[Conflict]:
    """What the topology has no place for, and segments that this side does not send."""
    topology = settings.lab.topology
    if fault.do is Act.DELAY and topology is not Topology.PAIR:
        yield Conflict(
            (f"{path}.do",),
            f"topology {topology} has no link on which one side alone could be delayed",
            "use topology pair, or server.delay",
        )
    elif fault.do is Act.DROP and topology is Topology.HOST:
        yield Conflict(
            (f"{path}.do",),
            "the host topology has no namespace of its own, and the host's packet filter is left alone",
            "use topology pair or loopback",
        )
    elif fault.do is Act.DROP and topology is Topology.PROXY:
        yield Conflict(
            (f"{path}.do",),
            "the proxy is at the other end of each side's link, and its segments would be dropped as well",
            "use topology pair",
        )
    if fault.what is Lost.SYN_ACK and fault.on is Side.CLIENT:
        yield Conflict((f"{path}.on", f"{path}.what"), "a client sends no SYN-ACK", "write on: server")
    own = settings.load.driver is not Driver.COMMAND and settings.server.kind is not ServerKind.COMMAND
    closer = settings.connection.closer
    if fault.what is not Lost.LAST_ACK or not own:
        return
    if closer is Closer.NOBODY:
        message = "no side closes, and a last ACK follows two FINs"
        yield Conflict((f"{path}.what", "connection.closer"), message, "write closer: client or server")
    elif closer in (Closer.CLIENT, Closer.SERVER) and fault.on.value != closer.value:
        yield Conflict(
            (f"{path}.on", "connection.closer"),
            f"the {closer} closes first, and so the last ACK is sent by the {closer}",
            f"write on: {closer}",
        )


def clash(one: Fault, other: Fault) -> str:
    """Why two faults that overlap cannot both act on segments; empty if they can."""
    acts = {one.do, other.do}
    if acts & _FATES and acts & {Act.CUT, Act.CRASH}:
        return "no segment passes a link that is down"
    if one.do is not other.do or one.do not in _FATES:
        return ""
    if one.on is other.on:
        if one.do is Act.DELAY:
            return "the link has one delay at a time"
        if one.what is other.what:
            return "both drop the same segments"
        if Lost.ALL in (one.what, other.what):
            return "all segments are dropped already"
    whats = {one.what, other.what}
    if Lost.LAST_ACK in whats and whats & {Lost.FIN, Lost.ALL}:
        return "a last ACK follows two FINs, and one of them does not arrive"
    return ""
