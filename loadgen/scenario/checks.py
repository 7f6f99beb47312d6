"""Settings that are each valid and contradict each other."""

from collections.abc import Iterator

from loadgen.scenario import kept, placeholders
from loadgen.scenario.choices import ApplicationProtocol, Driver, Family, ProxyKind, ServerKind, Topology
from loadgen.scenario.closing_checks import closing_conflicts
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings
from loadgen.scenario.endpoints import Server
from loadgen.scenario.merge import split_path
from loadgen.scenario.nat_checks import nat_conflicts
from loadgen.scenario.pool_checks import burst_conflicts, pool_conflicts
from loadgen.scenario.port_checks import port_conflicts
from loadgen.scenario.protocol_checks import protocol_conflicts
from loadgen.scenario.proxy import Proxy
from loadgen.scenario.proxy_checks import proxy_conflicts
from loadgen.scenario.read_checks import read_conflicts
from loadgen.scenario.script_checks import script_conflicts
from loadgen.scenario.stage_checks import stage_conflicts
from loadgen.scenario.traffic import Load
from loadgen.scenario.wording import validate
from loadgen.text.nodes import Mapping, find
from loadgen.text.problem import Problem, ScenarioError


def check(tree: Mapping) -> Settings:
    """The settings that merged nodes describe. Raises ScenarioError if they are wrong or conflict."""
    settings = validate(Settings, tree)
    problems = [_problem(tree, conflict) for conflict in conflicts(settings)]
    if problems:
        raise ScenarioError(problems)
    return settings


def _problem(tree: Mapping, conflict: Conflict) -> Problem:
    """The conflict at the first of its settings that was written: a default has no place."""
    for path in conflict.paths:
        node = find(tree, split_path(path))
        if node is not None:
            return Problem(node.mark, path, conflict.message, conflict.hint)
    return Problem(tree.mark, conflict.paths[0], conflict.message, conflict.hint)


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction within a variant's settings."""
    yield from _host(settings)
    yield from _capture(settings)
    yield from _removed(settings)
    yield from nat_conflicts(settings)
    yield from port_conflicts(settings)
    yield from _shared_sysctls(settings)
    yield from _server_command(settings)
    yield from _load_command(settings)
    yield from protocol_conflicts(settings)
    yield from kept.conflicts(settings)
    yield from closing_conflicts(settings)
    yield from read_conflicts(settings)
    yield from script_conflicts(settings)
    yield from stage_conflicts(settings)
    yield from burst_conflicts(settings)
    yield from pool_conflicts(settings)
    yield from proxy_conflicts(settings)
    if settings.proxy is not None and settings.proxy.kind is ProxyKind.COMMAND:
        yield from _command(
            "proxy",
            settings.proxy,
            "kind",
            ("http", "keep", "connection_header", "reuse", "closer", "idle_timeout"),
        )
    load = settings.load
    if load.workers > load.loop.connections:
        loop = "open_loop" if load.open_loop else "closed_loop"
        yield Conflict(
            ("load.workers", f"load.{loop}.connections"),
            f"{load.workers} load workers need a connection each, and connections is {load.loop.connections}",
            f"use fewer workers, or raise load.{loop}.connections",
        )
    if load.open_loop and settings.connection.think:
        yield Conflict(
            ("connection.think", "load.open_loop"),
            "in an open loop requests arrive at their own instants, without a pause of the client",
            "leave connection.think out, or use load.closed_loop",
        )
    if settings.sample.every > load.duration:
        yield Conflict(
            ("sample.every", "load.duration"),
            f"a sample every {settings.sample.every} does not fit into a load of {load.duration}",
            "sample more often, or load for longer",
        )


def _host(settings: Settings) -> Iterator[Conflict]:
    lab = settings.lab
    if lab.topology is not Topology.HOST:
        return
    for side in ("client", "server"):
        if getattr(lab.sysctl, side):
            message = "the host topology has no namespace of its own, and the host's sysctls are left alone"
            yield Conflict((f"lab.sysctl.{side}",), message, "use topology pair or loopback")
        if lab.family is Family.IPV6 and getattr(lab, side).addresses > 1:
            message = "the host's IPv6 loopback has one address, ::1"
            yield Conflict((f"lab.{side}.addresses",), message, "use family ipv4, or topology pair")


def _capture(settings: Settings) -> Iterator[Conflict]:
    if settings.capture is not None and settings.lab.topology is Topology.HOST:
        message = "the host topology has no namespace of its own, and the host's packets are left alone"
        yield Conflict(("capture", "lab.topology"), message, "use topology pair or loopback")


