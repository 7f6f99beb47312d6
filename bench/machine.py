"""Where it was measured: kernel, CPUs, versions."""

import os
import re
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.tools import Tool
from loadgen.engine import experiment
from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.programs.plan import find_program
from loadgen.tcp import Side


@dataclass(frozen=True, slots=True)
class Environment:
    """`cpus` are those allowed. `load_average` is the last minute's: far from 0, other programs ran."""

    kernel: str
    cpu: str
    cpus: int
    congestion_control: str
    load_average: float
    versions: Mapping[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        machine = f"Linux {self.kernel}, {self.cpus} × {self.cpu}, {self.congestion_control}"
        return f"{machine}; {versions}; load average before {self.load_average:.2f}"


async def environment(tools: Sequence[Tool]) -> Environment:
    """This machine's. Raises LabUnavailable."""
    here = experiment.environment()
    versions = {"Python": here.python, "churn": here.churn, **here.libraries}
    for tool in tools:
        if tool.version:
            found = re.search(tool.shown, _printed(*tool.version))
            versions[tool.name] = found[1] if found else "unknown"
    versions["nginx"] = _printed(find_program("nginx") or "nginx", "-v").rpartition("/")[2]
    # As connections of a lab get it.
    with open_lab(client_server_lab()) as lab:
        path = "/proc/sys/net/ipv4/tcp_congestion_control"
        process = await lab.spawn(Side.CLIENT, ["cat", path], stdout=PIPE)
        congestion, _ = await process.communicate()
    cpu, load_average = _cpu() or here.machine, os.getloadavg()[0]
    return Environment(here.kernel, cpu, here.cpus, congestion.decode().strip(), load_average, versions)


def _cpu() -> str:
    """The first CPU's name; empty if it has none, as on aarch64."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _printed(*argv: str) -> str:
    """What a command prints about itself, on either stream. Some exit with 1 after that."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()
