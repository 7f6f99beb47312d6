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
        few = dropped <= FEW * (fold.total("opened") or 0)
        if not failed or few or most < FULL * viewpoint.pool.size:
            continue
        timeout = Failure(Phase.CONNECT, Fault.TIMEOUT)
        timed_out = fold.errors[timeout]
        # More than it dropped were of another cause.
        errors = (
            "SYNs are sent again"
            if timed_out > dropped or not timed_out
            else (f"{count(timed_out)} connect() time out")
        )
        yield Finding(
            kind=NAT_PORTS_GONE,
            rank=Rank.LIMITED,
            viewpoint=viewpoint.name,
            sentence=f"the {viewpoint.name.upper()} has no port left: it drops {count(dropped)} SYNs, with"
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
    nat = _nat(fold)
    client, server = fold.scope.leg.opener, fold.scope.leg.accepter
    refused = moved(fold, server, "PAWSTimewait")
    if not nat or refused <= FEW * (fold.total("opened") or 0):
        return
    again, resets = moved(fold, client, "TCPSynRetrans"), moved(fold, client, "OutRsts")
    yield Finding(
        kind=NAT_PORT_REUSED,
        rank=Rank.PARTLY_FAILED,
        viewpoint=server,
        sentence=f"the server refuses {count(refused)} SYNs: the port that the {nat.upper()} gave them is in"
        f" TIME-WAIT there, with a newer timestamp; the client sends {count(again)} SYNs again"
        " after 1 s",
        numbers={"refused": refused, "syns_again": again, "resets": resets},
        evidence=(
            f"{server}.kernel.PAWSTimewait {refused:,}",
            f"{client}.kernel.OutRsts {resets:,}",
            f"{client}.kernel.TCPSynRetrans {again:,}",
        ),
        observed=True,
    )


def reason(fold: Fold, timeouts: int) -> str:
    """What a NAT has to do with connect() that timed out so often; empty if nothing shows it."""
    if sum(int(one.numbers["drop"]) for one in ports_gone(fold)) >= timeouts:
        return "the NAT's ports: it had none left, and dropped the SYNs"
    refused = sum(int(one.numbers["refused"]) for one in port_reused(fold))
    if refused >= timeouts:
        return "the server's TIME-WAITs on the NAT's ports: they refused the SYNs"
    return ""


def _nat(fold: Fold) -> str:
    """The viewpoint of the NAT; empty if there is none."""
    return next((one.name for one in fold.scope.viewpoints if one.pool is not None), "")


RULES: tuple[Rule, ...] = (ports_gone, port_reused)
