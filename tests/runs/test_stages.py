"""Stages in whole runs: each driver follows them, and each is an event, a mark and a set of metrics."""

from pathlib import Path

import pytest

from loadgen.records.directory import RunDirectory
from loadgen.records.events import StageBegan
from loadgen.records.types import Interval
from tests.runs.test_runs import exact, run

OPEN = """
title: t
load:
  stages: [{for: 600ms, rate: 100/s}, {for: 400ms, rate: 0/s}, {for: 500ms, rate: 40/s}]
  open_loop: {late: 1min}
connection: {closer: client}
variants:
  uring: {load: {driver: uring}}
  protocol: {load: {driver: protocol}}
  aiohttp: {load: {driver: aiohttp}}
  workers: {load: {driver: protocol, workers: 2}}
"""
CLOSED = """
title: t
load: {stages: [{for: 400ms, connections: 6}, {for: 800ms, connections: 0}, {for: 400ms, connections: 2}]}
variants:
  uring: {load: {driver: uring}, connection: {closer: client}}
  uring-server: {load: {driver: uring}}
  protocol: {load: {driver: protocol}}
  aiohttp: {load: {driver: aiohttp}, connection: {requests: 3}}
"""


def stages(directory: RunDirectory, variant: str) -> list[StageBegan]:
    return [one for one in directory.records(variant) if isinstance(one, StageBegan)]


def test_every_driver_makes_what_the_stages_offer_and_no_more(tmp_path: Path) -> None:
    done, summary = run(tmp_path, OPEN)
    (folder,) = (tmp_path / "runs").iterdir()
    assert done.code == 0
    for name, variant in summary["variants"].items():
        metrics = variant["metrics"]
        assert exact(variant), name
        # 60, none, and 20: a start that a busy machine delays is made all the same.
        assert metrics["offered"] == metrics["connected"] == 80, name
        assert sum(metrics[f"stage.{number}.connected"] for number in (1, 2, 3)) <= 80
        assert metrics["stage.1.connected"] > 0
        assert "rate.mean" not in metrics
        assert "stage.2.client.time_wait.end" in metrics
        began = stages(RunDirectory(folder), name)
        assert [(one.number, one.rate) for one in began] == [(1, 100), (2, 0), (3, 40)]
        # Never early.
        assert all(one.t_ns >= at for one, at in zip(began, (0, 600_000_000, 1_000_000_000), strict=True))
        assert "in stage 1" in variant["verdict"]
        compared = {one["name"]: one["predicted"] for one in variant["compared"]}
        predicted = [compared[f"rate, stage {number}"] for number in (1, 2, 3)]
        assert predicted == pytest.approx([100, 0, 40])


def test_a_closed_loop_drains_in_every_driver_and_goes_on(tmp_path: Path) -> None:
    done, summary = run(tmp_path, CLOSED)
    (folder,) = (tmp_path / "runs").iterdir()
    assert done.code == 0
    for name, variant in summary["variants"].items():
        assert exact(variant), name
        directory = RunDirectory(folder)
        second, third = (one.t_ns for one in stages(directory, name)[1:])
        intervals = [one for one in directory.records(name) if isinstance(one, Interval)]
        drained = [one for one in intervals if second < one.start_ns and one.end_ns < third]
        # What was under way in the first of them may end in it.
        assert all(one.attempts == 0 for one in drained), name
        assert not drained or drained[-1].in_flight == 0, name
        assert sum(one.connected for one in intervals if one.end_ns <= second) > 0
        assert sum(one.connected for one in intervals if one.end_ns > third) > 0, name
        assert max(one.in_flight for one in intervals if one.start_ns >= third) <= 2, name
