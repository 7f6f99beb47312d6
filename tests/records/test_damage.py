"""A damaged run directory: what can be read is used, what cannot be read is named by its place."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack import damage, faults
from tests.command import churn
from tests.runs.test_runs import shared_path

__all__ = ["shared_path"]

COPIES = 40
BITS = 40
NOTICED = 0.9
"""The share of flipped bits in latency.hlog that has to be noticed: the times in its head are not read."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damage.record(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "run"))


def test_damaged_copies_are_read_as_far_as_they_can_be(recorded: Path) -> None:
    """The attack in its short form: in process, nothing drawn."""
    assert damage.attack(recorded, COPIES, seed=7, drawn=0, commanded=0) == []


def test_a_flipped_bit_of_a_histogram_is_noticed(run: Path) -> None:
    path = run / "one" / "latency.hlog"
    whole = path.read_bytes()
    noticed = 0
    for number in range(BITS):
        path.write_bytes(whole)
        faults.bits(random.Random(number), path)
        read = damage.read(run)
        assert damage.complaint(run, read, drawn=False) is None
        noticed += read.code == 2
    assert noticed >= NOTICED * BITS


def test_a_damaged_run_is_drawn_and_named_with_its_places(run: Path) -> None:
    path = run / "one" / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], '{"t_ns": NaN}\n', *lines[6:]]))
    done = churn("plot", run)
    assert done.code == 2
    assert done.stderr.startswith(f"{path}:6: ")
    assert done.stderr.count("\n") == 1
    drawn = [Path(line) for line in done.stdout.splitlines()]
    assert {"variants.svg", "timeline-one.png", "timeline-two.svg"} <= {path.name for path in drawn}
    assert "samples.jsonl:6" in (run / "figures" / "timeline-one.svg").read_text()
    summary = json.loads((run / "summary.json").read_text())["variants"]
    damaged = {name: "records_damaged" in json.dumps(one["caveats"]) for name, one in summary.items()}
    assert damaged == {"one": True, "two": False}
    assert not summary["one"]["valid"]


@pytest.mark.parametrize("name", ["run.json", "one/events.jsonl"])
def test_what_a_user_may_not_read_is_named(recorded: Path, shared_path: Path, name: str) -> None:
    run = Path(shutil.copytree(recorded, shared_path / "run"))
    read = damage.command_as_user(run, run / name)
    assert (read.code, read.raised) == (2, None)
    assert f"{run / name}: Permission denied\n" in read.said
    # What can be read is drawn all the same; run.json alone is needed.
    assert ("timeline-one.svg" in read.said) == (name != "run.json")


def test_what_is_written_replaces_whatever_stands_there(run: Path) -> None:
    (run / "figures").mkdir()
    places = [run / name for name in (".summary.json.part", "figures/timeline-one.svg")]
    for path in places:
        os.mkfifo(path)
    (run / "figures" / "variants.png").symlink_to("/dev/full")
    assert damage.read(run, drawn=True).code == 0
    assert not places[0].exists()
    assert places[1].is_file()
    assert not (run / "figures" / "variants.png").is_symlink()


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info["scenario"].clear(),
        lambda info: info.update(status="dozing"),
        lambda info: info["variants"].pop("two"),
        lambda info: info["variants"].update({"../..": info["variants"]["one"]}),
        lambda info: info["variants"]["one"]["prediction"].update(ports="many"),
        lambda info: info["variants"]["one"]["prediction"].pop("ports"),
        lambda info: info["scenario"]["variants"][0].update(expect=[7]),
        lambda info: info["scenario"]["variants"][0]["load"].update(duration=[]),
    ],
)
def test_of_a_run_whose_question_is_lost_nothing_is_drawn(
    run: Path, change: Callable[[object], object]
) -> None:
    info = json.loads((run / "run.json").read_text())
    change(info)
    (run / "run.json").write_text(json.dumps(info))
    read = damage.read(run)
    assert (read.code, read.raised) == (2, None)
    assert read.said.startswith(f"{run}/run.json: ")
    assert read.said.count("\n") == 1


def test_every_run_is_plotted_whatever_is_wrong_with_others(recorded: Path, run: Path) -> None:
    (run / "run.json").write_text("{")
    with damage.undrawn():
        done = damage.invoke("plot", str(run), str(recorded))
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
