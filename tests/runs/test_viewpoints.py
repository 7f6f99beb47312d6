"""A lab of three nodes, the middle one sampled as well: the topology alone declares it, and all shows it."""

import asyncio
import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from loadgen.analysis.reread import reread
from loadgen.analysis.summary import VariantSummary
from loadgen.cli.screen import PlainLines
from loadgen.cli.tables import print_report
from loadgen.engine import plans
from loadgen.engine.experiment import Outcome, run_scenario
from loadgen.kernel import netstat, snmp
from loadgen.lab.proxied import proxied_lab
from loadgen.lab.spec import End, LabSpec, Link, Node, Placement
from loadgen.lab.topology import DEFAULT_PORTS, client_server_lab
from loadgen.lab.translated import translated_lab
from loadgen.records.directory import RunDirectory
from loadgen.records.events import LabOpened, SampleCheck
from loadgen.records.types import Sample
from loadgen.records.viewpoints import Leg, Scope, SocketFilter, Viewpoint
from loadgen.scenario.choices import Topology
from loadgen.scenario.document import Scenario
from loadgen.scenario.read import load_scenario
from loadgen.tcp import State
from plots.columns import columns_of
from plots.facts import facts_of, run_of
from plots.figures import asked_of
from plots.multiples import multiples
from plots.timeline import timeline
from tests.command import LIMIT_S

NAMES = ("client", "middle", "server")
PORTS = (20_000, 29_999)
DRIVEN = """
title: three nodes
load: {closed_loop: {connections: 8}, duration: 1s, driver: protocol}
connection: {closer: client}
"""
COMMANDED = """
title: three nodes
load:
  closed_loop: {connections: 1}
  duration: 1s
  driver: command
  command: ["{python}", "-c", "import urllib.request as r; [r.urlopen('{url}').read() for _ in range(50)]"]
connection: {closer: server}
"""


def routed(*, split: bool) -> LabSpec:
    """A client and a server in networks of their own, and a middle that forwards between them.

    split   the server's node has the viewpoint of its listener's port alone, and is dumped socket by socket
    """
    client = End("client", ("198.18.0.1/24",), routes={"198.19.0.0/24": "198.18.0.254"})
    server = End("server", ("198.19.0.1/24",), routes={"198.18.0.0/24": "198.19.0.254"})
    near = End("middle", ("198.18.0.254/24",))
    far = End("middle", ("198.19.0.254/24",), interface="lab1")
    return LabSpec(
        nodes=(
            Node("client", ports=PORTS),
            Node("middle", sysctls={"net.ipv4.ip_forward": "1"}),
            Node("server", backlog=4096),
        ),
        links=(Link((client, near)), Link((far, server))),
        sides={
            "client": Placement("client", ("198.18.0.1",)),
            "server": Placement("server", ("198.19.0.1",)),
        },
        scope=Scope(
            (
                Viewpoint("client", "client", ports=PORTS),
                Viewpoint("middle", "middle"),
                Viewpoint("server", "server", SocketFilter(local_port=8080) if split else None),
            ),
            (Leg("client", "server"),),
        ),
    )


def run(
    folder: Path, text: str, spec: LabSpec, patch: pytest.MonkeyPatch
) -> tuple[Scenario, RunDirectory, VariantSummary, str]:
    """A run in a lab of this spec: its scenario, directory, summary, and the lines of its progress."""
    path = folder / "x.yaml"
    path.write_text(text)
    scenario, directory, shown = load_scenario(path), RunDirectory(folder / "run"), io.StringIO()
    directory.path.mkdir()
    patch.setattr(plans, "lab_spec", lambda _: spec)
    watcher = PlainLines(Console(file=shown, width=200), scenario, directory, quick=False)

    async def main() -> Outcome:
        async with asyncio.timeout(LIMIT_S):
            return await run_scenario(scenario, directory, watcher, asyncio.Event(), quick=False)

    outcome = asyncio.run(main())
    assert outcome.failure is None
    (summary,) = outcome.summaries
    return scenario, directory, summary, shown.getvalue()


