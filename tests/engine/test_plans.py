"""The plans: nothing that a scenario says is passed over, and each process is told what it needs."""

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from loadgen.drivers.plan import ClosedLoop, OpenLoop, Raw, Stage
from loadgen.drivers.plan import Plan as DriverPlan
from loadgen.drivers.uring import able
from loadgen.engine import commands, plans, proxy_plans
from loadgen.engine.plans import Choice
from loadgen.lab.lab import Lab
from loadgen.lab.spec import LabSpec
from loadgen.model.predict import predict
from loadgen.model.situation import TIME_WAIT_S, Situation, situation
from loadgen.model.upstream import keeps, upstream_situation
from loadgen.observe import sampler
from loadgen.programs.plan import Plan as CommandPlan
from loadgen.records.viewpoints import Viewpoint
from loadgen.scenario.choices import Arrivals, Driver
from loadgen.scenario.document import Variant
from loadgen.scenario.model import Model
from loadgen.scenario.read import load_scenario
from loadgen.tcp import Ending
from loadgen.wire.codec import decode, encode
from servers.plan import Kind
from servers.plan import Plan as ServerPlan

SECOND_NS = 1_000_000_000
RUN = Path("/run/main")
"""A variant's directory in a run, where commands have theirs."""

NOT_PLANNED = {
    "name": "names the run's directory",
    "expect": "is evaluated on the metrics, after the run",
    "load.expect_status": "is compared with the exit status, after the run",
    **{f"{part}.needs": "is looked for before the run" for part in ("server", "load")},
    "server.expect_status": "is compared with the exit status, after the run",
    "capture.connections": "makes a process of its own (tests/runs/test_ladder.py)",
    **{
        f"script.{key}": "is followed by churn itself (tests/runs/test_script.py)"
        for key in ("at", "lasts", "do", "on", "signal", "sysctl", "what", "by")
    },
}
"""The fields of a variant that no process is told of, and why."""

IN_A_LIST = {
    f"load.stages.{key}": "test_every_worker_is_told_of_the_stages"
    for key in ("lasts", "rate", "connections")
}
"""The fields of what stands in a list, and the test of each."""

CHANGES: dict[str, Any] = {
    "lab.topology": "loopback",
    "lab.family": "ipv6",
    "lab.client.ports": "40000-41999",
    "lab.client.addresses": 2,
    "lab.server.addresses": 3,
    "lab.client.bind": "early",
    "lab.client.local_port_range": "40000-40999",
    "server.ports": 2,
    "lab.nat.ports": "40000-40099",
    "lab.sysctl.client": {"net.ipv4.tcp_tw_reuse": "1"},
    "lab.sysctl.server": {"net.ipv4.tcp_max_tw_buckets": "5000"},
    "lab.proxy.ports": "40000-40999",
    "lab.proxy.addresses": 3,
    "lab.sysctl.proxy": {"net.ipv4.tcp_tw_reuse": "1"},
    "proxy.kind": "haproxy",
    "proxy.http": "1.0",
    "proxy.keep": 8,
    "proxy.connection_header": "default",
    "proxy.reuse": "safe",
    "proxy.closer": "proxy",
    "proxy.idle_timeout": "5s",
    "proxy.command": ["socat", "{port}"],
    "proxy.files": {"a": "{server}"},
    "proxy.ready": "3s",
    "lab.sysctl.nat": {"net.netfilter.nf_conntrack_tcp_timeout_time_wait": "10"},
    "server.kind": "aiohttp",
    "server.port": 9090,
    "server.workers": 2,
    "server.pin": True,
    "server.backlog": 7,
    "server.response": "1KiB",
    "server.delay": "20ms",
    "server.idle_timeout": "3s",
    "server.command": ["nginx", "-p", "{dir}"],
    "server.files": {"nginx.conf": "listen {port};"},
    "server.ready": "3s",
    "connection.protocol": "raw",
    "connection.request": "100B",
    "connection.http": "1.0",
    "connection.requests": 10,
    "connection.closer": "client",
    "connection.close": "rst",
    "connection.linger": "2s",
    "connection.read": "headers",
    "connection.think": "30ms",
    "connection.look": False,
    "connection.retry": 1,
    "connection.keepalive.idle": "2s",
    "connection.keepalive.interval": "4s",
    "connection.keepalive.probes": 5,
    "connection.keepalive.on": "server",
    "server.per_client": 3,
    "server.reuse_address": False,
    "load.driver": "aiohttp",
    "load.workers": 2,
    "load.pin": True,
    "load.closed_loop.connections": 65,
    "load.open_loop.rate": "200/s",
    "load.open_loop.arrivals": "poisson",
    "load.open_loop.burst": 5,
    "load.open_loop.connections": 12,
    "load.pool.idle": 3,
    "load.open_loop.late": "5ms",
    "load.duration": "11s",
    "load.timeouts.connect": "1s",
    "load.timeouts.send": "2s",
    "load.timeouts.response": "3s",
    "load.timeouts.close": "4s",
    "load.seed": 7,
    "load.command": ["wrk", "{url}"],
    "load.files": {"urls": "{url}"},
    "sample.every": "50ms",
}
"""A value for every field of a variant that is not its default."""


