"""Remedies: the key that names them, and which of the catalogue a workload can have."""

from pathlib import Path
from typing import Any

import pytest

from loadgen.scenario.baseline import Remedies
from loadgen.scenario.differences import changed
from loadgen.scenario.document import Scenario, Settings, Variant
from loadgen.scenario.read import load_scenario
from loadgen.scenario.remedies import CATALOGUE, Unfit, apply, overridden
from loadgen.scenario.schema import resolved, restore
from loadgen.text.problem import ScenarioError

ROOT = Path(__file__).parents[2]
HEAD = "title: t\nvariants: {none: {}, wider: {}, more: {}}\n"
BY_NAME = {remedy.name: remedy for remedy in CATALOGUE}


def read(directory: Path, text: str, *variants: str) -> Scenario:
    path = directory / "x.yaml"
    path.write_text(text)
    return load_scenario(path, variants=variants)


def workload(**parts: Any) -> Variant:
    return Variant.model_validate({"name": "main", "connection": {"closer": "client"}, **parts})


def test_the_key_names_a_baseline_and_survives_a_run_directory(tmp_path: Path) -> None:
    text = f"{HEAD}remedies: {{baseline: none, left_out: {{pool: no driver has one}}}}"
    scenario = read(tmp_path, text)
    assert scenario.remedies == Remedies(baseline="none", left_out={"pool": "no driver has one"})
    assert scenario.remedies.compared(["wider", "none", "more"]) == ("none", "wider", "more")
    assert restore(resolved(scenario)) == scenario
    chosen = read(tmp_path, f"{HEAD}remedies: {{baseline: none, variants: [more]}}").remedies
    assert chosen is not None
    assert chosen.compared(["none", "wider", "more"]) == ("none", "more")


def test_with_some_variants_only_those_are_compared(tmp_path: Path) -> None:
    text = f"{HEAD}remedies: {{baseline: none, variants: [more, wider]}}"
    assert read(tmp_path, text, "none", "wider").remedies == Remedies(baseline="none", variants=("wider",))
    assert read(tmp_path, text, "more", "wider").remedies is None
    assert read(tmp_path, text, "none").remedies is None


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{}", "3:11: remedies.baseline: is required"),
        ("{baseline: nonne}", '3:22: remedies.baseline: there is no such variant (did you mean "none"?)'),
        ("{baseline: x}", "3:22: remedies.baseline: there is no such variant (there are none, wider, more)"),
        (
            "{baseline: none, variants: [wider, mor]}",
            '3:46: remedies.variants.1: there is no such variant (did you mean "more"?)',
        ),
        ("{baseline: none, variants: [none]}", "3:39: remedies.variants.0: is the baseline itself"),
        ("{baseline: none, variants: [more, more]}", "3:45: remedies.variants.1: is named twice"),
        ("{baseline: none, left_out: [pool]}", "3:38: remedies.left_out: expected a mapping, got a list"),
        ("{base: none}", "remedies.base: unknown key"),
    ],
)
def test_a_mistake_is_answered_in_its_place(tmp_path: Path, written: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, f"{HEAD}remedies: {written}")
    assert problem in str(caught.value)


