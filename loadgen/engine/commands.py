"""The plans of a variant's commands, and the programs that it needs."""

import sys
from pathlib import Path

from loadgen.lab.lab import Lab
from loadgen.lab.proxied import PROXY
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.programs.plan import find_program
from loadgen.scenario import placeholders
from loadgen.scenario.choices import Family, ProxyKind
from loadgen.scenario.document import Variant
from loadgen.scenario.endpoints import Server
from loadgen.scenario.proxy import Proxy
from loadgen.scenario.traffic import Load
from loadgen.tcp import Side

COMMAND_GRACE_NS = 5_000_000_000
"""How long after load.duration a command may take to end by itself: it may begin its clock late, and wait for
its last responses."""


def programs(variant: Variant) -> dict[str, str]:
    """The programs of a variant's commands, by the key that names each."""
    asked = {"server.command": variant.server.command, "load.command": variant.load.command}
    proxy = variant.proxy
    if proxy is not None and proxy.kind is not ProxyKind.COMMAND:
        asked["proxy.kind"] = (str(proxy.kind),)
    elif proxy is not None:
        asked["proxy.command"] = proxy.command
    return {
        key: placeholders.fill(command[0], {"python": sys.executable})
        for key, command in asked.items()
        if command
    }


def server_command(variant: Variant, lab: Lab, directory: Path) -> CommandPlan:
    """The server where it is a command; `directory` is the variant's in the run."""
    server = variant.server
    return command(variant, lab, server, directory / "server", server.port, server.ready)


def driver_command(variant: Variant, lab: Lab, directory: Path) -> CommandPlan:
    """The driver where it is a command; `directory` is the variant's in the run."""
    limit_ns = _whole_seconds(variant) * 1_000_000_000 + COMMAND_GRACE_NS
    return command(variant, lab, variant.load, directory / "driver", None, limit_ns)


def command(
    variant: Variant, lab: Lab, asked: Server | Load | Proxy, place: Path, port: int | None, limit_ns: int
) -> CommandPlan:
    """The plan of a command of the scenario, its placeholders filled in; `place` is its directory."""
    # The server behind a proxy is not the one that a load or the proxy itself is on.
    behind = isinstance(asked, Server) or variant.proxy is None
    host = lab.addresses[Side.SERVER if behind else PROXY][0]
    literal = f"[{host}]" if variant.lab.family is Family.IPV6 else host
    values = {
        "url": f"http://{literal}:{variant.server.port}/",
        "host": host,
        "server": lab.addresses[Side.SERVER][0],
        "port": str(variant.server.port),
        "dir": str(place.absolute()),
        "duration_s": str(_whole_seconds(variant)),
        "connections": str(variant.load.loop.connections),
        "python": sys.executable,
    }
    program, *arguments = (placeholders.fill(text, values) for text in asked.command or ())
    return CommandPlan(
        argv=(find_program(program) or program, *arguments),
        directory=values["dir"],
        files={name: placeholders.fill(text, values) for name, text in asked.files.items()},
        port=port,
        limit_ns=limit_ns,
    )


def _whole_seconds(variant: Variant) -> int:
    return -(-variant.load.duration // 1_000_000_000)
