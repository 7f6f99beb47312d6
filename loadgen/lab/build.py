"""`python -m loadgen.lab.build`: the short-lived process that makes a lab and hands it over.

A process of its own, because only one of a single thread can make a user namespace for itself, and
because who has entered one cannot come back. `loadgen.lab.exchange` says how it is asked.
"""

from collections.abc import Mapping

from loadgen.choices import Family, Topology
from loadgen.lab import links, namespaces, sysctls
from loadgen.lab.exchange import Built, Descriptors, answer
from loadgen.lab.spec import LabSpec
from loadgen.tcp import Side


def build(spec: LabSpec) -> tuple[Built, Descriptors]:
    """Make the lab. Raises LabUnavailable or SysctlRefused. This process is inside the lab afterwards."""
    asked = sysctls.settings(spec)
    networks = _make_networks(spec.topology)
    if spec.topology is Topology.PAIR:
        namespaces.enter_network(networks[Side.CLIENT])
        links.join(networks[Side.SERVER])
    for side, network in networks.items():
        namespaces.enter_network(network)
        _furnish(spec, side)
    if spec.topology is Topology.PAIR:
        for network in networks.values():
            namespaces.enter_network(network)
            links.await_link()
    # After the links, so that their own sysctls exist. All before any is read: sides may share them.
    in_force: dict[Side, Mapping[str, str]] = {}
    for setting in asked:
        namespaces.enter_network(networks[setting.side])
        sysctls.set_asked(setting)
    for side, network in networks.items():
        namespaces.enter_network(network)
        own = (setting.key for setting in asked if setting.side is side)
        in_force[side] = sysctls.read_all([*sysctls.REPORTED, *own])
    notes: list[str] = []
    if in_force[Side.CLIENT].get(sysctls.HASH) != sysctls.CHILD_HASH_ENTRIES:
        notes.append("the lab shares the host's TCP hash, so reading its sockets takes longer (K22)")
    return Built(in_force, tuple(notes)), Descriptors(namespaces.open_user(), networks)


def _make_networks(topology: Topology) -> dict[Side, int]:
    """The sides' empty namespaces, children of a private one that gives them a TCP hash of their own."""
    host_limits = sysctls.read_all(sysctls.HOST_LIMITS)
    namespaces.new_private_network()
    parent = namespaces.open_network()
    sysctls.set_needed(sysctls.CHILD_HASH, sysctls.CHILD_HASH_ENTRIES)

    def child() -> int:
        # A namespace inherits from the one that the caller is in: back to the parent first (K22).
        namespaces.enter_network(parent)
        try:
            namespaces.new_network()
        except OSError as error:
            raise namespaces.why_refused(error) from error
        for key, value in host_limits.items():
            sysctls.set_needed(key, value)
        return namespaces.open_network()

    client = child()
    server = child() if topology is Topology.PAIR else client
    return {Side.CLIENT: client, Side.SERVER: server}


def _furnish(spec: LabSpec, side: Side) -> None:
    """Links, addresses, ports and backlog of the side whose namespace this thread is in."""
    addresses = spec.addresses(side)
    if spec.topology is Topology.PAIR:
        links.furnish_loopback()
        links.furnish_link(addresses)
    else:
        # All of 127.0.0.0/8 is there from the start; of IPv6 only ::1.
        links.furnish_loopback(addresses[1:] if spec.family is Family.IPV6 else ())
    if side is Side.CLIENT:
        first, last = spec.ports
        setting = sysctls.Setting(side, sysctls.PORT_RANGE, f"{first} {last}")
        sysctls.set_asked(setting)
    else:
        sysctls.raise_needed(sysctls.SOMAXCONN, spec.backlog)


if __name__ == "__main__":
    answer(build)
