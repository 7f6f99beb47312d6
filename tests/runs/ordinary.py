"""Runs by an ordinary user, who may make all of a lab in a namespace of their own."""

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tests.command import churn


def variants_of(scenario: str, codes: Collection[int] = (0,)) -> Mapping[str, Any]:
    """Run a scenario, which ends with one of these exit codes. Its variants in summary.json, by name."""
    # pytest's own directory bars an ordinary user.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "x.yaml").write_text(scenario)
        arguments = ("run", folder / "x.yaml", "--json", "--no-figures")
        done = churn(*arguments, runs=folder / "runs", ordinary=True)
    assert done.code in codes, done.said
    return json.loads(done.stdout)["variants"]
