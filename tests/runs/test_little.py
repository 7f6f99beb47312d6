"""The gallery's rates and ports, run as a user runs them."""

from pathlib import Path

from tests.command import churn, document
from tests.runs.test_runs import shared_path

__all__ = ["shared_path"]


def test_the_response_time_decides_its_claim(shared_path: Path) -> None:
    path = Path(__file__).parents[2] / "scenarios" / "little.yaml"
    words = [
        "--variant",
        "fast",
        "--variant",
        "slow",
        "--set",
        "load.duration=1500ms",
        "--set",
        "load.open_loop.late=1min",
        "--json",
        "--no-figures",
    ]
    done = churn("run", path, *words, runs=shared_path / "r", ordinary=True)
    assert done.code == 0, done.said
    summary = document(done.stdout)
    assert [(claim["claim"], claim["verdict"]) for claim in summary["claims"]] == [("C52", "refuted")]
