"""A node that translates source addresses to its own: rules of nf_tables, and forwarding.

Only processes inside of a lab import it: pyroute2 is slow to load.
"""

from ipaddress import ip_interface

from loadgen.lab import sysctls
from loadgen.lab.expressions import (
    ACCEPT,
    IPV4,
    IPV6,
    L4_PROTOCOL,
    SCRATCH,
    TCP,
    data,
    equal,
    expression,
    tables,
)
from loadgen.lab.spec import End

REPORTED = (
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
)
"""The sysctls of conntrack that results depend on."""

_TABLE, _CHAIN = "churn_nat", "leaving"
_SOURCE_NAT_PRIORITY = 100
_OUTGOING_INTERFACE = 7
"""The key of `meta` (NFT_META_OIFNAME)."""
_INTERFACE_NAME_BYTES = 16
_FIRST, _LAST = 2, 3
"""Registers (NFT_REG_2, NFT_REG_3) that hold the ends of the port range."""
_REMEDY = "load the kernel's modules nft_masq and nf_conntrack, as root: modprobe -a nft_masq nf_conntrack"


def begin(outside: End, ports: tuple[int, int]) -> None:
    """Forward in the calling thread's namespace, and give TCP connections that leave by this end its address
    and one of these ports. Raises LabUnavailable."""
    ipv6 = any(ip_interface(address).version == 6 for address in outside.addresses)
    sysctls.set_needed("net.ipv6.conf.all.forwarding" if ipv6 else "net.ipv4.ip_forward", "1")
    first, last = (port.to_bytes(2, "big") for port in ports)
    name = outside.interface.encode().ljust(_INTERFACE_NAME_BYTES, b"\0")
    with tables(IPV6 if ipv6 else IPV4, "no address can be translated", _REMEDY) as nft:
        nft.table("add", name=_TABLE)
        fields = {"type": "nat", "policy": ACCEPT, "priority": _SOURCE_NAT_PRIORITY}
        nft.chain("add", table=_TABLE, name=_CHAIN, hook="postrouting", **fields)
        expressions = [
            expression("meta", dreg=SCRATCH, key=_OUTGOING_INTERFACE),
            equal(name),
            expression("meta", dreg=SCRATCH, key=L4_PROTOCOL),
            equal(TCP),
            expression("immediate", dreg=_FIRST, data=data(first)),
            expression("immediate", dreg=_LAST, data=data(last)),
            # Without the flag the kernel ignores the range.
            expression(
                "masq",
                flags=("NF_NAT_RANGE_PROTO_SPECIFIED",),
                reg_proto_min=_FIRST,
                reg_proto_max=_LAST,
            ),
        ]
        nft.rule("add", table=_TABLE, chain=_CHAIN, expressions=[expressions])
