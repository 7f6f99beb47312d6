"""Caveats about queues and tables of the kernel that were full, and what it dropped then.

None of it is a flaw of the measurement: what was dropped is sent again, or shows in other counts.
"""

from collections.abc import Iterator

from loadgen.analysis.caveats.case import Case, Rule
from loadgen.analysis.caveats.caveat import Caveat, CaveatKind
from loadgen.records.events import LabOpened
from loadgen.scenario.choices import ServerKind, Topology
from loadgen.scenario.document import Variant
from loadgen.tcp import Side

SOMAXCONN = "net.core.somaxconn"
"""The limit of every backlog. A lab's is raised to server.backlog, unless the scenario sets it."""

SOFTNET_DROPS = CaveatKind("softnet_drops")


def softnet_drops(case: Case) -> Iterator[Caveat]:
    samples = case.fold.samples
    dropped = samples[-1].softnet_dropped - samples[0].softnet_dropped if samples else 0
    if dropped:
        yield Caveat(
            SOFTNET_DROPS,
            f"the host dropped {dropped:,} packets in softnet, of this run or of other programs: TCP sent its"
            " own again",
            "raise net.core.netdev_max_backlog on the host, or lower the rate",
        )


BACKLOG_CAPPED = CaveatKind("backlog_capped")


def backlog_capped(case: Case) -> Iterator[Caveat]:
    variant = case.variant
    lab, asked = case.fold.event(LabOpened), variant.server.backlog
    limit = lab.sysctls[Side.SERVER].get(SOMAXCONN) if lab else None
    if (
        limit is None
        or not limit.isdecimal()
        or int(limit) >= asked
        or variant.server.kind is ServerKind.COMMAND
    ):
        return
    host = variant.lab.topology is Topology.HOST
    yield Caveat(
        BACKLOG_CAPPED,
        f"server.backlog is {asked:,}, and {SOMAXCONN} limits it to {int(limit):,}",
        f"raise {SOMAXCONN} {'on the host' if host else 'under lab.sysctl'}, or lower server.backlog",
    )


COOKIES_SENT = CaveatKind("cookies_sent")


def cookies_sent(case: Case) -> Iterator[Caveat]:
    if sent := case.fold.kernel()[Side.SERVER].get("SyncookiesSent", 0):
        # Both queues are as long as the backlog: tcp_max_syn_backlog counts only if there are no cookies.
        yield Caveat(
            COOKIES_SENT,
            f"the server's SYN queue was full: {sent:,} SYN cookies were sent",
            _lengthen(case.variant),
        )


LISTEN_OVERFLOWS = CaveatKind("listen_overflows")


def listen_overflows(case: Case) -> Iterator[Caveat]:
    if dropped := case.fold.kernel()[Side.SERVER].get("ListenOverflows", 0):
        yield Caveat(
            LISTEN_OVERFLOWS,
            f"the server's accept queue was full: {dropped:,} times a SYN or the last ACK of a handshake was"
            " dropped; after a dropped SYN the client waits for a second or more",
            f"{_lengthen(case.variant)}; or let more workers accept",
        )


def _lengthen(variant: Variant) -> str:
    """The remedy for a queue that is too short."""
    if variant.server.kind is ServerKind.COMMAND:
        return f"raise the backlog that the server's command asks for, and {SOMAXCONN} under lab.sysctl"
    return f"raise server.backlog, and {SOMAXCONN} if it was set lower"


TIME_WAIT_OVERFLOW = CaveatKind("time_wait_overflow")


def time_wait_overflow(case: Case) -> Iterator[Caveat]:
    # Viewpoints of one namespace share the counter: it does not show whose TIME-WAITs they were.
    for names in case.fold.scope.by_node.values():
        if destroyed := case.fold.kernel()[names[0]].get("TCPTimeWaitOverflow", 0):
            whose = f"{names[0]}: " if len(names) == 1 else ""
            yield Caveat(
                TIME_WAIT_OVERFLOW,
                f"{whose}{destroyed:,} TIME-WAITs were destroyed at once: tcp_max_tw_buckets was reached",
                "raise net.ipv4.tcp_max_tw_buckets: the overflow makes the capacity look larger than it is",
            )


RULES: tuple[Rule, ...] = (
    softnet_drops,
    backlog_capped,
    cookies_sent,
    listen_overflows,
    time_wait_overflow,
)
