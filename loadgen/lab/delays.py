"""A delay of all that leaves by an interface: the qdisc netem, which a kernel may lack (K27)."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pyroute2 import IPRoute  # pyright: ignore[reportMissingTypeStubs]
from pyroute2.netlink.exceptions import NetlinkError  # pyright: ignore[reportMissingTypeStubs]

from loadgen.lab.errors import LabUnavailable, Part

KIND = "netem"


def add(name: str, delay_ns: int) -> None:
    """Delay what leaves by an interface of the calling thread's namespace. Raises LabUnavailable."""
    with _route() as route:
        (index,) = route.link_lookup(ifname=name)
        route.tc("add", KIND, index, "1:", delay=delay_ns // 1_000)


def remove(name: str) -> None:
    """End it. Raises LabUnavailable."""
    with _route() as route:
        (index,) = route.link_lookup(ifname=name)
        route.tc("del", KIND, index, "1:")


@contextmanager
def _route() -> Generator[Any]:
    try:
        with IPRoute() as route:
            yield route
    except (NetlinkError, OSError) as error:
        raise LabUnavailable(
            Part.LINKS,
            f"nothing can be delayed: {error} (this kernel has no netem, or its module is not loaded)",
            "load it, as root: modprobe sch_netem; or let the server wait: server.delay",
        ) from error