def drawn(directory: RunDirectory, summary: VariantSummary) -> tuple[Figure, Figure]:
    """The figure of all variants, and that of the only one."""
    asked = asked_of(directory)
    about, columns = run_of("x", asked), columns_of(directory.records("main"))
    (variant,) = asked.scenario.variants
    facts = facts_of(about, variant, asked.predictions["main"], summary)
    return multiples(about, [(columns, facts)]), timeline(columns, facts)


@pytest.mark.parametrize("text", [DRIVEN, COMMANDED], ids=["driver", "command"])
@pytest.mark.parametrize("split", [False, True])
def test_a_middle_node_is_sampled_measured_shown_and_drawn(
    text: str,
    split: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario, directory, summary, progress = run(tmp_path, text, routed(split=split), monkeypatch)
    records = list(directory.records("main"))

    # The records: an entry a viewpoint, in the order of the lab.
    (lab,) = [one for one in records if isinstance(one, LabOpened)]
    assert lab.scope.names == tuple(lab.sysctls) == NAMES
    samples = [one for one in records if isinstance(one, Sample)]
    assert all(tuple(one.viewpoints) == NAMES for one in samples)
    last = samples[-1].viewpoints
    assert [last[name].full for name in NAMES] == [False, False, split]
    assert (last["middle"].states, last["middle"].ports_held, last["middle"].cpu_user_ns) == ({}, None, None)
    checks = [one for one in records if isinstance(one, SampleCheck)]
    assert [tuple(one.viewpoints) for one in checks] == [NAMES, NAMES]

    # The metrics: what a node without sockets and processes has, and no more.
    metrics = summary.metrics
    assert {f"middle.{state.key}.{of}" for state in State for of in ("max", "end")} <= metrics.keys()
    assert metrics["middle.established.max"] == metrics["middle.time_wait.max"] == 0
    assert metrics["connected"] > 0
    counters = [name for name in metrics if name.startswith("middle.kernel.")]
    assert len(counters) > len([*snmp.COUNTERS, *netstat.COUNTERS]) / 2
    assert metrics["middle.kernel.ActiveOpens"] == metrics["middle.kernel.TW"] == 0
    absent = {"middle.cpu_ns", "middle.busy", "middle.ports_held.max", "server.ports_held.max"}
    assert not absent & metrics.keys()
    assert "client.ports_held.max" in metrics

    # The audit: the middle is not an end of a connection.
    assert summary.exact
    assert summary.valid
    assert len(summary.audit) == (9 if text is DRIVEN else 2)
    assert not any("middle" in f"{line.what} {line.source}" for line in summary.audit)
    assert metrics["connected"] == metrics["server.kernel.PassiveOpens"]

    # What the terminal shows, and the figures.
    assert "the middle none" in summary.verdict
    assert ", middle 0, server " in progress
    print_report(scenario, [summary], [], directory, quick=False, whole=True)
    assert "TW middle" in capsys.readouterr().out
    overview, own = drawn(directory, summary)
    titles = [axes.get_title(loc="left") for axes in own.axes]
    assert [title for title in titles if title.endswith(": sockets by state")] == [
        f"{name.capitalize()}: sockets by state" for name in NAMES
    ]
    assert "middle 0 TIME-WAIT" in {text.get_text().strip() for text in overview.axes[1].texts}

    # All of it again from the records.
    again = reread(directory)
    assert again.damage == []
    (reread_summary,) = again.summaries
    assert reread_summary == summary


def test_a_nat_has_the_viewpoints_that_metrics_are_named_after() -> None:
    spec = translated_lab(ports=PORTS, nat_ports=PORTS, sysctls={})
    assert spec.scope.names == Topology.NAT.viewpoints


@pytest.mark.parametrize("topology", [one for one in Topology if one is not Topology.NAT])
def test_a_topology_has_the_viewpoints_that_metrics_are_named_after(topology: Topology) -> None:
    if topology is Topology.PROXY:
        made = proxied_lab(port=8080, ports=DEFAULT_PORTS, proxy_ports=DEFAULT_PORTS, sysctls={})
    else:
        made = client_server_lab(topology, port=8080)
    assert made.scope.names == topology.viewpoints
