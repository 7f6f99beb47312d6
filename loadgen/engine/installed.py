"""Whether what a command needs is installed: programs, and modules of the Python that runs churn."""

from importlib.util import find_spec

from loadgen.engine.machine import Check, Verdict
from loadgen.programs.plan import find_program

MODULE = "python:"
"""Before the name of a module."""
DEBIAN = {
    "ab": "apache2-utils",
    "curl": "curl",
    "h2load": "nghttp2-client",
    "haproxy": "haproxy",
    "hey": "hey",
    "httperf": "httperf",
    "nginx": "nginx-light",
    "openssl": "openssl",
    "pgbench": "postgresql",
    "redis-benchmark": "redis-tools",
    "redis-server": "redis-server",
    "wrk": "wrk",
}
"""The packages of Debian that have the programs of the bundled scenarios, and those of others like them."""


def check(name: str, asked: str) -> Check:
    """Whether a program, or a module, is installed; `asked` is the keys that name it."""
    if name.startswith(MODULE):
        return _module(name.removeprefix(MODULE), asked)
    found = find_program(name)
    if found is not None:
        return Check(name, Verdict.OK, found)
    remedy = "install it (`make peers` brings those of the bundled scenarios, on Debian), or name another"
    package = DEBIAN.get(name.rpartition("/")[2])
    if package is not None:
        remedy = f"install it: Debian's package {package} has it (`make peers`), or name another"
    return Check(name, Verdict.FAIL, f"is not installed, or cannot be executed: {asked}", remedy)


def _module(name: str, asked: str) -> Check:
    top = name.partition(".")[0]
    if find_spec(top) is not None:
        return Check(name, Verdict.OK, "can be imported")
    remedy = "install it where churn is: `make test` brings those of the bundled scenarios, and so does"
    return Check(
        f"the module {name} of Python",
        Verdict.FAIL,
        f"is not installed: {asked}",
        f"{remedy} `.venv/bin/pip install {top}`",
    )
