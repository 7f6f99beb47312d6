"""Ports of a node between client and server: whose ran out, and what held them."""

from collections.abc import Iterator

from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.fold import Fold
from loadgen.tcp import State
from loadgen.text.numbers import count, seconds

BEHIND_PORTS_GONE = FindingKind("behind_ports_gone")


def behind_ports_gone(fold: Fold) -> Iterator[Finding]:
    """A sample found a socket on every port of a viewpoint that opens connections to the server."""
    for leg in fold.scope.legs[1:]:
        viewpoint = leg.opener
        gone_ns, ports = fold.sampled.ports_gone_ns.get(viewpoint), fold.sampled.capacity.get(viewpoint)
        seen = next((one for one in fold.samples if one.t_ns == gone_ns), None)
        if gone_ns is None or ports is None or seen is None:
            continue
        states = seen.viewpoints[viewpoint].states
        holders = sorted(
            ((state, number) for state, number in states.items() if state is not State.LISTEN),
            key=lambda holder: -holder[1],
        )
        held = " and ".join(f"{state} holds {count(number)}" for state, number in holders[:2])
        yield Finding(
            kind=BEHIND_PORTS_GONE,
            rank=Rank.LIMITED,
            viewpoint=viewpoint,
            sentence=f"the {viewpoint} has no free port from {seconds(gone_ns / 1e9)} on: {held} of"
            f" {count(ports)}",
            start_ns=gone_ns,
            numbers={"ports": ports},
            evidence=tuple(f"{viewpoint}.{state.key} {number:,}" for state, number in holders),
            observed=True,
        )


RULES: tuple[Rule, ...] = (behind_ports_gone,)
