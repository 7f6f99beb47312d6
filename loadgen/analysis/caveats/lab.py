"""Caveats about where the variant ran: on loopback, or where connections of an earlier run were left."""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.scenario.choices import Topology
from loadgen.tcp import Side, State

HOST_LOOPBACK = CaveatKind("host_loopback")


def host_loopback(case: Case) -> Iterator[Caveat]:
    if case.variant.lab.topology is Topology.HOST:
        yield Caveat(
            HOST_LOOPBACK,
            "ran on the host's own loopback, where Linux reuses TIME-WAIT ports after 1 s, and"
            " connections of other programs are counted too",
            "allow namespaces (`churn doctor` shows how) and use `topology: pair`",
            invalidates=True,
        )


LEFTOVERS = CaveatKind("leftovers")


def leftovers(case: Case) -> Iterator[Caveat]:
    first = case.fold.samples[0] if case.fold.samples else None
    left = sum(one.count(State.TIME_WAIT) for one in first.viewpoints.values()) if first else 0
    if left:
        yield Caveat(
            LEFTOVERS,
            f"{left:,} TIME-WAITs of earlier connections existed before the first packet",
            "wait a minute and run it again, or use a lab with namespaces of its own",
            invalidates=True,
        )


LOOPBACK_REUSE = CaveatKind("loopback_reuse")


def loopback_reuse(case: Case) -> Iterator[Caveat]:
    lab, recycled = case.variant.lab, case.fold.kernel()[Side.CLIENT].get("TWRecycled", 0)
    asked_for = "net.ipv4.tcp_tw_reuse" in {**lab.sysctl.client, **lab.sysctl.server}
    if lab.topology is Topology.LOOPBACK and recycled and not asked_for:
        yield Caveat(
            LOOPBACK_REUSE,
            f"{recycled:,} TIME-WAIT ports were reused: with tcp_tw_reuse=2 Linux does so after 1 s, but on"
            " loopback only",
            "use `topology: pair` to see what a network shows, or set net.ipv4.tcp_tw_reuse to 0",
        )


RULES: tuple[Rule, ...] = (host_loopback, leftovers, loopback_reuse)
