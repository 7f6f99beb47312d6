"""The files behind names: scenarios by path or bundled name, runs by path, id or `last`."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.cli.exits import Exit, fail

if TYPE_CHECKING:
    from loadgen.records.directory import RunDirectory
    from loadgen.scenario.document import Scenario

RUNS = Path("runs")
LAST = "last"


def bundled() -> dict[str, Path]:
    """The gallery: scenario files by name."""
    folder = Path(str(files("scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def scenario_path(name: str) -> Path:
    """The file of a scenario. Exits with USAGE if there is none, or it cannot be reached."""
    gallery, path = bundled(), Path(name)
    try:
        is_file, exists = path.is_file(), path.exists()
    except OSError as error:
        fail(Exit.USAGE, f"{name}: {error.strerror}")
    if name in gallery and not is_file:
        return gallery[name]
    # `churn run scenarios/http10.yaml` works from any directory.
    if not exists and path.parent == Path("scenarios") and path.stem in gallery:
        return gallery[path.stem]
    if not exists:
        known = ", ".join(gallery)
        fail(Exit.USAGE, f"{name}: no such file, and no such scenario in the gallery ({known})")
    return path


def read_scenario(
    name: str, *, overrides: Sequence[str] = (), variants: Sequence[str] = (), quick: bool = False
) -> "tuple[Path, Scenario]":
    """A scenario, ready to run. Exits with BAD_SCENARIO and reports every problem."""
    from loadgen.analysis.metric_names import MetricNames
    from loadgen.kernel import netstat, snmp
    from loadgen.scenario.read import load_scenario
    from loadgen.text.problem import ScenarioError

    path = scenario_path(name)
    try:
        known = MetricNames([*snmp.COUNTERS, *netstat.COUNTERS])
        return path, load_scenario(path, overrides=overrides, variants=variants, quick=quick, metrics=known)
    except ScenarioError as error:
        fail(Exit.BAD_SCENARIO, str(error))


def run_directory(name: str, runs: Path) -> "RunDirectory":
    """A run by path, by id within `runs`, or the newest one there. Exits with USAGE if there is none."""
    from loadgen.records.directory import RUN_FILE, RunDirectory

    if name == LAST:
        found = sorted(path.parent for path in runs.glob(f"*/{RUN_FILE}"))
        if not found:
            fail(Exit.USAGE, f"{runs}: no runs here yet; `churn run http10 --quick` makes one")
        return RunDirectory(found[-1])
    for path in (Path(name), runs / name):
        if _is_run(path / RUN_FILE):
            return RunDirectory(path)
    return fail(Exit.USAGE, f"{name}: not a run directory, nor the id of a run in {runs}")


def _is_run(document: Path) -> bool:
    """Whether there is a run.json. Its reader reports if it cannot be read or is not a file."""
    try:
        document.lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


runs_option = click.option(
    "-o",
    "--output",
    "runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=RUNS,
    show_default=True,
    help="The folder of run directories.",
)


def scenario_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and options of a scenario, the same for every command that reads one."""
    return scenario_options(click.argument("scenario")(command))


def scenario_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a scenario."""
    for decorate in (
        click.option("--quick", is_flag=True, help="Fewer ports, shorter: the same story in half a minute."),
        click.option(
            "--variant", "variants", metavar="NAME", multiple=True, help="Only this variant; repeatable."
        ),
        click.option(
            "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key in every variant."
        ),
    ):
        command = decorate(command)
    return command
