"""What the kernel had no room for: a queue or a table of its own that was full, and what it dropped then.

Pure. None of it is a flaw of the measurement: what was dropped is sent again, or is told by other counts.
"""

from collections.abc import Iterator

from loadgen.caveats import Caveat, CaveatKind
from loadgen.fold import Fold
from loadgen.scenario import Variant
from loadgen.tcp import Side


def overflows(variant: Variant, fold: Fold) -> Iterator[Caveat]:
    """Every caveat about what overflowed."""
    yield from _softnet(fold)
    server = fold.kernel()[Side.SERVER]
    if sent := server.get("SyncookiesSent", 0):
        yield Caveat(
            CaveatKind.COOKIES_SENT,
            f"the server's SYN queue was full: {sent:,} SYN cookies sent (K15)",
            "raise server.backlog and net.ipv4.tcp_max_syn_backlog",
        )
    if dropped := server.get("ListenOverflows", 0):
        yield Caveat(
            CaveatKind.LISTEN_OVERFLOWS,
            f"the server's accept queue was full: {dropped:,} times a SYN was dropped, which costs its client"
            " a second or more (K15)",
            "raise server.backlog and net.core.somaxconn, or server.workers",
        )
    yield from _time_wait(variant, fold)


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


def _softnet(fold: Fold) -> Iterator[Caveat]:
    samples = fold.samples
    dropped = samples[-1].softnet_dropped - samples[0].softnet_dropped if samples else 0
    if dropped:
        yield Caveat(
            CaveatKind.SOFTNET_DROPS,
            f"the host dropped {dropped:,} packets in softnet (host-wide, K26): they were sent again",
            "raise net.core.netdev_max_backlog on the host, or lower the rate",
        )
