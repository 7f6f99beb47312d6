"""What addresses and ports lead to, in words: before the run. Pure."""

from collections.abc import Iterator

from loadgen.model.situation import Situation
from loadgen.scenario.choices import Bind, Family
from loadgen.scenario.document import Variant
from loadgen.text.numbers import count

DISABLE_IPV6 = "net.ipv6.conf.all.disable_ipv6"


def addressed(variant: Variant, state: Situation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sentences, each with the settings that it follows from."""
    lab = variant.lab
    if lab.client.binds is Bind.EARLY and variant.destinations > 1:
        late = state.ports * variant.destinations
        yield (
            f"bind() takes a port for all {variant.destinations} destinations: the client has"
            f" {count(state.ports)} ports, and with bind: late {count(late)}",
            ("lab.client.bind", "server.ports", "lab.server.addresses"),
        )
    if lab.family is Family.IPV6 and lab.sysctl.client.get(DISABLE_IPV6, "0") != "0":
        yield (
            f"{DISABLE_IPV6} is not 0: the client has no IPv6 address, and each attempt fails with"
            " EADDRNOTAVAIL while no port is held",
            (f"lab.sysctl.client.{DISABLE_IPV6}", "lab.family"),
        )
