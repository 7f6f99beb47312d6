"""From a variant to its lab with a NAT."""

from loadgen.lab.spec import LabSpec
from loadgen.lab.translated import NAT, translated_lab
from loadgen.scenario.document import Variant
from loadgen.tcp import Side


def lab_spec(variant: Variant) -> LabSpec:
    lab = variant.lab
    return translated_lab(
        lab.family,
        ports=(lab.client.ports.first, lab.client.ports.last),
        nat_ports=(lab.nat.ports.first, lab.nat.ports.last),
        server_ports=variant.server.ports,
        client_addresses=lab.client.addresses,
        server_addresses=lab.server.addresses,
        sysctls={Side.CLIENT: lab.sysctl.client, NAT: lab.sysctl.nat, Side.SERVER: lab.sysctl.server},
        backlog=variant.server.backlog,
    )
