"""What a scenario needs of this machine, and what happens if it is not available."""

from pathlib import Path

import pytest

from loadgen.drivers.uring import able
from loadgen.engine import installed, machine
from loadgen.engine.machine import Check, Verdict
from loadgen.engine.preflight import preflight
from loadgen.scenario.choices import Driver, Topology
from loadgen.scenario.document import Scenario
from loadgen.scenario.read import load_scenario
from loadgen.uring.offer import Offer
from tests.made_records import variant


def test_without_namespaces_a_scenario_runs_on_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Check("namespaces", Verdict.FAIL, "forbidden", "allow them")
    monkeypatch.setattr(machine, "checks", lambda **_: [Check("kernel", Verdict.OK, "Linux"), lacking])
    found = preflight(Scenario(title="t", variants=(variant(),)), tmp_path)
    assert found.fallback
    assert found.scenario.variants[0].lab.topology is Topology.HOST
    assert found.warnings == (lacking,)
    assert found.refusals == ()


def test_with_all_that_it_needs_a_scenario_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "checks", lambda **_: [Check("kernel", Verdict.OK, "Linux")])
    asked = Scenario(title="t", variants=(variant(),))
    found = preflight(asked, tmp_path)
    assert (found.scenario, found.fallback, found.warnings, found.refusals) == (asked, False, (), ())


def test_uring_that_is_named_and_not_available_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(able, "offer", lambda: Offer("io_uring is forbidden"))
    named = variant()
    load = named.load.model_copy(update={"driver": Driver.URING})
    asked = Scenario(title="t", variants=(named.model_copy(update={"load": load}),))
    (refusal,) = preflight(asked, tmp_path).refusals
    assert refusal.reason == f"load.driver of {named.name}: io_uring is forbidden"
    assert "protocol driver" in refusal.remedy


def test_a_range_of_the_sockets_own_is_refused_where_the_kernel_has_no_such_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "IP_LOCAL_PORT_RANGE", 250)  # no option has this number
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nvariants: {a: {}, b: {lab: {client: {local_port_range: 40000-40999}}}}\n")
    (refusal,) = preflight(load_scenario(path), tmp_path).refusals
    assert refusal.reason.startswith("lab.client.local_port_range of b: this kernel refuses")
    assert "Linux 6.3" in refusal.remedy


@pytest.mark.parametrize(
    ("need", "reason", "remedy"),
    [
        ("nginx", "nginx is not installed", "Debian's package nginx-light has it"),
        ("ab", "ab is not installed", "Debian's package apache2-utils has it"),
        ("no-such", "no-such is not installed", "`make peers` brings those of the bundled scenarios"),
        ("python:no_such.part", "the module no_such.part of Python is not installed", "pip install no_such`"),
    ],
)
def test_what_a_command_needs_is_refused_with_the_package_that_has_it(
    need: str, reason: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "find_program", lambda name: f"/bin/{name}" if name == "sh" else None)
    path = tmp_path / "x.yaml"
    path.write_text(
        "title: t\n"
        f"variants: {{a: {{}}, b: {{server: {{kind: command, command: [sh], needs: ['{need}']}}}}}}\n"
    )
    (refusal,) = preflight(load_scenario(path), tmp_path).refusals
    assert refusal.reason.startswith(reason)
    assert refusal.reason.endswith(": server.needs of b")
    assert remedy in refusal.remedy
    assert installed.check("python:json.decoder", "load.needs of b").verdict is Verdict.OK
