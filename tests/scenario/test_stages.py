"""Stages of a load: what they stand for, how they are merged, and each contradiction at its place."""

import pytest

from loadgen.scenario.choices import Arrivals
from loadgen.scenario.document import Scenario
from loadgen.scenario.schema import resolved, restore
from loadgen.scenario.traffic import ClosedLoop, OpenLoop
from tests.scenario.test_scenario import Read, problems, read

__all__ = ["read"]

HEAD = "title: t\nload:\n  "
RATES = "stages: [{for: 10s, rate: 100/s}, {for: 5s, rate: 0/s}]"
NUMBERS = "stages: [{for: 1s, connections: 8}, {for: 2s, connections: 0}]"


def test_stages_of_rates_are_an_open_loop_as_long_as_all_of_them(read: Read) -> None:
    (variant,) = read(f"{HEAD}{RATES}\n  open_loop: {{arrivals: poisson, connections: 70}}").variants
    assert variant.load.loop == OpenLoop.model_validate(
        {"rate": "100/s", "arrivals": Arrivals.POISSON, "connections": 70}
    )
    assert variant.load.duration == 15_000_000_000
    assert [stage.words for stage in variant.load.stages] == ["100/s", "0/s"]
    scenario = Scenario(title="t", variants=(variant,))
    assert restore(resolved(scenario)) == scenario


def test_stages_of_connections_are_a_closed_loop(read: Read) -> None:
    (variant,) = read(HEAD + NUMBERS).variants
    assert variant.load.loop == ClosedLoop(connections=8)
    assert variant.load.duration == 3_000_000_000


def test_stages_replace_what_they_stand_for_and_one_value_of_one_can_be_set(read: Read) -> None:
    text = f"{HEAD}duration: 9s\n  closed_loop: {{connections: 3}}\nvariants: {{a: {{load: {{{RATES}}}}}}}"
    (variant,) = read(text, overrides=["load.stages.1.rate=30/s", "load.stages.0.for=1s"]).variants
    assert variant.load.closed_loop is None
    assert [(stage.words, stage.lasts // 10**9) for stage in variant.load.stages] == [
        ("100/s", 1),
        ("30/s", 5),
    ]
    assert variant.load.duration == 6_000_000_000


def test_a_matrix_goes_through_stages(read: Read) -> None:
    text = f"{HEAD}{RATES}\nmatrix: {{load.stages.0.rate: [10/s, 20/s]}}"
    found = {one.name: one.load.stages[0].rate for one in read(text).variants}
    assert found == {"rate=10-s": 10, "rate=20-s": 20}
    lists = (
        f"{HEAD}duration: 1s\nmatrix: {{load.stages: [[{{for: 1s, rate: 5/s}}], [{{for: 2s, rate: 6/s}}]]}}"
    )
    assert [one.load.duration // 10**9 for one in read(lists).variants] == [1, 2]


def test_quick_keeps_the_times_of_stages_unless_the_file_has_others(read: Read) -> None:
    (variant,) = read(HEAD + RATES, quick=True).variants
    assert variant.load.duration == 15_000_000_000
    own = f"{HEAD}{RATES}\nquick: {{load: {{stages: [{{for: 1s, rate: 7/s}}]}}}}"
    (variant,) = read(own, quick=True).variants
    assert (variant.load.duration, variant.load.loop) == (
        1_000_000_000,
        OpenLoop.model_validate({"rate": "7/s"}),
    )


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ("stages: []", "3:11: load.stages: the list of stages is empty (write stages: [{for: 10s,"),
        (f"{RATES}\n  duration: 4s", "4:13: load.duration: is 4s, and the stages last 15s together (remove"),
        (
            f"{RATES}\n  open_loop: {{rate: 9/s}}",
            "4:21: load.open_loop.rate: the stages have the rates (remove",
        ),
        (
            f"{RATES}\n  closed_loop: {{connections: 4}}",
            "load.closed_loop: a closed loop has connections, and",
        ),
        (
            f"{NUMBERS}\n  open_loop: {{arrivals: poisson}}",
            "load.open_loop: an open loop has rates, and the st",
        ),
        (
            f"{NUMBERS}\n  closed_loop: {{connections: 4}}",
            "4:30: load.closed_loop.connections: the stages have",
        ),
        ("stages: [{for: 1s}]", "3:12: load.stages.0: has neither rate nor connections (write {for: 10s,"),
        (
            "stages: [{for: 1s, rate: 1/s, connections: 1}]",
            "3:46: load.stages.0.connections: has both rate and",
        ),
        (
            "stages: [{for: 1s, rate: 1/s}, {for: 1s, connections: 1}]",
            "3:57: load.stages.1.connections: the first stage has a rate: a load is open or closed in all",
        ),
        ("stages: [{for: 1s, rate: 0/s}]", "load.stages: no stage makes a connection: all of them are of 0"),
        ("stages: [{rate: 1/s}]", "3:12: load.stages.0.for: is required"),
        ("stages: [{for: 1s, rate: 1}]", "3:28: load.stages.0.rate: expected a rate such as 1000/s"),
        ("stages: [{for: 1s, rat: 1/s}]", "load.stages.0.rat: unknown key"),
        (
            "stages: [{for: 40min, rate: 1/s}, {for: 21min, rate: 1/s}]",
            "load.stages: the stages last 61min toge",
        ),
        ("stages: 5s", "3:11: load.stages: expected a list such as [a, b], got"),
        (
            f'{RATES}\n  driver: command\n  command: [sleep, "9"]',
            "3:11: load.stages: a command decides this by itself (remove the key",
        ),
    ],
)
def test_what_stages_cannot_say_is_an_error_at_its_place(read: Read, load: str, expected: str) -> None:
    (problem,) = problems(read, HEAD + load)
    assert expected in problem


def test_a_duration_set_over_stages_is_an_error(read: Read) -> None:
    (problem,) = problems(read, HEAD + RATES, overrides=["load.duration=5s"])
    assert "load.duration: is 5s, and the stages last 15s together" in problem
