"""`churn remedies`, for real: an ordinary run, of which plot and report know nothing special."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from loadgen.records.directory import RunDirectory
from tests.command import churn, document
from tests.stories import drawn

WORKLOAD = """
title: A client that runs out of ports
lab:
  client: {ports: 40000-40019}
  sysctl: {client: {net.ipv4.tcp_tw_reuse: 1, net.ipv4.tcp_timestamps: 0}}
load: {driver: protocol, open_loop: {rate: 100/s, late: 1min}, duration: 1s}
variants: {server: {connection: {closer: server}}, client: {connection: {closer: client}}}
expect: {all: [errors.total == 0]}
"""


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """A folder that any user may write to; those of tmp_path are the test runner's alone."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_workload_runs_beside_its_remedies(shared_path: Path) -> None:
    path, runs = shared_path / "few.yaml", shared_path / "runs"
    path.write_text(WORKLOAD)
    only = ("--only", "wider-range", "--only", "no-timestamps")
    done = churn("remedies", path, *only, "--json", "--no-figures", runs=runs, ordinary=True)
    # The workload that is predicted to run out of ports; its expectations are left behind.
    assert done.code == 0, done.said
    assert "workload: client of" in done.stderr
    assert "no-timestamps: left out: the workload has it already" in done.stderr
    variants = document(done.stdout)["variants"]
    metrics = {name: each["metrics"] for name, each in variants.items()}
    assert list(metrics) == ["nothing", "wider-range"]
    connected = {name: each["connected"] for name, each in metrics.items()}
    assert connected["nothing"] <= 20
    assert connected["nothing"] < connected["wider-range"] <= 40
    (run,) = (RunDirectory(each) for each in runs.iterdir())
    assert run.info().scenario["remedies"]["left_out"].keys() == {"no-timestamps"}
    svg, _ = drawn(run, "remedies")
    assert svg.stat().st_size > 10_000


def test_what_is_no_remedy_and_two_workloads_are_refused(tmp_path: Path) -> None:
    for arguments, word in (
        (("remedies", "http10", "--only", "prayer"), "there are wider-range"),
        (("remedies", "http10", "--variant", "a", "--variant", "b"), "give --variant once"),
    ):
        done = churn(*arguments, cwd=tmp_path)
        assert done.code == 2
        assert word in done.stderr
    listed = churn("remedies", "http10", "--list", cwd=tmp_path)
    assert listed.code == 0
    assert "tw-reuse: " in listed.stdout
    assert list(tmp_path.iterdir()) == []
