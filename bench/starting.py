"""How long commands take, from exec to their end."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import monotonic_ns

from bench.results import Results, Say, Start
from bench.scale import Scale

ROOT = Path(__file__).parents[1]
SCENARIO = "scenarios/http10.yaml"
LIMIT_S = 60.0


def commands() -> dict[str, list[str]]:
    """What is started, by what people type; an interpreter that does nothing is the measure."""
    churn = str(Path(sys.executable).with_name("churn"))
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "churn --help": [churn, "--help"],
        f"churn check {SCENARIO}": [churn, "check", SCENARIO],
    }


def starting(scale: Scale, results: Results, say: Say) -> None:
    """How long commands take to start and end, in turns."""
    for number in range(1, scale.starts + 1):
        for name, argv in commands().items():
            begun_ns = monotonic_ns()
            subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
            results.starts.append(Start(name, number, monotonic_ns() - begun_ns))
    for name in commands():
        times = [start.elapsed_ns for start in results.starts if start.command == name]
        say(f"startup: {name} {median(times) / 1e6:.0f} ms")
