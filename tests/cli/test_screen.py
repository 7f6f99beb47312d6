"""What is shown while a run goes."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadgen.analysis.fold import Fold
from loadgen.cli.screen import LiveView, PlainLines
from loadgen.model.predict import predict
from loadgen.model.situation import situation
from loadgen.records.directory import RunDirectory
from loadgen.scenario.document import Scenario, Variant
from tests.made_records import NO_PORT, from_samples, interval, variant

COMMAND = {"driver": "command", "command": ["/usr/bin/wrk", "{url}"]}


def shown(kind: type[LiveView | PlainLines], *variants: Variant, **told: Any) -> str:
    """What a view writes of the first interval of the first of the variants."""
    console = Console(file=StringIO(), width=120, force_terminal=kind is LiveView, color_system=None)
    scenario = Scenario(title="t", variants=variants)
    fold = Fold(28_232)
    with kind(console, scenario, RunDirectory(Path("runs/x")), quick=False) as view:
        view.variant_begins(variants[0], predict(situation(variants[0])), fold)
        record = interval(0, 10, **told)
        record = from_samples(record) if variants[0].load.program else record
        fold.add(record)
        # What a view draws at first is not due again at once.
        view._due = 0.0  # pyright: ignore[reportPrivateUsage]
        view.record(record)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_errors_are_counted_where_the_driver_tells_them() -> None:
    assert "errors  none" in shown(LiveView, variant())
    failing = shown(LiveView, variant(), errors={NO_PORT: 1_234})
    assert "errors  connect:EADDRNOTAVAIL 1,234" in failing


def test_of_a_command_no_errors_are_claimed() -> None:
    live = shown(LiveView, variant(load=COMMAND))
    assert "errors  not available: wrk is an external program" in live
    assert "none" not in live
    assert "errors" not in shown(PlainLines, variant(load=COMMAND))


@pytest.mark.parametrize(("count", "text"), [(1, "t: 1 variant into"), (2, "t: 2 variants into")])
def test_variants_are_counted_as_people_count(count: int, text: str) -> None:
    variants = [variant(name=f"v{number}") for number in range(count)]
    assert text in shown(PlainLines, *variants)
