"""What a scenario needs of this machine, and what happens if it is not available."""

from pathlib import Path

import pytest

from loadgen.drivers.uring import able
from loadgen.engine import machine
from loadgen.engine.machine import Check, Verdict
from loadgen.engine.preflight import preflight
from loadgen.scenario.choices import Driver, Topology
from loadgen.scenario.document import Scenario
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
