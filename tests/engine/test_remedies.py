"""A workload beside its remedies: what this kernel lacks is left out, with the reason."""

import pytest

from loadgen.engine import remedies
from loadgen.engine.preflight import Refusal
from loadgen.engine.remedies import side_by_side
from loadgen.lab import sysctls
from loadgen.scenario.document import Scenario
from loadgen.scenario.remedies import CATALOGUE, NOTHING
from tests.made_records import variant

BASE = variant(lab={"client": {"ports": "40000-40099"}}, connection={"closer": "client"})
SCENARIO = Scenario(title="t", variants=(BASE,))
DELAY = "net.ipv4.tcp_tw_reuse_delay"


def test_every_remedy_is_a_variant_or_left_out_for_a_reason() -> None:
    beside = side_by_side(SCENARIO, BASE)
    assert beside.remedies is not None
    names = [each.name for each in beside.variants]
    assert names[0] == beside.remedies.baseline == NOTHING
    assert {*names[1:], *beside.remedies.left_out} == {remedy.name for remedy in CATALOGUE}
    assert {"wider-range", "tw-reuse", "kept", "rst", "server-closes"} <= set(names)
    assert beside.variants[0].lab == BASE.lab


def test_what_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def exists(key: str) -> bool:
        return key != DELAY

    def no_option(_: object) -> tuple[Refusal, ...]:
        return (Refusal("this kernel lacks it", "use another"),)

    monkeypatch.setattr(sysctls, "exists", exists)
    monkeypatch.setattr(remedies, "refused_range", no_option)
    beside = side_by_side(SCENARIO, BASE, ["tw-reuse", "tw-reuse-delay"])
    assert beside.remedies is not None
    assert beside.remedies.left_out == {
        "tw-reuse": "this kernel lacks it; use another",
        "tw-reuse-delay": f"this kernel has no {DELAY}",
    }


def test_a_sysctl_that_cannot_be_read_is_no_obstacle() -> None:
    flush = {"net.ipv4.route.flush": "1"}
    base = variant(lab={"sysctl": {"client": flush}}, connection={"closer": "client"})
    beside = side_by_side(SCENARIO, base, ["server-ports"])
    assert [each.name for each in beside.variants] == [NOTHING, "server-ports"]
