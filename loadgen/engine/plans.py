"""From a variant to the plan of each of its processes, and to what the model predicts from."""

import os
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from loadgen.drivers import plan as driver
from loadgen.drivers.uring import able
from loadgen.engine import nat_plans, proxy_plans
from loadgen.engine.child import Program
from loadgen.engine.commands import driver_command, server_command
from loadgen.engine.port_plans import with_client_ports
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.lab.topology import client_server_lab
from loadgen.model.situation import is_few
from loadgen.observe import capture, sampler
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.records.directory import CAPTURE_FILE
from loadgen.scenario import kept, port_checks
from loadgen.scenario.choices import ApplicationProtocol, Bind, Driver, ServerKind, Topology
from loadgen.scenario.document import Variant
from loadgen.scenario.traffic import Load, OpenLoop
from loadgen.tcp import Close, Closer, Side
from loadgen.wire.keepalive import Keepalive
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

INTERVAL_NS = 100_000_000
"""The length of an interval: fine enough to see a knee pass, and at 20,000 connections/s taking it costs the
driver 1 % of its core."""

SECOND_NS = 1_000_000_000

COMMANDS = "loadgen.programs"
"""The program that keeps a command."""

DESCRIPTORS_EACH = {Driver.AIOHTTP: 2}
"""Descriptors that a driver needs for a connection, where it is not one: churn closes aiohttp's sockets by a
duplicate of each."""


def lab_spec(variant: Variant) -> LabSpec:
    return with_client_ports(_topology(variant), variant)


def _topology(variant: Variant) -> LabSpec:
    lab = variant.lab
    if lab.topology is Topology.PROXY:
        return proxy_plans.lab_spec(variant)
    if lab.topology is Topology.NAT:
        return nat_plans.lab_spec(variant)
    return client_server_lab(
        topology=lab.topology,
        family=lab.family,
        port=variant.server.port,
        server_ports=variant.server.ports,
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
    # A proxy has two connections for each.
    at_server = connections if variant.proxy is None else 2 * connections
    return max(at_server, each * -(-connections // load.workers))


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
    if why := port_checks.needs_protocol(variant):
        return Choice(Driver.PROTOCOL, why)
    why = able.obstacle(variant.lab.client.binds is not Bind.NONE)
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
        ending=proxy_plans.servers_ending(variant),
        requests=proxy_plans.servers_requests(variant),
        delay_ns=server.delay,
        idle_timeout_ns=server.idle_timeout,
        response_size=server.response,
        request_size=connection.request,
        per_client=server.per_client or 0,
        close=Close.FIN if variant.proxy else connection.close,
        linger_s=None if variant.proxy else connection.linger_s,
        fin_apart=connection.closer is Closer.BOTH,
    )
    plan = ServerPlan(
        kind=Kind(server.kind),
        behaviour=behaviour,
        hosts=lab.addresses[Side.SERVER],
        port=server.port,
        ports=server.ports,
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
    own = variant.lab.client.local_port_range
    return driver.Plan(
        driver=choice(variant).driver,
        sources=lab.addresses[Side.CLIENT],
        destinations=proxy_plans.destinations(variant, lab),
        port=variant.server.port,
        ports=1 if variant.proxy else variant.server.ports,
        bind=variant.lab.client.bind,
        local_port_range=own and (own.first, own.last),
        http=connection.http,
        requests=connection.requests,
        ending=connection.ending_by(Side.CLIENT),
        think_ns=connection.think,
        loop=_loop(load),
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


def _loop(load: Load) -> driver.OpenLoop | driver.ClosedLoop:
    loop, idle = load.loop, load.pool.idle if load.pool else None
    if isinstance(loop, OpenLoop):
        burst = loop.at_once
        return driver.OpenLoop(loop.rate, loop.arrivals, loop.connections, loop.late, burst, idle)
    return driver.ClosedLoop(loop.connections)


def _keepalive(variant: Variant, side: Side) -> Keepalive | None:
    """That of this side's sockets."""
    asked = variant.connection.keepalive
    if asked is None or side not in asked.on.sides:
        return None
    return Keepalive(asked.idle // SECOND_NS, asked.interval // SECOND_NS, asked.probes)


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
