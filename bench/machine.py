"""Where it was measured: kernel, CPUs, versions."""

import os
import platform
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.tools import Tool
from loadgen.lab.lab import open_lab
from loadgen.lab.topology import client_server_lab
from loadgen.programs.plan import find_program
from loadgen.tcp import Side

PACKAGES = ("churn", "uvloop", "aiohttp")


@dataclass(frozen=True, slots=True)
class Environment:
    """`cpus` are those allowed. `load_average` is the last minute's: far from 0, others were at work."""

    kernel: str
    cpu: str
    cpus: int
    python: str
    congestion_control: str
    load_average: float
    versions: Mapping[str, str]

    def __str__(self) -> str:
        versions = {"Python": self.python, **self.versions}
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        return (
            f"Linux {self.kernel}, {self.cpus} × {self.cpu}, {self.congestion_control}; {told}; "
            f"load average before {self.load_average:.2f}"
        )


async def environment(tools: Sequence[Tool]) -> Environment:
    versions = {name: version(name) for name in PACKAGES}
    versions |= {tool.name: _version(tool) for tool in tools}
    if nginx := find_program("nginx"):
        versions["nginx"] = _words(nginx, "-v").rpartition("/")[2]
    return Environment(
        kernel=platform.release(),
        cpu=_cpu(),
        cpus=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        congestion_control=await _congestion_control(),
        load_average=os.getloadavg()[0],
        versions=versions,
    )


def _cpu() -> str:
    """The first CPU's name, as far as this architecture tells one."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(tool: Tool) -> str:
    found = tool.says.search(_words(*tool.version))
    return found[1] if found else "unknown"


def _words(*argv: str) -> str:
    """What a command says about itself, on either stream. Some exit with 1 after that."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


async def _congestion_control() -> str:
    """As connections of a lab get it."""
    with open_lab(client_server_lab()) as lab:
        argv = ["cat", "/proc/sys/net/ipv4/tcp_congestion_control"]
        process = await lab.spawn(Side.CLIENT, argv, stdout=PIPE)
        printed, _ = await process.communicate()
    return printed.decode().strip()
