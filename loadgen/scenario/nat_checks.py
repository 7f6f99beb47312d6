"""Settings that contradict the NAT, or the lack of one."""

from collections.abc import Iterator

from loadgen.scenario.choices import Topology
from loadgen.scenario.conflict import Conflict
from loadgen.scenario.document import Settings

FORWARDING = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.forwarding")


def nat_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Every contradiction between topology `nat` and the rest."""
    lab = settings.lab
    if lab.topology is not Topology.NAT:
        for key, is_set in (
            ("lab.nat", bool(lab.nat.model_fields_set)),
            ("lab.sysctl.nat", bool(lab.sysctl.nat)),
        ):
            if is_set:
                yield Conflict(
                    (key, "lab.topology"),
                    f"topology {lab.topology} has no NAT",
                    "write lab: {topology: nat}, or remove the key",
                )
        return
    for key in FORWARDING:
        if key in lab.sysctl.nat:
            yield Conflict(
                (f"lab.sysctl.nat.{key}",),
                "the NAT forwards between client and server, and churn sets this for it",
                "remove the key",
            )
    if settings.capture is not None:
        yield Conflict(
            ("capture", "lab.topology"),
            "the NAT changes addresses and ports on the way, so that one connection has those of two",
            "use topology pair, or remove the key",
        )
