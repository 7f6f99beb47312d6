"""The gallery's pool, run as a user runs it."""

from pathlib import Path

from tests.command import churn, document
from tests.runs.test_runs import shared_path

__all__ = ["shared_path"]


def test_a_pool_that_is_smaller_than_a_burst_decides_its_claim(shared_path: Path) -> None:
    path = Path(__file__).parents[2] / "scenarios" / "pool.yaml"
    words = ["--quick", "--variant", "pool-2", "--variant", "pool-10", "--json", "--no-figures"]
    done = churn("run", path, *words, runs=shared_path / "r", ordinary=True)
    assert done.code == 0, done.said
    summary = document(done.stdout)
    assert [(claim["claim"], claim["verdict"]) for claim in summary["claims"]] == [("C50", "depends")]
    metrics = summary["variants"]["pool-2"]["metrics"]
    assert metrics["pool.closed"] + metrics["pool.idle.max"] <= metrics["opened"] <= metrics["exchanges"]
    for variant in summary["variants"].values():
        assert all(line["exact"] for line in variant["audit"])
