"""Expressions of nf_tables rules, in the form that pyroute2 takes. Imported inside of a lab only."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError  # pyright: ignore[reportMissingTypeStubs]
from pyroute2.nftables.main import NFTables  # pyright: ignore[reportMissingTypeStubs]

from loadgen.lab.errors import LabUnavailable, Part

Expression = Mapping[str, Any]

IPV4, IPV6 = 2, 10
"""Families of nf_tables (NFPROTO_IPV4, NFPROTO_IPV6)."""
DROP, ACCEPT = 0, 1
L4_PROTOCOL = 16
"""The key of `meta` (NFT_META_L4PROTO)."""
TCP = bytes([6])
SCRATCH = 1
"""The register (NFT_REG_1) that a comparison works on."""


@contextmanager
def tables(family: int, without: str, remedy: str) -> Generator[Any]:
    """Talk to nf_tables of the calling thread's namespace. Raises LabUnavailable: what is impossible
    `without` it, and the `remedy`."""
    make: Callable[..., Any] = NFTables
    try:
        nft = make(nfgen_family=family)
        try:
            yield nft
        finally:
            nft.close()
    except (NetlinkError, OSError) as error:
        cause = f"{without}: {error} (nf_tables in a network namespace)"
        raise LabUnavailable(Part.LINKS, cause, remedy) from error


def equal(value: bytes) -> Expression:
    """Go on only if the scratch register has this value."""
    return expression("cmp", sreg=SCRATCH, op=0, data=data(value))


def data(value: bytes) -> Mapping[str, Any]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}


def verdict(code: int) -> Expression:
    value = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return expression("immediate", dreg=0, data=value)


def expression(name: str, **fields: Any) -> Expression:
    attributes = [(f"NFTA_{name.upper()}_{key.upper()}", value) for key, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": attributes})]}
