"""Caveats about the client's ports: connect() searches for a free one, or there is none.

Both are results, not flaws of the measurement. They explain starts that were late.
"""

from collections.abc import Iterator, Sequence

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.shortage import Span
from loadgen.tcp import Side

PORT_SEARCH = CaveatKind("port_search")


def port_search(case: Case) -> Iterator[Caveat]:
    search = case.fold.under_load().search
    if search is None:
        return
    before = "" if search.before_ns is None else f" instead of {_microseconds(search.before_ns)}"
    late = f"; {search.late:,} starts were late because of it" if search.late else ""
    yield Caveat(
        PORT_SEARCH,
        f"from {search.since_ns / 1e9:.1f} s on, with {search.ports_held:,} of {case.fold.ports:,} ports"
        f" held, connect() took {search.share:.0%} of the generator's time,"
        f" {_microseconds(search.call_ns)} a call{before}: the kernel's search for a free port is the limit"
        " (see docs/facts.md#k8). This is a"
        f" result, not a flaw of the measurement{late}",
        "make fewer connections (keep them for more requests), let the server close, use more source"
        " addresses or ports, or avoid the search by IP_LOCAL_PORT_RANGE (see docs/facts.md#k9)",
    )


PORTS_GONE = CaveatKind("ports_gone")


def ports_gone(case: Case) -> Iterator[Caveat]:
    shortage = case.fold.under_load().shortage
    if shortage is None or not (shortage.late or shortage.inferred):
        return
    causes: list[str] = []
    if shortage.inferred:
        causes.append(
            "the samples show all of them held; attempts that failed because of it were not counted"
        )
    if shortage.late:
        causes.append(
            f"{shortage.late:,} starts were late meanwhile, which does not count against the generator"
        )
    yield Caveat(
        PORTS_GONE,
        f"the client had no free port {spans(shortage.spans)}: {'; '.join(causes)}",
        "use rates and latencies up to then; to delay it, use more source addresses or ports"
        + ("" if case.variant.connection.closer is Side.SERVER else ", or let the server close"),
    )


MOST_SPANS = 3


def spans(found: Sequence[Span]) -> str:
    """When: each span from begin to end, or of many the first, the last and their number."""
    words = [f"from {one.start_ns / 1e9:.1f} s to {one.end_ns / 1e9:.1f} s" for one in found]
    if len(words) <= MOST_SPANS:
        return ", ".join(words)
    return f"{words[0]}, and {len(words) - 1} times more until {found[-1].end_ns / 1e9:.1f} s"


NO_ADDRESS = CaveatKind("no_address")


def no_address(case: Case) -> Iterator[Caveat]:
    failed = case.fold.under_load().no_port_unexplained
    if failed:
        most = case.fold.sampled.ports_most.get(case.fold.scope.leg.opener)
        held = "" if most is None else f" (at most {most:,} of {case.fold.ports:,} were held)"
        yield Caveat(
            NO_ADDRESS,
            f"{failed:,} attempts failed with EADDRNOTAVAIL or EADDRINUSE while ports were free{held}: that"
            " is no lack of ports. The kernel also answers so if the client has no source address",
            "look at the client's addresses and at the sysctls of the scenario",
        )


def _microseconds(time_ns: int) -> str:
    return f"{time_ns / 1e3:,.0f} µs"


RULES: tuple[Rule, ...] = (port_search, ports_gone, no_address)
