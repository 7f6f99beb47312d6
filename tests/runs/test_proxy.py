"""A client, a real proxy and a server: both legs are counted, audited and predicted."""

from pathlib import Path

import pytest

from loadgen.records.directory import RunDirectory
from loadgen.records.events import LabOpened, ProxyStarted
from tests.command import churn, document
from tests.runs.test_runs import shared_path

__all__ = ["shared_path"]

PORTS = 100
TEXT = """
title: t
lab: {{topology: proxy, client: {{ports: 40000-41999}}, proxy: {{ports: 40000-40099}}}}
load: {{driver: protocol, open_loop: {{rate: 150/s, connections: 500, late: 1min}}, duration: 1500ms}}
connection: {{closer: client}}
variants:
  none: {{proxy: {{kind: {kind}, closer: proxy}}}}
  keeps: {{proxy: {{kind: {kind}, keep: 16}}}}
"""


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_both_legs_of_a_proxy_are_counted_and_agree(kind: str, shared_path: Path) -> None:
    path = shared_path / "x.yaml"
    path.write_text(TEXT.format(kind=kind))
    done = churn("run", str(path), "--json", "--no-figures", runs=shared_path / "runs", ordinary=True)
    summary = document(done.stdout)
    none, keeps = (summary["variants"][name] for name in ("none", "keeps"))

    for found in (none, keeps):
        assert all(line["exact"] for line in found["audit"]), found["audit"]
        kinds = {line["what"] for line in found["audit"]}
        assert "requests in, requests out" in kinds
        assert any(what.startswith("proxy.upstream to server: ") for what in kinds)
        metrics = found["metrics"]
        assert metrics["connected"] == metrics["proxy.downstream.kernel.PassiveOpens"]
        assert metrics["proxy.upstream.kernel.ActiveOpens"] == metrics["server.kernel.PassiveOpens"]
        assert metrics["exchanges"] == metrics["served.exchanges"]

    # Without keep-alive, each request that was answered had a connection to the server.
    assert none["metrics"]["served.accepted"] == none["metrics"]["exchanges"]
    if kind == "nginx":
        assert none["metrics"]["proxy.upstream.time_wait.max"] == PORTS
        assert none["metrics"]["errors.HTTP_502"] == none["metrics"]["attempts"] - PORTS
        assert none["findings"][0]["viewpoint"] == "client"
        assert "behind_ports_gone" in {one["kind"] for one in none["findings"]}
    else:
        # HAProxy resets what the server leaves to it to close, and keeps no TIME-WAIT.
        assert none["metrics"]["proxy.upstream.time_wait.max"] == 0
        assert none["metrics"]["errors.total"] == 0
    assert keeps["metrics"]["errors.total"] == 0
    assert keeps["metrics"]["served.accepted"] < keeps["metrics"]["exchanges"]
    assert "proxy.upstream.ports_gone.time_ns" not in keeps["metrics"]

    (directory,) = (shared_path / "runs").iterdir()
    events = list(RunDirectory(directory).records("none"))
    (started,) = [one for one in events if isinstance(one, ProxyStarted)]
    assert started.kind == kind
    assert kind in started.version.lower()
    (lab,) = [one for one in events if isinstance(one, LabOpened)]
    assert lab.addresses["proxy"] == ("198.18.128.1",)
    assert (directory / "none" / "proxy").is_dir()


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_a_proxy_with_several_addresses_has_the_range_at_each(kind: str, shared_path: Path) -> None:
    path = shared_path / "x.yaml"
    path.write_text(f"""
title: t
lab: {{topology: proxy, proxy: {{ports: 40000-40099, addresses: 4}}}}
load: {{driver: protocol, open_loop: {{rate: 150/s, connections: 500, late: 1min}}, duration: 1500ms}}
connection: {{closer: client}}
server: {{delay: 900ms}}
proxy: {{kind: {kind}, closer: proxy}}
""")
    done = churn("run", str(path), "--json", "--no-figures", runs=shared_path / "runs", ordinary=True)
    (found,) = document(done.stdout)["variants"].values()
    assert all(line["exact"] for line in found["audit"]), found["audit"]
    # Requests in flight, and with nginx TIME-WAITs: at one address they would not find a port.
    assert found["metrics"]["errors.total"] == 0
    assert found["metrics"]["proxy.upstream.ports_held.max"] > PORTS


def test_stages_and_faults_of_the_server_act_behind_a_proxy(shared_path: Path) -> None:
    path = shared_path / "x.yaml"
    path.write_text("""
title: t
lab: {topology: proxy}
connection: {closer: client}
proxy: {kind: nginx, keep: 16}
variants:
  staged:
    load: {driver: protocol, open_loop: {late: 1min}, stages: [{for: 1s, rate: 20/s}, {for: 1s, rate: 200/s}]}
  restarted:
    load: {driver: protocol, open_loop: {rate: 100/s, late: 1min}, duration: 2s}
    script: [{at: 500ms, for: 500ms, do: restart, signal: KILL, on: server}]
""")
    done = churn("run", str(path), "--json", "--no-figures", runs=shared_path / "runs", ordinary=True)
    summary = document(done.stdout)
    staged, restarted = (summary["variants"][name] for name in ("staged", "restarted"))
    for found in (staged, restarted):
        assert all(line["exact"] for line in found["audit"]), found["audit"]
        assert found["metrics"]["connected"] == found["metrics"]["proxy.downstream.kernel.PassiveOpens"]
    assert staged["metrics"]["errors.total"] == 0
    assert staged["metrics"]["stage.1.connected"] < staged["metrics"]["stage.2.connected"]
    # While there is no server, the proxy answers by an error of its own.
    assert 0 < restarted["metrics"]["errors.HTTP_502"] < restarted["metrics"]["connected"]
