"""The gallery's kept connections, run as a user runs them."""

from pathlib import Path

from tests.command import churn, document
from tests.runs.test_runs import shared_path

__all__ = ["shared_path"]


def test_reaping_and_capping_decide_their_claim(shared_path: Path) -> None:
    path = Path(__file__).parents[2] / "scenarios" / "kept.yaml"
    only = [word for name in ("piled", "reaped", "capped") for word in ("--variant", name)]
    done = churn("run", path, *only, "--json", "--no-figures", runs=shared_path / "r", ordinary=True)
    assert done.code == 0, done.said
    summary = document(done.stdout)
    assert [(claim["claim"], claim["verdict"]) for claim in summary["claims"]] == [("C42", "confirmed")]
    for variant in summary["variants"].values():
        assert all(line["exact"] for line in variant["audit"])