def base_of(path: str) -> dict[str, Any]:
    """What has to stand beside a field for it to mean anything."""
    if path == "load.open_loop.burst":
        return {"load": {"open_loop": {"rate": "100/s", "arrivals": "bursts", "burst": 4}}}
    if path == "load.pool.idle":
        return {"load": {"open_loop": {"rate": "100/s"}}, "connection": {"requests": 10}}
    if path.startswith("load.open_loop"):
        return {"load": {"open_loop": {"rate": "100/s"}}}
    if path == "connection.protocol":
        # A server that may speak either.
        return base_of("server.command")
    if path == "connection.request":
        return {"server": {"kind": "raw"}, "connection": {"protocol": "raw"}}
    if path == "connection.read":
        return {"connection": {"closer": "client", "requests": 1}}
    if path in ("connection.look", "connection.retry"):
        return {"connection": {"requests": 10}}
    if path.startswith("connection.keepalive"):
        return {"connection": {"keepalive": {"idle": "3s"}}}
    if path.startswith(("proxy", "lab.proxy", "lab.sysctl.proxy")):
        return {
            "lab": {"topology": "proxy"},
            "proxy": proxy_of(path),
            "load": {"open_loop": {"rate": "10/s"}},
        }
    if path in ("lab.nat.ports", "lab.sysctl.nat"):
        return {"lab": {"topology": "nat"}}
    part, _, name = path.partition(".")
    if name in ("command", "files", "ready"):
        return {part: {{"server": "kind", "load": "driver"}[part]: "command", "command": ["a"]}}
    return {}


def proxy_of(path: str) -> dict[str, Any]:
    """The proxy that a field is of."""
    if path in ("proxy.command", "proxy.files"):
        return {"kind": "command", "command": ["a"]}
    if path in ("proxy.kind", "proxy.keep", "proxy.closer") or not path.startswith("proxy."):
        return {"kind": "nginx", "closer": "server" if path == "proxy.closer" else "proxy"}
    kept = {"keep": 4}
    return {"kind": "haproxy" if path == "proxy.reuse" else "nginx", **kept}


@dataclasses.dataclass(frozen=True)
class Plans:
    lab: LabSpec
    servers: tuple[ServerPlan, ...] | tuple[CommandPlan]
    drivers: tuple[DriverPlan, ...] | tuple[CommandPlan]
    sampler: sampler.Plan
    proxy: CommandPlan | None

    @property
    def driver(self) -> DriverPlan:
        """That of the first load worker."""
        return self.drivers[0]

    @property
    def server(self) -> ServerPlan:
        """That of the first server worker."""
        return self.servers[0]


def variant(tmp_path: Path, **parts: Any) -> Variant:
    """The only variant of a scenario file that says so."""
    path = tmp_path / "x.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump({"title": "t", **parts}, file)
    (only,) = load_scenario(path).variants
    return only


