"""Caveats about the client's ports: connect() searches for a free one, or there is none.

Both are results, not flaws of the measurement. They explain starts that were late.
"""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind

PORT_SEARCH = CaveatKind("port_search")


def port_search(case: Case) -> Iterator[Caveat]:
    search = case.fold.search()
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
    exhaustion = case.fold.exhaustion()
    if exhaustion is not None and exhaustion.late:
        yield Caveat(
            PORTS_GONE,
            f"from {exhaustion.since_ns / 1e9:.1f} s on the client had too few ports, and attempts failed"
            f" because of it: {exhaustion.late:,} starts were late meanwhile, which does not count against"
            " the generator",
            "use rates and latencies up to then; to delay it, use more source addresses or ports, or let the"
            " server close",
        )


def _microseconds(time_ns: int) -> str:
    return f"{time_ns / 1e3:,.0f} µs"


RULES: tuple[Rule, ...] = (port_search, ports_gone)
