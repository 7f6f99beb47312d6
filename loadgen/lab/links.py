"""Links and addresses, by rtnetlink. Only processes inside of a lab import it: pyroute2 is slow to load."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_interface
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pyroute2 import IPRoute  # pyright: ignore[reportMissingTypeStubs]
from pyroute2.netlink.exceptions import NetlinkError  # pyright: ignore[reportMissingTypeStubs]

from loadgen.lab.errors import LabUnavailable, Part
from loadgen.lab.spec import End

SETTLE_S = 10.0
"""How long the carrier may take; it takes milliseconds."""

_IFA_F_NODAD = 0x02
"""No duplicate address detection: it would take a second, and the link has no other hosts."""


def join(name: str, peer_name: str, peer_network: int) -> None:
    """Make a veth pair between this namespace and the one behind the descriptor. Raises LabUnavailable."""
    with routed("a veth pair", "load the kernel's veth module, as root: modprobe veth") as route:
        peer = {"ifname": peer_name, "net_ns_fd": peer_network}
        route.link("add", ifname=name, kind="veth", peer=peer)


def configure_loopback(addresses: Sequence[str]) -> None:
    """Take this namespace's `lo` up, with addresses beside those it has by itself. Raises LabUnavailable."""
    _configure("lo", addresses, {})


def configure_end(end: End) -> None:
    """Give this namespace's end of a link its addresses and routes, and take it up. Raises LabUnavailable."""
    _configure(end.interface, end.addresses, end.routes)


def _configure(name: str, addresses: Sequence[str], routes: Mapping[str, str]) -> None:
    with routed(
        f"{name} with its addresses", "see that the kernel has the scenario's address family"
    ) as route:
        (index,) = route.link_lookup(ifname=name)
        route.link("set", index=index, state="up")
        for interface in map(ip_interface, addresses):
            address, prefix = str(interface.ip), interface.network.prefixlen
            route.addr("replace", index=index, address=address, prefixlen=prefix, flags=_IFA_F_NODAD)
        for destination, gateway in routes.items():
            route.route("add", dst=destination, gateway=gateway, oif=index)


def await_link(name: str) -> None:
    """Wait until this namespace's end of a link is in service. Raises LabUnavailable.

    The kernel detects the carrier some time after both ends are up, and restarts IPv6
    on the link then: an MTU set under `net.ipv6.conf` before that would be lost.
    """
    with routed("the link", "see that this machine is not too busy") as route:
        (index,) = route.link_lookup(ifname=name)
        until_s = monotonic() + SETTLE_S
        while monotonic() < until_s:
            (link,) = route.link("get", index=index)
            if link.get_attr("IFLA_OPERSTATE") == "UP":
                return
            sleep(0.001)
        raise TimeoutError(f"no carrier within {SETTLE_S:g} s")


def silence(end: End) -> None:
    """Take the addresses off this namespace's end of a link, whose carrier stays. Raises LabUnavailable.

    Nothing is answered from then on, and nothing can be sent; `configure_end` undoes it.
    """
    with routed(f"a silent {end.interface}", "see that the lab has this link") as route:
        (index,) = route.link_lookup(ifname=end.interface)
        # The last first: with the first IPv4 address of a prefix its others go by themselves.
        for interface in map(ip_interface, reversed(end.addresses)):
            prefix = interface.network.prefixlen
            route.addr("del", index=index, address=str(interface.ip), prefixlen=prefix)


def take_down(name: str) -> None:
    """Take an interface of this namespace down, with its addresses kept. Raises LabUnavailable."""
    # Linux removes the IPv6 addresses of an interface that goes down, unless it is asked to keep them.
    keep = Path(f"/proc/sys/net/ipv6/conf/{name}/keep_addr_on_down")
    if keep.exists():
        keep.write_text("1")
    with routed(f"a link that is down ({name})", "see that the lab has this link") as route:
        (index,) = route.link_lookup(ifname=name)
        route.link("set", index=index, state="down")


def take_up(name: str) -> None:
    """Take it up again, and wait until it is in service. Raises LabUnavailable."""
    with routed(f"a link that is up ({name})", "see that the lab has this link") as route:
        (index,) = route.link_lookup(ifname=name)
        route.link("set", index=index, state="up")
    await_link(name)


@contextmanager
def routed(what: str, remedy: str) -> Generator[Any]:
    """Talk rtnetlink. Raises LabUnavailable: `what` cannot be made, with the `remedy`."""
    try:
        with IPRoute() as route:
            yield route
    except (NetlinkError, OSError) as error:
        raise LabUnavailable(Part.LINKS, f"{what} cannot be made: {error}", remedy) from error