def planned(asked: Variant) -> Plans:
    """All plans, in a lab that stands only on paper."""
    spec = plans.lab_spec(asked)
    lab = Lab(
        spec,
        settings={node.name: {} for node in spec.nodes},
        notes=(),
        user=3,
        nodes={node.name: number for number, node in enumerate(spec.nodes, 4)},
    )
    return Plans(
        spec,
        (commands.server_command(asked, lab, RUN),)
        if asked.server.command
        else plans.server_plans(asked, lab),
        (commands.driver_command(asked, lab, RUN),) if asked.load.command else plans.driver_plans(asked, lab),
        plans.sampler_plan(asked, lab),
        proxy_plans.proxy_plan(asked, lab, RUN),
    )


def nested(path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    return {
        key: merged(one[key], other[key])
        if key in one and key in other and isinstance(one[key], dict)
        else value
        for key, value in both.items()
    }


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The path of every field that holds no model itself."""
    for name, field in model.model_fields.items():
        inner = [
            candidate
            for candidate in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(candidate, type) and issubclass(candidate, Model)
        ]
        if inner:
            yield from fields(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_fields_of_a_variant_are_those_known_here() -> None:
    assert set(fields(Variant)) == CHANGES.keys() | NOT_PLANNED.keys() | IN_A_LIST.keys()


def test_every_worker_is_told_of_the_stages(tmp_path: Path) -> None:
    rates = [{"for": "10s", "rate": "100/s"}, {"for": "5s", "rate": "0/s"}]
    open_loop = {"arrivals": "poisson", "connections": 7}
    asked = variant(tmp_path, load={"workers": 2, "stages": rates, "open_loop": open_loop})
    for plan in planned(asked).drivers:
        assert isinstance(plan, DriverPlan)
        assert plan.stages == (Stage(100, 10 * SECOND_NS), Stage(0, 5 * SECOND_NS))
        assert plan.duration_ns == 15 * SECOND_NS
        assert isinstance(plan.loop, OpenLoop)
        assert (plan.loop.rate, plan.loop.arrivals) == (100, Arrivals.POISSON)
    numbers = [
        {"for": "1s", "connections": 3},
        {"for": "2s", "connections": 0},
        {"for": "1s", "connections": 1},
    ]
    first, second = planned(variant(tmp_path, load={"workers": 2, "stages": numbers})).drivers
    assert isinstance(first, DriverPlan)
    assert isinstance(second, DriverPlan)
    # Each worker has its share of every stage.
    assert (first.loop, second.loop) == (ClosedLoop(2), ClosedLoop(1))
    assert [[one.level for one in plan.stages] for plan in (first, second)] == [[2, 0, 1], [1, 0, 0]]
    assert [one.length_ns // SECOND_NS for one in second.stages] == [1, 2, 1]


@pytest.mark.parametrize("path", CHANGES)
def test_every_field_changes_what_some_process_is_told(tmp_path: Path, path: str) -> None:
    base = base_of(path)
    before = planned(variant(tmp_path, **base))
    after = planned(variant(tmp_path, **merged(base, nested(path, CHANGES[path]))))
    assert after != before


def test_a_plain_scenario_in_full(tmp_path: Path) -> None:
    plan = planned(variant(tmp_path))
    assert plan.driver.sources == ("198.18.0.1",)
    assert plan.driver.destinations == plan.server.hosts == ("198.19.0.1",)
    assert plan.driver.port == plan.server.port == 8080
    assert plan.driver.loop == ClosedLoop(64)
    assert (plan.driver.duration_ns, plan.driver.interval_ns) == (10_000_000_000, 100_000_000)
    assert plan.lab.nodes[0].ports == (32768, 60999)
    assert plan.sampler.viewpoints == (
        Viewpoint("client", "client", ports=(32768, 60999)),
        Viewpoint("server", "server"),
    )
    assert (plan.sampler.user, plan.sampler.networks) == (3, {"client": 4, "server": 5})
    behaviour = plan.server.behaviour
    assert (behaviour.ending, behaviour.requests) == (Ending.SERVER_FIN, 1)
    assert (plan.driver.ending, plan.driver.requests) == (Ending.SERVER_FIN, 1)


def test_both_ends_are_told_the_same_of_who_closes(tmp_path: Path) -> None:
    plan = planned(variant(tmp_path, connection={"closer": "client", "close": "rst", "requests": 7}))
    behaviour = plan.server.behaviour
    assert plan.driver.ending is behaviour.ending is Ending.CLIENT_RST
    assert plan.driver.requests == behaviour.requests == 7


def test_both_ends_of_raw_tcp_are_given_the_same_sizes(tmp_path: Path) -> None:
    server, connection = {"kind": "raw", "response": "1KiB"}, {"protocol": "raw", "request": "100B"}
    plan = planned(variant(tmp_path, server=server, connection=connection))
    behaviour = plan.server.behaviour
    assert plan.server.kind is Kind.RAW
    assert plan.driver.raw == Raw(100, 1024) == Raw(behaviour.request_size, behaviour.response_size)


def test_a_command_is_told_where_who_and_how_long(tmp_path: Path) -> None:
    names = ["{url}", "{host}", "{port}", "{dir}", "{duration_s}", "{connections}", "{python}", "{other}"]
    load = {"driver": "command", "command": ["no-such-program", *names[:-1]], "duration": "1.5s"}
    asked = variant(tmp_path, load={**load, "files": {"all": " ".join(names)}})
    plan = planned(asked).driver
    assert isinstance(plan, CommandPlan)
    values = ("http://198.19.0.1:8080/", "198.19.0.1", "8080", "/run/main/driver", "2", "64", sys.executable)
    assert plan.argv == ("no-such-program", *values)
    assert plan.files == {"all": f"{' '.join(values)} {{other}}"}
    assert (plan.port, plan.limit_ns) == (None, 2_000_000_000 + commands.COMMAND_GRACE_NS)
    ipv6 = planned(variant(tmp_path, lab={"family": "ipv6"}, load=load)).driver
    assert isinstance(ipv6, CommandPlan)
    assert ipv6.argv[1:3] == ("http://[2001:2:0:2::1]:8080/", "2001:2:0:2::1")


def test_the_programs_of_commands_are_known_before_a_run(tmp_path: Path) -> None:
    load = {"driver": "command", "command": ["{python}", "x"]}
    asked = variant(tmp_path, server={"kind": "command", "command": ["nginx", "-v"]}, load=load)
    assert commands.programs(asked) == {"server.command": "nginx", "load.command": sys.executable}
    assert commands.programs(variant(tmp_path)) == {}


def test_an_open_loop_in_full(tmp_path: Path) -> None:
    loop = {"rate": "1.5k/s", "arrivals": "poisson", "connections": 99, "late": "3ms"}
    plan = planned(variant(tmp_path, load={"open_loop": loop}))
    assert isinstance(plan.driver.loop, OpenLoop)
    assert (plan.driver.loop.rate, plan.driver.loop.connections, plan.driver.loop.late_ns) == (
        1_500,
        99,
        3_000_000,
    )


@pytest.mark.parametrize("path", CHANGES)
def test_every_plan_survives_its_way_to_the_process(tmp_path: Path, path: str) -> None:
    plan = planned(variant(tmp_path, **merged(base_of(path), nested(path, CHANGES[path]))))
    for one in (*plan.drivers, *plan.servers, plan.sampler):
        assert decode(encode(one), type(one)) == one
        assert b"\n" not in encode(one)


# Several workers


def test_workers_share_the_connections_evenly_and_the_whole_schedule(tmp_path: Path) -> None:
    closed = planned(variant(tmp_path, load={"workers": 3, "closed_loop": {"connections": 64}}))
    assert [plan.loop.connections for plan in closed.drivers] == [22, 21, 21]
    loop = {"rate": "1000/s", "connections": 10}
    opened = planned(variant(tmp_path, load={"workers": 4, "open_loop": loop}))
    assert [plan.loop.connections for plan in opened.drivers] == [3, 3, 2, 2]
    # The rate and the seed are those of the one schedule that they deal out among them.
    assert {plan.loop.rate for plan in opened.drivers if isinstance(plan.loop, OpenLoop)} == {1_000}
    assert len({plan.seed for plan in opened.drivers}) == 1
    assert [(plan.worker, plan.workers, plan.name) for plan in opened.drivers] == [
        (0, 4, "load worker 1 of 4"),
        (1, 4, "load worker 2 of 4"),
        (2, 4, "load worker 3 of 4"),
        (3, 4, "load worker 4 of 4"),
    ]
    assert planned(variant(tmp_path)).driver.name == "load worker"


def test_pinned_workers_begin_at_opposite_ends_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 5, 9})
    pinned = {"workers": 2, "pin": True}
    plan = planned(variant(tmp_path, load=pinned, server=pinned))
    assert [driver.core for driver in plan.drivers] == [2, 5]
    assert [server.core for server in plan.servers] == [9, 5]
    # Too few are gone round again; nobody is pinned who is not asked to be.
    plan = planned(variant(tmp_path, load={"workers": 4, "pin": True}, server={"workers": 4}))
    assert [driver.core for driver in plan.drivers] == [2, 5, 9, 2]
    assert [server.core for server in plan.servers] == [None] * 4
    assert [server.name for server in plan.servers][1:3] == ["server worker 2 of 4", "server worker 3 of 4"]
    assert planned(variant(tmp_path)).server.name == "server"


# What the model is told


def situated(tmp_path: Path, **parts: Any) -> Situation:
    return situation(variant(tmp_path, **parts))


def test_ports_are_a_range_for_each_pair_of_addresses(tmp_path: Path) -> None:
    found = situated(
        tmp_path, lab={"client": {"ports": "40000-40999", "addresses": 2}, "server": {"addresses": 3}}
    )
    assert (found.ports, found.paths) == (6_000, 6)


def test_ports_are_a_range_for_each_port_of_the_server_and_of_each_source_alone_if_bind_takes_them(
    tmp_path: Path,
) -> None:
    lab = {"client": {"ports": "40000-40999", "addresses": 2}, "server": {"addresses": 3}}
    found = situated(tmp_path, lab=lab, server={"ports": 2})
    assert (found.ports, found.paths) == (12_000, 12)
    early = situated(tmp_path, lab=lab | {"client": {**lab["client"], "bind": "early"}}, server={"ports": 2})
    assert (early.ports, early.paths, early.half) == (2_000, 2, 1_000)
    own = {"client": {"ports": "40000-40999", "local_port_range": "40100-40199"}}
    narrow = situated(tmp_path, lab=own)
    # No parity is left out, and no port is searched for before all are taken (K9).
    assert (narrow.ports, narrow.paths, narrow.half) == (100, 1, 100)


def test_the_lab_counts_the_ports_that_sockets_may_take(tmp_path: Path) -> None:
    client = {"ports": "40000-40999", "local_port_range": "40100-40199", "bind": "early"}
    for topology in ("pair", "loopback", "proxy", "nat"):
        parts: dict[str, Any] = {"proxy": {"kind": "nginx"}} if topology == "proxy" else {}
        found = variant(tmp_path, lab={"topology": topology, "client": client}, server={"ports": 3}, **parts)
        spec = plans.lab_spec(found)
        seen = {one.name: one for one in spec.scope.viewpoints}
        assert (seen["client"].ports, seen["client"].capacity) == ((40_100, 40_199), 100)
        assert seen["client"].exclusive
        node = next(one for one in spec.nodes if one.name == seen["client"].node)
        assert node.ports == (40_000, 40_999)
        if topology == "proxy":
            assert seen["proxy.upstream"].capacity == 3 * 28_232
        if topology == "nat":
            assert seen["nat"].pool is not None
            assert seen["nat"].pool.size == 3 * 64_512


def test_an_open_loops_rate_is_of_requests_and_the_models_of_connections(tmp_path: Path) -> None:
    loop = {"open_loop": {"rate": "1000/s", "connections": 50}}
    found = situated(tmp_path, load=loop, connection={"requests": 10})
    assert (found.rate, found.connections) == (100, 50)
    assert situated(tmp_path).rate is None


def test_pauses_are_the_servers_delays_and_the_closed_loops_thinking(tmp_path: Path) -> None:
    parts: dict[str, Any] = {"connection": {"requests": 3, "think": "1s"}, "server": {"delay": "100ms"}}
    assert situated(tmp_path, **parts).pause_s == pytest.approx(2.3)
    # In an open loop the arrivals say when an exchange begins.
    parts["connection"]["think"] = "0s"
    loop = {"open_loop": {"rate": "1000/s"}}
    assert situated(tmp_path, **parts, load=loop).pause_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("closer", "lab", "buckets"),
    [
        ("client", {}, 131_072),
        ("client", {"sysctl": {"client": {"net.ipv4.tcp_max_tw_buckets": 5000}}}, 5_000),
        ("server", {"sysctl": {"client": {"net.ipv4.tcp_max_tw_buckets": 5000}}}, 131_072),
        ("server", {"sysctl": {"server": {"net.ipv4.tcp_max_tw_buckets": 5000}}}, 5_000),
        (
            "server",
            {"topology": "loopback", "sysctl": {"client": {"net.ipv4.tcp_max_tw_buckets": 5000}}},
            5_000,
        ),
        ("client", {"sysctl": {"client": {"net.ipv4.tcp_max_tw_buckets": "many"}}}, 131_072),
    ],
)
def test_the_bucket_limit_is_that_of_the_closers_namespace(
    tmp_path: Path, closer: str, lab: dict[str, Any], buckets: int
) -> None:
    assert situated(tmp_path, lab=lab, connection={"closer": closer}).tw_buckets == buckets


@pytest.mark.parametrize(
    ("topology", "client", "hold_s"),
    [
        ("pair", {}, TIME_WAIT_S),
        ("pair", {"net.ipv4.tcp_tw_reuse": 1}, 1.0),
        ("pair", {"net.ipv4.tcp_tw_reuse": 1, "net.ipv4.tcp_tw_reuse_delay": 250}, 0.25),
        ("pair", {"net.ipv4.tcp_tw_reuse": 1, "net.ipv4.tcp_timestamps": 0}, TIME_WAIT_S),
        ("loopback", {}, 1.0),
        ("loopback", {"net.ipv4.tcp_tw_reuse": 0}, TIME_WAIT_S),
        ("host", {}, 1.0),
    ],
)
def test_a_time_wait_holds_its_port_until_it_may_be_reused(
    tmp_path: Path, topology: str, client: dict[str, int], hold_s: float
) -> None:
    lab: dict[str, Any] = {"topology": topology, **({"sysctl": {"client": client}} if client else {})}
    assert situated(tmp_path, lab=lab).hold_s == hold_s


@pytest.mark.parametrize(
    ("driver", "loop", "connection", "in_place"),
    [
        ("auto", {}, {}, True),
        ("auto", {"closed_loop": {"connections": 129}}, {}, False),
        ("auto", {"closed_loop": {"connections": 20_000}}, {}, True),
        ("uring", {}, {"closer": "client"}, True),
        ("uring", {}, {"closer": "client", "close": "rst"}, True),
        ("uring", {}, {"closer": "server", "close": "rst"}, False),
        ("uring", {"open_loop": {"rate": "100/s"}}, {}, False),
        ("protocol", {}, {}, False),
        ("auto", {"closed_loop": {"connections": 3}}, {}, False),
    ],
)
def test_uring_keeps_a_connections_port_until_the_next_takes_its_slot(
    tmp_path: Path, driver: str, loop: dict[str, Any], connection: dict[str, Any], in_place: bool
) -> None:
    load = {"driver": driver, **loop}
    assert situated(tmp_path, load=load, connection=connection).in_place is in_place


def test_a_driver_that_costs_more_is_predicted_to_do_less(tmp_path: Path) -> None:
    protocol, aiohttp = (
        predict(situated(tmp_path, load={"driver": driver})) for driver in ("protocol", "aiohttp")
    )
    assert protocol.rate_per_s > aiohttp.rate_per_s


def legs(tmp_path: Path, **parts: Any) -> list[object]:
    """What the model starts from: the situation of each leg, and whether a proxy keeps its connections."""
    asked = variant(tmp_path, **parts)
    behind = [] if asked.proxy is None else [upstream_situation(asked, asked.proxy), keeps(asked)]
    return [situation(asked), *behind]


def test_every_field_that_the_model_knows_of_changes_the_situation(tmp_path: Path) -> None:
    """What is left out decides nothing about ports: sizes, limits of patience, how one looks, and the
    settings of a server that does not close."""
    undecided = {
        "lab.family",
        "lab.nat.ports",
        "lab.sysctl.nat",
        "lab.sysctl.server",
        "proxy.idle_timeout",
        "proxy.command",
        "proxy.files",
        "proxy.ready",
        "server.kind",
        "server.port",
        "server.pin",
        "server.response",
        "server.idle_timeout",
        "server.command",
        "server.files",
        "server.per_client",
        "server.ready",
        "server.reuse_address",
        "connection.protocol",
        "connection.request",
        "connection.http",
        "connection.keepalive.idle",
        "connection.keepalive.interval",
        "connection.keepalive.probes",
        "load.pin",
        "load.open_loop.arrivals",
        "load.open_loop.late",
        "load.timeouts.connect",
        "load.timeouts.send",
        "load.timeouts.response",
        "load.timeouts.close",
        "load.seed",
        "load.command",
        "load.files",
        "sample.every",
    }
    base: dict[str, Any] = {"connection": {"closer": "client", "requests": 2}}
    same: set[str] = set()
    for path, value in CHANGES.items():
        start = merged(base, base_of(path))
        changed = nested(path, "server" if path == "connection.closer" else value)
        if legs(tmp_path, **merged(start, changed)) == legs(tmp_path, **start):
            same.add(path)
    assert same == undecided


@pytest.mark.parametrize(
    ("obstacle", "response", "chosen"),
    [
        ("", "128B", Choice(Driver.URING)),
        ("forbidden", "128B", Choice(Driver.PROTOCOL, "forbidden", lacking=True)),
        ("", "1MiB", Choice(Driver.URING)),
    ],
)
def test_auto_takes_uring_where_it_can_and_says_why_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str, response: str, chosen: Choice
) -> None:
    monkeypatch.setattr(able, "obstacle", lambda _: obstacle)
    asked = variant(tmp_path, server={"response": response})
    assert plans.choice(asked) == chosen
    assert planned(asked).driver.driver is chosen.driver
    named = variant(tmp_path, load={"driver": "aiohttp"})
    assert plans.choice(named) == Choice(Driver.AIOHTTP)


@pytest.mark.parametrize(
    ("connection", "chosen"),
    [
        ({"closer": "client", "close": "half"}, Driver.PROTOCOL),
        ({"closer": "server", "close": "half"}, Driver.PROTOCOL),
        ({"closer": "client", "close": "unread"}, Driver.PROTOCOL),
        ({"closer": "server", "close": "unread"}, Driver.URING),
        ({"closer": "client", "linger": "1s"}, Driver.PROTOCOL),
        ({"closer": "server", "linger": "1s"}, Driver.URING),
        ({"closer": "server", "close": "unsent"}, Driver.PROTOCOL),
    ],
)
def test_auto_takes_the_driver_that_can_do_the_client_s_part_of_a_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], chosen: Driver
) -> None:
    monkeypatch.setattr(able, "obstacle", lambda _: "")
    asked = variant(tmp_path, server={"response": "64KiB"}, connection=connection)
    choice = plans.choice(asked)
    assert choice.driver is chosen
    assert not choice.lacking
    assert (connection.get("close", "linger") in choice.why) == (chosen is Driver.PROTOCOL)


@pytest.mark.parametrize(
    ("load", "requests", "chosen"),
    [
        ({"closed_loop": {"connections": 3}}, 1, Driver.PROTOCOL),
        ({"closed_loop": {"connections": 4}}, 1, Driver.URING),
        ({"closed_loop": {"connections": 19}}, 2, Driver.PROTOCOL),
        ({"closed_loop": {"connections": 20}}, 2, Driver.URING),
        ({"closed_loop": {"connections": 4}, "workers": 2}, 1, Driver.PROTOCOL),
        ({"closed_loop": {"connections": 3}, "driver": "uring"}, 1, Driver.URING),
        ({"open_loop": {"rate": "10/s", "connections": 3}}, 1, Driver.URING),
    ],
)
def test_auto_takes_the_driver_that_is_faster_with_so_many_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: dict[str, Any], requests: int, chosen: Driver
) -> None:
    monkeypatch.setattr(able, "obstacle", lambda _: "")
    asked = variant(tmp_path, load=load, connection={"closer": "client", "requests": requests})
    assert plans.choice(asked).driver is chosen
    assert not plans.choice(asked).lacking
