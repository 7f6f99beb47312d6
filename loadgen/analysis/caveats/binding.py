"""A caveat about sockets that are bound before they connect: a result, not a flaw of the measurement."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.findings.ports import bind_takes
from loadgen.tcp import Failure, Phase

BOUND_EARLY = CaveatKind("bound_early")


def bound_early(case: Case) -> Iterator[Caveat]:
    refused = case.fold.errors[Failure(Phase.BIND, "EADDRINUSE")]
    if not refused or not bind_takes(case.fold) or case.fold.under_load().shortage is None:
        return
    ports, destinations = case.fold.ports, case.variant.destinations
    each = (
        f", and not {ports * destinations:,} towards {destinations} destinations" if destinations > 1 else ""
    )
    yield Caveat(
        BOUND_EARLY,
        f"{refused:,} attempts failed with EADDRINUSE: bind() takes a port for all destinations, so that"
        f" there are {ports:,}{each} (see docs/facts.md#k10)",
        "set IP_BIND_ADDRESS_NO_PORT before bind() (lab.client.bind: late): connect() then takes the port,"
        " and each is there once for each destination",
    )


RULES: tuple[Rule, ...] = (bound_early,)
