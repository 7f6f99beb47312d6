"""A NAT between the ends: its ports ran out, or came back to a TIME-WAIT of the server."""

from collections.abc import Iterator

from loadgen.analysis.conntrack_metrics import counted
from loadgen.analysis.findings.finding import Finding, FindingKind, Rank, Rule
from loadgen.analysis.findings.queues import moved
from loadgen.analysis.fold import Fold
from loadgen.tcp import Failure, Fault, Phase
from loadgen.text.numbers import count

NAT_PORTS_GONE = FindingKind("nat_ports_gone")
NAT_PORT_REUSED = FindingKind("nat_port_reused")
FULL = 0.9
"""The part of a NAT's ports with an entry from which on they are said to have run out: of a large range the
kernel tries some 240 ports alone (net/netfilter/nf_nat_core.c)."""
FEW = 0.01
"""Of the connections that were opened: a smaller share is no finding."""


def ports_gone(fold: Fold) -> Iterator[Finding]:
    """SYNs that a NAT dropped: it had no port for them, and says so to nobody."""
    for viewpoint in fold.scope.viewpoints:
        most = fold.sampled.entries_most.get(viewpoint.name)
        if viewpoint.pool is None or most is None:
            continue
        failed, dropped = (counted(fold, viewpoint.name, name) for name in ("insert_failed", "drop"))
        if not failed or not dropped or most < FULL * viewpoint.pool.size:
            continue
        timeout = Failure(Phase.CONNECT, Fault.TIMEOUT)
        timed_out = fold.errors[timeout]
        errors = f"{count(timed_out)} connect() time out" if timed_out else "SYNs are sent again"
        yield Finding(
            kind=NAT_PORTS_GONE,
            rank=Rank.LIMITED,
            viewpoint=viewpoint.name,
            sentence=f"the {viewpoint.name} has no port left: it drops {count(dropped)} SYNs, with"
            f" {count(most)} conntrack entries for its {count(viewpoint.pool.size)} ports. No errno shows it:"
            f" {errors}",
            numbers={"insert_failed": failed, "drop": dropped, "entries": most, "ports": viewpoint.pool.size},
            evidence=(
                f"{viewpoint.name}.conntrack.insert_failed {failed:,}",
                f"{viewpoint.name}.conntrack.drop {dropped:,}",
                f"{viewpoint.name}.conntrack.entries.max {most:,} of {viewpoint.pool.size:,} ports",
                f"{timeout} {timed_out:,}",
            ),
            observed=True,
        )


def port_reused(fold: Fold) -> Iterator[Finding]:
    """SYNs from a port of the NAT that the server's TIME-WAIT refuses: of another port of the client."""
    nats = [one.name for one in fold.scope.viewpoints if one.pool is not None]
    client, server = fold.scope.leg.opener, fold.scope.leg.accepter
    refused = moved(fold, server, "PAWSTimewait")
    if not nats or refused <= FEW * (fold.total("opened") or 0):
        return
    again, resets = moved(fold, client, "TCPSynRetrans"), moved(fold, client, "OutRsts")
    yield Finding(
        kind=NAT_PORT_REUSED,
        rank=Rank.PARTLY_FAILED,
        viewpoint=server,
        sentence=f"{count(refused)} SYNs come from a port of the {nats[0]} that is in TIME-WAIT at the"
        " server, with an older timestamp, and are refused; the client sends them again after a second",
        numbers={"refused": refused, "syns_again": again, "resets": resets},
        evidence=(
            f"{server}.kernel.PAWSTimewait {refused:,}",
            f"{client}.kernel.OutRsts {resets:,}",
            f"{client}.kernel.TCPSynRetrans {again:,}",
        ),
        observed=True,
    )


def dropped_by_nat(fold: Fold) -> int:
    """SYNs that NATs without a free port dropped; 0 if no such NAT was seen."""
    return sum(int(one.numbers["drop"]) for one in ports_gone(fold))


RULES: tuple[Rule, ...] = (ports_gone, port_reused)
