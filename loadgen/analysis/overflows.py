"""What the kernel had no room for: a queue or a table of its own that was full, and what it dropped then.

Pure. None of it is a flaw of the measurement: what was dropped is sent again, or is told by other counts.
"""

from collections.abc import Iterator

from loadgen.analysis.caveats import Caveat, CaveatKind
from loadgen.analysis.fold import Fold
from loadgen.records.events import LabOpened
from loadgen.scenario.choices import Topology
from loadgen.scenario.models import ServerKind, Variant
from loadgen.tcp import Side

SOMAXCONN = "net.core.somaxconn"
"""What a larger backlog comes to. A lab's is raised to server.backlog, unless the scenario sets it."""


def overflows(variant: Variant, fold: Fold) -> Iterator[Caveat]:
    """Every caveat about what overflowed."""
    yield from _softnet(fold)
    yield from _backlog(variant, fold)
    server = fold.kernel()[Side.SERVER]
    if sent := server.get("SyncookiesSent", 0):
        # Both queues are as long as the backlog: tcp_max_syn_backlog counts only where there are no cookies.
        yield Caveat(
            CaveatKind.COOKIES_SENT,
            f"the server's SYN queue was full: {sent:,} SYN cookies sent (K15)",
            _lengthen(variant),
        )
    if dropped := server.get("ListenOverflows", 0):
        yield Caveat(
            CaveatKind.LISTEN_OVERFLOWS,
            f"the server's accept queue was full: {dropped:,} times a SYN was dropped, which costs its client"
            " a second or more (K15)",
            f"{_lengthen(variant)}; or have more workers accept",
        )
    yield from _time_wait(variant, fold)


def _lengthen(variant: Variant) -> str:
    """The remedy for a queue that is too short."""
    if variant.server.kind is ServerKind.COMMAND:
        return f"raise the backlog that the server's command asks for, and {SOMAXCONN} under lab.sysctl"
    return f"raise server.backlog, and {SOMAXCONN} where it was set lower"


def _time_wait(variant: Variant, fold: Fold) -> Iterator[Caveat]:
    # Where both sides share a namespace its one counter stands on either: whose they were it does not tell.
    shared = variant.lab.topology.shared
    for side in (Side.CLIENT,) if shared else Side:
        if destroyed := fold.kernel()[side].get("TCPTimeWaitOverflow", 0):
            whose = "" if shared else f"{side}: "
            yield Caveat(
                CaveatKind.TIME_WAIT_OVERFLOW,
                f"{whose}{destroyed:,} TIME-WAITs destroyed at once, tcp_max_tw_buckets being reached (K14)",
                "raise net.ipv4.tcp_max_tw_buckets: overflow raises the apparent capacity",
            )


def _backlog(variant: Variant, fold: Fold) -> Iterator[Caveat]:
    lab, asked = fold.event(LabOpened), variant.server.backlog
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
        CaveatKind.BACKLOG_CAPPED,
        f"server.backlog is {asked:,}, and {SOMAXCONN} makes it {int(limit):,}",
        f"raise {SOMAXCONN} {'on the host' if host else 'where lab.sysctl sets it'}, or lower server.backlog",
    )


def _softnet(fold: Fold) -> Iterator[Caveat]:
    samples = fold.samples
    dropped = samples[-1].softnet_dropped - samples[0].softnet_dropped if samples else 0
    if dropped:
        yield Caveat(
            CaveatKind.SOFTNET_DROPS,
            f"the host dropped {dropped:,} packets in softnet (host-wide, K26): they were sent again",
            "raise net.core.netdev_max_backlog on the host, or lower the rate",
        )
