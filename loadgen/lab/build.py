"""`python -m loadgen.lab.build`: the short-lived process that makes a lab and hands it over.

A process of its own, because only a process of a single thread can make a user namespace for itself, and
because it cannot leave that again. `loadgen.lab.exchange` has the messages.
"""

from collections.abc import Mapping

from loadgen.lab import links, masquerade, namespaces, slow_bridge, sysctls
from loadgen.lab.exchange import Built, Descriptors, answer
from loadgen.lab.spec import LabSpec, Node


def build(spec: LabSpec) -> tuple[Built, Descriptors]:
    """Make the lab. Raises LabUnavailable or SysctlRefused. This process is inside the lab afterwards."""
    asked = sysctls.settings(spec)
    networks = _make_networks(spec)
    for link in spec.links:
        near, far = link.ends
        namespaces.enter_network(networks[near.node])
        links.join(near.interface, far.interface, networks[far.node])
    for node in spec.nodes:
        namespaces.enter_network(networks[node.name])
        _configure(spec, node)
    for node in spec.nodes:
        namespaces.enter_network(networks[node.name])
        for end in spec.ends(node.name):
            links.await_link(end.interface)
        if node.slow:
            slow_bridge.join([end.interface for end in spec.ends(node.name)], node.slow)
        if node.masquerade is not None:
            masquerade.begin(spec.ends(node.name)[-1], node.masquerade)
    # After the links, so that their own sysctls exist.
    for setting in asked:
        namespaces.enter_network(networks[setting.node])
        sysctls.set_asked(setting)
    in_force: dict[str, Mapping[str, str]] = {}
    for node in spec.nodes:
        namespaces.enter_network(networks[node.name])
        of_nat = masquerade.REPORTED if node.masquerade is not None else ()
        in_force[node.name] = sysctls.read_all([*sysctls.REPORTED, *of_nat, *node.sysctls])
    notes: list[str] = []
    if any(values.get(sysctls.HASH) != sysctls.CHILD_HASH_ENTRIES for values in in_force.values()):
        notes.append("the lab shares the host's TCP hash, so reading its sockets takes longer (K22)")
    return Built(in_force, tuple(notes)), Descriptors(namespaces.open_user(), networks)


def _make_networks(spec: LabSpec) -> dict[str, int]:
    """The nodes' empty namespaces, children of a private one that gives them a TCP hash of their own."""
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

    return {node.name: child() for node in spec.nodes}


def _configure(spec: LabSpec, node: Node) -> None:
    """Addresses, ports and backlog of the node whose namespace this thread is in."""
    links.configure_loopback(node.loopback)
    for end in spec.ends(node.name):
        links.configure_end(end)
    if node.ports is not None:
        first, last = node.ports
        sysctls.set_asked(sysctls.Setting(node.name, sysctls.PORT_RANGE, f"{first} {last}"))
    sysctls.raise_needed(sysctls.SOMAXCONN, node.backlog)


if __name__ == "__main__":
    answer(build)
