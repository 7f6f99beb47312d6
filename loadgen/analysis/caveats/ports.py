"""Caveats about the client's ports: connect() searches for a free one, or there is none.

Both are results, not flaws of the measurement. They explain starts that were late.
"""

from collections.abc import Iterator, Sequence

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.analysis.findings.ports import bind_takes, holding, searching_call
from loadgen.analysis.shortage import Shortage, Span
from loadgen.scenario.choices import Family
from loadgen.scenario.document import Variant
from loadgen.tcp import Closer, State

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
        f" held, {searching_call(case.fold)} took {search.share:.0%} of the generator's time,"
        f" {_microseconds(search.call_ns)} a call{before}: the kernel's search for a free port is the limit"
        " (see docs/facts.md#k8). This is a"
        f" result, not a flaw of the measurement{late}",
        f"make fewer connections (keep them for more requests){_or_server_closes(case)}, use more source"
        f" addresses or ports{_unsearched(case)}",
    )


def _unsearched(case: Case) -> str:
    """How the search is avoided: bind() searches whatever range it is given."""
    late = bind_takes(case.fold)
    if case.variant.lab.client.local_port_range is not None and not late:
        return ""
    option = "IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT" if late else "IP_LOCAL_PORT_RANGE"
    return f", or avoid the search by {option} (see docs/facts.md#k9)"


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
        f"use rates and latencies up to then; to delay it, {_relief(case, shortage)}",
    )


def _relief(case: Case, shortage: Shortage) -> str:
    """What frees ports, by the state that held most of them."""
    holders = holding(case.fold, shortage.first_ns, shortage.spans[-1].end_ns)
    match next(iter(holders), None):
        case State.CLOSE_WAIT:
            return "let the client's program close the connections that the server has closed"
        case State.ESTABLISHED:
            return (
                "answer faster, keep fewer connections open at a time, or use more source addresses or ports"
            )
        case State.SYN_SENT:
            return "find out why SYNs stay unanswered, or use more source addresses or ports"
        case _:
            closer = _or_server_closes(case)
            return f"keep connections for more requests{closer}, or use more source addresses or ports"


def _or_server_closes(case: Case) -> str:
    """The remedy that a client's TIME-WAITs have, if the client is the one who closes."""
    return "" if case.variant.connection.closer is Closer.SERVER else ", let the server close"


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
            " is no lack of ports. The kernel also answers so if the client has no source address, or none of"
            " that family",
            _address_remedy(case.variant),
        )


def _address_remedy(variant: Variant) -> str:
    """What gives the client a source address: the sysctl that takes it away, if the scenario sets one."""
    taken = [
        name
        for name, value in variant.lab.sysctl.client.items()
        if name.endswith(".disable_ipv6") and str(value) != "0"
    ]
    if variant.lab.family is Family.IPV6 and taken:
        return f"leave {taken[0]} at 0: it takes the client's IPv6 addresses away"
    return "look at the client's addresses and routes, and at the sysctls of the scenario"


def _microseconds(time_ns: int) -> str:
    return f"{time_ns / 1e3:,.0f} µs"


RULES: tuple[Rule, ...] = (port_search, ports_gone, no_address)
