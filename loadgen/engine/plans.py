"""From a variant to the plan of each of its processes, and to what the model predicts from."""

import os
import sys
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from loadgen.drivers import plan as driver
from loadgen.drivers.uring import able
from loadgen.engine.child import Program
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.lab.topology import client_server_lab
from loadgen.model.situation import is_few
from loadgen.observe import capture, sampler
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.programs.plan import find_program
from loadgen.records.directory import CAPTURE_FILE
from loadgen.scenario import kept, placeholders
from loadgen.scenario.choices import ApplicationProtocol, Driver, Family, ServerKind
from loadgen.scenario.document import Variant
from loadgen.scenario.endpoints import Server
from loadgen.scenario.traffic import Load, OpenLoop
from loadgen.tcp import Closer, Side
from loadgen.wire.keepalive import Keepalive
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

INTERVAL_NS = 100_000_000
"""The length of an interval: fine enough to see a knee pass, and at 20,000 connections/s taking it costs the
driver 1 % of its core."""

SECOND_NS = 1_000_000_000
COMMAND_GRACE_NS = 5_000_000_000
"""How long after load.duration a command may take to end by itself: it may begin its clock late, and wait for
its last responses."""

COMMANDS = "loadgen.programs"
"""The program that keeps a command."""

DESCRIPTORS_EACH = {Driver.AIOHTTP: 2}
"""Descriptors that a driver needs for a connection, where it is not one: churn closes aiohttp's sockets by a
duplicate of each."""


def lab_spec(variant: Variant) -> LabSpec:
    lab = variant.lab
    return client_server_lab(
        topology=lab.topology,
        family=lab.family,
        port=variant.server.port,
        ports=(lab.client.ports.first, lab.client.ports.last),
        client_addresses=lab.client.addresses,
        server_addresses=lab.server.addresses,
        sysctls={Side.CLIENT: lab.sysctl.client, Side.SERVER: lab.sysctl.server},
        backlog=variant.server.backlog,
        holds_back=variant.connection.closer is Closer.BOTH,
    )