FEW = {"client": {"ports": "40000-40099"}}
WORKLOADS: dict[str, Variant] = {
    "client closes": workload(lab=FEW),
    "server closes": workload(lab=FEW, connection={"closer": "server"}),
    "all ports": workload(lab={"client": {"ports": "1024-65535"}}),
    "reuses": workload(lab={**FEW, "sysctl": {"client": {"net.ipv4.tcp_tw_reuse": "1"}}}),
    "own range": workload(lab={"client": {"ports": "40000-40099", "local_port_range": "40000-40099"}}),
    "stays": workload(lab=FEW, connection={"closer": "nobody"}),
    "early": workload(lab={"client": {"ports": "40000-40099", "bind": "early"}}, server={"ports": 2}),
    "narrow": workload(lab={"client": {"ports": "40000-40099", "local_port_range": "40000-40079"}}),
    "proxies": workload(
        lab={
            "topology": "proxy",
            "client": {"ports": "40000-40099", "local_port_range": "40000-40079"},
            "proxy": {"ports": "40000-40099", "addresses": 3},
            "server": {"addresses": 2},
        },
        server={"ports": 2},
        proxy={"kind": "nginx"},
    ),
    "proxy": workload(lab={"topology": "proxy"}, proxy={"kind": "nginx"}),
    "program": workload(lab=FEW, load={"driver": "command", "command": ["wrk"]}),
    "program serves": workload(lab=FEW, server={"kind": "command", "command": ["nginx"]}),
    "host": workload(lab={"topology": "host"}),
}
OWN = "decides this by itself"
UNFIT: list[tuple[str, str, str]] = [
    ("server closes", "server-closes", "has it already"),
    ("all ports", "wider-range", "has it already"),
    ("reuses", "tw-reuse", "has it already"),
    ("own range", "wider-range", "lab.client.local_port_range bounds"),
    ("stays", "rst", "connection.close"),
    ("proxy", "sources", "the proxy's run out of ports"),
    ("proxy", "rst", "the proxy's run out of ports"),
    ("program", "kept", f"wrk {OWN}"),
    ("program", "rst", f"wrk {OWN}"),
    ("program", "sources", "lab.client.addresses: a command as driver uses one address"),
    ("program serves", "server-closes", f"nginx {OWN}"),
    ("host", "tw-reuse", "the host's sysctls are left alone"),
]
FIT: list[tuple[str, str, dict[str, str]]] = [
    ("client closes", "wider-range", {"lab.client.ports": "40000-40199"}),
    ("client closes", "sources", {"lab.client.addresses": "2"}),
    ("client closes", "server-ports", {"server.ports": "2"}),
    ("client closes", "few-buckets", {"lab.sysctl.client.net.ipv4.tcp_max_tw_buckets": "10"}),
    ("early", "few-buckets", {"lab.sysctl.client.net.ipv4.tcp_max_tw_buckets": "10"}),
    ("narrow", "few-buckets", {"lab.sysctl.client.net.ipv4.tcp_max_tw_buckets": "8"}),
    ("proxies", "few-buckets", {"lab.sysctl.proxy.net.ipv4.tcp_max_tw_buckets": "120"}),
    ("proxies", "wider-range", {"lab.proxy.ports": "40000-40199"}),
    ("client closes", "kept", {"connection.requests": "10"}),
    ("client closes", "rst", {"connection.close": "rst"}),
    ("client closes", "local-port-range", {"lab.client.local_port_range": "40000-40099"}),
    ("reuses", "no-timestamps", {"lab.sysctl.client.net.ipv4.tcp_timestamps": "0"}),
    ("all ports", "sources", {"lab.client.addresses": "2"}),
    ("proxy", "wider-range", {"lab.proxy.ports": "9072-65535"}),
    ("proxy", "tw-reuse", {"lab.sysctl.proxy.net.ipv4.tcp_tw_reuse": "1"}),
    ("proxy", "kept", {"proxy.keep": "64"}),
    ("program", "tw-reuse", {"lab.sysctl.client.net.ipv4.tcp_tw_reuse": "1"}),
    ("program serves", "rst", {"connection.close": "rst"}),
]


@pytest.mark.parametrize(("of", "name", "reason"), UNFIT, ids=lambda each: str(each)[:30])
def test_a_remedy_that_cannot_be_applied_says_why(of: str, name: str, reason: str) -> None:
    found = apply(BY_NAME[name], WORKLOADS[of])
    assert isinstance(found, Unfit)
    assert reason in found.reason


@pytest.mark.parametrize(("of", "name", "sets"), FIT, ids=lambda each: str(each)[:30])
def test_a_remedy_changes_its_keys_and_no_others(of: str, name: str, sets: dict[str, str]) -> None:
    base = WORKLOADS[of]
    found = apply(BY_NAME[name], base)
    assert isinstance(found, Variant)
    assert (found.name, changed(base, found)) == (name, sets)


def test_every_remedy_is_either_applied_or_refused_for_every_workload_of_the_gallery() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    paths = sorted((ROOT / "scenarios").glob("*.yaml"))
    bases = [variant for path in paths for variant in load_scenario(path).variants]
    applied = set[str]()
    for base in bases:
        # A setting that was not written stays so: the same settings are read again.
        assert overridden(base, []) == Settings.model_validate(
            {name: getattr(base, name) for name in Settings.model_fields}
        )
    for base in bases[::5]:
        for remedy in CATALOGUE:
            found = apply(remedy, base)
            if isinstance(found, Unfit):
                assert found.reason
            else:
                applied.add(remedy.name)
                assert changed(base, found)
    assert applied >= BY_NAME.keys() - {"pool"}