REMOVED = {
    "net.ipv4.tcp_tw_recycle": (
        "Linux removed it in 4.12: it compared the timestamps of all clients behind one NAT address, and"
        " dropped the SYNs of some",
        "keep connections open (a pool), add source addresses, or set net.ipv4.tcp_tw_reuse on the side that"
        " connects",
    ),
}
"""Sysctls that are still recommended and no longer exist: what became of each, and what to do instead."""


def _removed(settings: Settings) -> Iterator[Conflict]:
    for side in ("client", "server", "proxy", "nat"):
        for key in getattr(settings.lab.sysctl, side):
            if key in REMOVED:
                message, hint = REMOVED[key]
                yield Conflict((f"lab.sysctl.{side}.{key}",), message, hint)


def _shared_sysctls(settings: Settings) -> Iterator[Conflict]:
    """Both sides in one namespace have one value of each sysctl."""
    asked = settings.lab.sysctl
    if not settings.lab.topology.shared:
        return
    for name, value in asked.server.items():
        if asked.client.get(name, value) != value:
            yield Conflict(
                ("lab.sysctl.server", "lab.sysctl.client"),
                f"topology {settings.lab.topology} is one namespace, and {name} is {asked.client[name]} at"
                f" the client and {value} at the server",
                "set it once, or use topology pair",
            )


_OF_A_SERVER_COMMAND = ("command", "needs", "files", "ready", "expect_status")
_NOT_OF_A_SERVER_COMMAND = ("workers", "backlog", "reuse_address", "response", "delay", "idle_timeout")
_NOT_OF_A_LOAD_COMMAND = ("open_loop", "timeouts", "seed")
"""Settings that a command decides by itself: churn can neither set nor read them."""


def _server_command(settings: Settings) -> Iterator[Conflict]:
    server = settings.server
    if server.kind is ServerKind.COMMAND:
        raw = settings.connection.protocol is ApplicationProtocol.RAW
        # No header says how long a raw response is: churn's driver has to know it.
        refused = tuple(key for key in _NOT_OF_A_SERVER_COMMAND if not (raw and key == "response"))
        yield from _command("server", server, "kind", refused)
    else:
        yield from _stray("server", server, f"kind is {server.kind}", "kind", _OF_A_SERVER_COMMAND)


def _load_command(settings: Settings) -> Iterator[Conflict]:
    load = settings.load
    if load.driver is not Driver.COMMAND:
        yield from _stray(
            "load", load, f"driver is {load.driver}", "driver", ("command", "needs", "files", "expect_status")
        )
        return
    # Stages stand for a loop that nobody wrote, and are refused by themselves.
    refused = tuple(key for key in _NOT_OF_A_LOAD_COMMAND if not (load.stages and key == "open_loop"))
    yield from _command("load", load, "driver", refused)
    if settings.connection.think:
        yield _own("connection.think")
    for side in ("client", "server"):
        if getattr(settings.lab, side).addresses > 1:
            message = "a command as driver uses one address on each side"
            yield Conflict((f"lab.{side}.addresses",), message, "leave it at 1")


def _command(
    part: str, model: Server | Load | Proxy, key: str, refused: tuple[str, ...]
) -> Iterator[Conflict]:
    """Conflicts of a part of the settings that has a command."""
    if not model.command or not model.command[0]:
        example = '[wrk, "{url}"]' if part == "load" else '[nginx, -p, "{dir}", -c, nginx.conf]'
        message = f"{part}.{key} is command, and no program is named"
        yield Conflict((f"{part}.command", f"{part}.{key}"), message, f"write command: {example}")
    program = model.command[0] if model.command else ""
    if "/" in program and not program.startswith("/"):
        message = f"{program} is relative, and a command starts in its own directory"
        hint = "name a program of the PATH or an absolute path; a script is an argument: {dir}/script.py"
        yield Conflict((f"{part}.command.0",), message, hint)
    for place, argument in enumerate(model.command or ()):
        for name, hint in placeholders.unknown(argument):
            message = f"{{{name}}} is no placeholder"
            yield Conflict((f"{part}.command.{place}", f"{part}.command"), message, hint)
    yield from (_own(f"{part}.{name}") for name in refused if name in model.model_fields_set)


def _own(path: str) -> Conflict:
    hint = "remove the key, and configure it in the command or its files"
    return Conflict((path,), "a command decides this by itself", hint)


def _stray(
    part: str, model: Server | Load, found: str, key: str, names: tuple[str, ...]
) -> Iterator[Conflict]:
    """Keys of a command in a part that has none."""
    for name in names:
        if name in model.model_fields_set:
            message = f"is for commands, and {part}.{found}"
            yield Conflict((f"{part}.{name}",), message, f"write {key}: command, or remove the key")