def descriptors(variant: Variant) -> int:
    """How many the fullest process needs for connections: one server worker may have to hold them all."""
    load, connections = variant.load, variant.load.loop.connections
    each = DESCRIPTORS_EACH.get(load.driver, 1)
    return max(connections, each * -(-connections // load.workers))


@dataclass(frozen=True, slots=True)
class Choice:
    """The driver that makes a variant's load; `why` it is another than the one that `auto` prefers.

    `lacking`: the preferred one is not available; otherwise it would serve worse.
    """

    driver: Driver
    why: str = ""
    lacking: bool = False


def choice(variant: Variant) -> Choice:
    """What `driver: auto` comes to on this machine; any other driver is itself."""
    if variant.load.driver is not Driver.AUTO:
        return Choice(variant.load.driver)
    connection = variant.connection
    if connection.client_takes_part:
        return Choice(Driver.PROTOCOL, f"it alone can do the client's part of {connection.way}")
    why = able.obstacle(variant.lab.client.addresses)
    if why:
        return Choice(Driver.PROTOCOL, why, lacking=True)
    if why := kept.obstacle(Driver.URING, variant):
        return Choice(Driver.PROTOCOL, why)
    if is_few(variant):
        return Choice(Driver.PROTOCOL, "with so few connections in flight it is the faster one")
    return Choice(Driver.URING)


def servers(variant: Variant, lab: Lab, directory: Path) -> list[Program[ServerPlan | CommandPlan]]:
    """What serves; `directory` is the variant's in the run."""
    if variant.server.kind is ServerKind.COMMAND:
        return [Program("server", COMMANDS, server_command(variant, lab, directory))]
    return [Program(plan.name, "servers", plan) for plan in server_plans(variant, lab)]


def drivers(variant: Variant, lab: Lab, directory: Path) -> list[Program[driver.Plan | CommandPlan]]:
    """What makes the connections; `directory` is the variant's in the run."""
    if variant.load.driver is Driver.COMMAND:
        return [Program("load command", COMMANDS, driver_command(variant, lab, directory))]
    return [Program(plan.name, "loadgen.drivers", plan) for plan in driver_plans(variant, lab)]


def server_plans(variant: Variant, lab: Lab) -> tuple[ServerPlan, ...]:
    """A plan for each server worker; they share the port."""
    connection, server = variant.connection, variant.server
    behaviour = Behaviour(
        ending=connection.ending_by(Side.SERVER),
        requests=connection.requests,
        delay_ns=server.delay,
        idle_timeout_ns=server.idle_timeout,
        response_size=server.response,
        request_size=connection.request,
        per_client=server.per_client or 0,
        close=connection.close,
        linger_s=connection.linger_s,
        fin_apart=connection.closer is Closer.BOTH,
    )
    plan = ServerPlan(
        kind=Kind(server.kind),
        behaviour=behaviour,
        hosts=lab.addresses[Side.SERVER],
        port=server.port,
        backlog=server.backlog,
        keepalive=_keepalive(variant, Side.SERVER),
        reuse_address=server.reuse_address,
    )
    return plan.divided(server.workers, cores(variant, Side.SERVER))


def driver_plans(variant: Variant, lab: Lab) -> tuple[driver.Plan, ...]:
    """A plan for each load worker; together they make the load."""
    return driver_plan(variant, lab).divided(variant.load.workers, cores(variant, Side.CLIENT))


def cores(variant: Variant, side: Side) -> tuple[int, ...]:
    """The core that each worker of a side is pinned to; none where they are not.

    The client takes the cores that churn may use from the first one on, the server from the last, so that
    they meet as late as can be. Where they are too few they are gone round again.
    """
    settings = variant.load if side is Side.CLIENT else variant.server
    if not settings.pin:
        return ()
    allowed = sorted(os.sched_getaffinity(0), reverse=side is Side.SERVER)
    return tuple(islice(cycle(allowed), settings.workers))


def driver_plan(variant: Variant, lab: Lab) -> driver.Plan:
    connection, load, timeouts = variant.connection, variant.load, variant.load.timeouts
    loop = load.loop
    return driver.Plan(
        driver=choice(variant).driver,
        sources=lab.addresses[Side.CLIENT],
        destinations=lab.addresses[Side.SERVER],
        port=variant.server.port,
        http=connection.http,
        requests=connection.requests,
        ending=connection.ending_by(Side.CLIENT),
        think_ns=connection.think,
        loop=driver.OpenLoop(loop.rate, loop.arrivals, loop.connections, loop.late)
        if isinstance(loop, OpenLoop)
        else driver.ClosedLoop(loop.connections),
        duration_ns=load.duration,
        interval_ns=INTERVAL_NS,
        timeouts=driver.Timeouts(
            connect_ns=timeouts.connect,
            send_ns=timeouts.send,
            response_ns=timeouts.response,
            close_ns=timeouts.close,
        ),
        seed=load.seed,
        stages=tuple(driver.Stage(stage.level, stage.lasts) for stage in load.stages),
        raw=driver.Raw(connection.request, variant.server.response)
        if connection.protocol is ApplicationProtocol.RAW
        else None,
        look=connection.look,
        retry=connection.retry,
        keepalive=_keepalive(variant, Side.CLIENT),
        close=connection.close,
        read=connection.read,
        linger_s=connection.linger_s,
        crosses=connection.closer is Closer.BOTH,
        stays=connection.closer is Closer.NOBODY,
    )


def _keepalive(variant: Variant, side: Side) -> Keepalive | None:
    """That of this side's sockets."""
    asked = variant.connection.keepalive
    if asked is None or side not in asked.on.sides:
        return None
    return Keepalive(asked.idle // SECOND_NS, asked.interval // SECOND_NS, asked.probes)


def programs(variant: Variant) -> dict[str, str]:
    """The programs of a variant's commands, by the key that names each."""
    asked = {"server.command": variant.server.command, "load.command": variant.load.command}
    return {
        key: placeholders.fill(command[0], {"python": sys.executable})
        for key, command in asked.items()
        if command
    }


def server_command(variant: Variant, lab: Lab, directory: Path) -> CommandPlan:
    """The server where it is a command; `directory` is the variant's in the run."""
    server = variant.server
    return _command(variant, lab, server, directory / "server", server.port, server.ready)


def driver_command(variant: Variant, lab: Lab, directory: Path) -> CommandPlan:
    """The driver where it is a command; `directory` is the variant's in the run."""
    limit_ns = _whole_seconds(variant) * 1_000_000_000 + COMMAND_GRACE_NS
    return _command(variant, lab, variant.load, directory / "driver", None, limit_ns)


def _command(
    variant: Variant, lab: Lab, asked: Server | Load, place: Path, port: int | None, limit_ns: int
) -> CommandPlan:
    host = lab.addresses[Side.SERVER][0]
    literal = f"[{host}]" if variant.lab.family is Family.IPV6 else host
    values = {
        "url": f"http://{literal}:{variant.server.port}/",
        "host": host,
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


def capture_plan(variant: Variant, lab: Lab, directory: Path) -> capture.Plan | None:
    """What to capture; None where no packets are to be kept. `directory` is the variant's in the run."""
    if variant.capture is None:
        return None
    spec = lab.spec
    return capture.Plan(
        connections=variant.capture.connections,
        port=variant.server.port,
        path=str((directory / CAPTURE_FILE).absolute()),
        user=lab.user,
        networks=lab.nodes,
        interfaces={
            node: tuple(end.interface for end in spec.ends(node)) or ("lo",)
            for node in sorted({placement.node for placement in spec.sides.values()})
        },
    )


def sampler_plan(variant: Variant, lab: Lab) -> sampler.Plan:
    return sampler.Plan(
        viewpoints=lab.spec.scope.viewpoints,
        every_ns=variant.sample.every,
        user=lab.user,
        networks=lab.nodes,
    )
