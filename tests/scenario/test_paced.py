"""Which scenarios leave the machine idle, so that others may run beside them."""

from pathlib import Path

import pytest

from loadgen.cli.sources import bundled
from loadgen.scenario.paced import needs_machine
from loadgen.scenario.read import load_scenario

LOADS = {
    "open_loop: {rate: 1000/s}": False,
    "open_loop: {rate: 1001/s}": True,
    "closed_loop: {connections: 1}": True,
    "stages: [{for: 1s, rate: 1000/s}, {for: 1s, rate: 0/s}]": False,
    "stages: [{for: 1s, rate: 10/s}, {for: 1s, rate: 2000/s}]": True,
    "stages: [{for: 1s, connections: 1}]": True,
    "driver: command, command: [sleep, '1']": True,
}


@pytest.mark.parametrize(("load", "alone"), LOADS.items(), ids=LOADS)
def test_a_load_that_nothing_limits_needs_the_machine(tmp_path: Path, load: str, alone: bool) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"title: t\nload: {{{load}}}\n")
    assert needs_machine(load_scenario(path)) is alone
    path.write_text(f"title: t\nalone: {str(not alone).lower()}\nload: {{{load}}}\n")
    assert needs_machine(load_scenario(path)) is not alone


@pytest.mark.parametrize(
    ("requests", "think", "alone"), [(2, "100ms", False), (2, "99ms", True), (1, "100ms", True)]
)
def test_pauses_limit_a_closed_loop(tmp_path: Path, requests: int, think: str, alone: bool) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "title: t\nload: {closed_loop: {connections: 100}}\n"
        f"connection: {{requests: {requests}, think: {think}, closer: client}}\n"
    )
    assert needs_machine(load_scenario(path)) is alone


def test_one_variant_that_needs_the_machine_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: t\nmatrix: {load.open_loop.rate: [10/s, 5000/s]}\n")
    assert needs_machine(load_scenario(path))


def test_of_the_bundled_ones_those_run_alone_that_measure_rates() -> None:
    alone = {name for name, path in bundled().items() if needs_machine(load_scenario(path))}
    assert {"http10", "clients", "nginx"} <= alone
    assert not alone & {"sawtooth", "recovery", "programs", "unread", "tls"}
