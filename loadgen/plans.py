"""From a variant to what each process is told, and to what the model predicts from."""

from loadgen import sampler
from loadgen.choices import Topology
from loadgen.drivers import plan as driver
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.model import Costs, Situation
from loadgen.scenario import Driver, OpenLoop, Variant
from loadgen.tcp import Side
from servers.behaviour import Behaviour
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

INTERVAL_NS = 100_000_000
"""The length of an interval: fine enough to see a knee pass, and a thousandth of a percent of work."""

TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
DEFAULT_TW_BUCKETS = 131_072
"""The kernel's default on a machine with memory to spare (K14)."""

_COSTS = {
    Driver.PROTOCOL: Costs(connection_s=1 / 18_000, exchange_s=1 / 60_000),
    Driver.AIOHTTP: Costs(connection_s=1 / 2_500, exchange_s=1 / 5_000),
}
"""What a driver's connections and exchanges cost, as seen on one machine with a core for each side."""


def lab_spec(variant: Variant) -> LabSpec:
    lab = variant.lab
    return LabSpec(
        topology=lab.topology,
        family=lab.family,
        ports=(lab.client.ports.first, lab.client.ports.last),
        client_addresses=lab.client.addresses,
        server_addresses=lab.server.addresses,
        sysctls={Side.CLIENT: lab.sysctl.client, Side.SERVER: lab.sysctl.server},
    )


def ports(variant: Variant) -> int:
    """The client's ports over all its paths: a whole range for each source and destination (K7)."""
    lab = variant.lab
    return lab.client.ports.count * lab.client.addresses * lab.server.addresses


def situation(variant: Variant) -> Situation:
    """What the model predicts from."""
    connection, loop = variant.connection, variant.load.loop
    requests = connection.requests
    side = variant.lab.sysctl.client if connection.closer == Side.CLIENT else variant.lab.sysctl.server
    pause_ns = requests * variant.server.delay + (requests - 1) * connection.think
    return Situation(
        ports=ports(variant),
        closer=connection.closer,
        close=connection.close,
        requests=requests,
        duration_s=variant.load.duration / 1e9,
        costs=_COSTS[variant.load.driver],
        rate=loop.rate / requests if isinstance(loop, OpenLoop) else None,
        connections=loop.connections,
        pause_s=pause_ns / 1e9,
        tw_buckets=int(side.get(TW_BUCKETS, DEFAULT_TW_BUCKETS)),
    )


def server_plan(variant: Variant, lab: Lab) -> ServerPlan:
    connection, server = variant.connection, variant.server
    behaviour = Behaviour(
        closer=connection.closer,
        requests=connection.requests,
        close=connection.close,
        delay_ns=server.delay,
        idle_timeout_ns=server.idle_timeout,
        response_size=server.response,
    )
    return ServerPlan(
        kind=Kind(server.kind),
        behaviour=behaviour,
        hosts=lab.addresses[Side.SERVER],
        port=server.port,
        workers=server.workers,
        backlog=server.backlog,
    )


def driver_plan(variant: Variant, lab: Lab) -> driver.Plan:
    connection, load, timeouts = variant.connection, variant.load, variant.load.timeouts
    loop = load.loop
    return driver.Plan(
        driver=load.driver,
        sources=lab.addresses[Side.CLIENT],
        destinations=lab.addresses[Side.SERVER],
        port=variant.server.port,
        http=connection.http,
        requests=connection.requests,
        closer=connection.closer,
        close=connection.close,
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
    )


def sampler_plan(variant: Variant, lab: Lab) -> sampler.Plan:
    span = variant.lab.client.ports
    return sampler.Plan(
        port=variant.server.port,
        ports=(span.first, span.last),
        shared=variant.lab.topology is not Topology.PAIR,
        every_ns=variant.sample.every,
        user=lab.user,
        networks=lab.networks,
    )
